// Folders of tiny encoders with a vocabulary of a few words, for what is served: random weights, so the numbers say nothing.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readEncoder, writeFolder } from '../golden/seeded.js';

const words = [
  '[PAD]',
  '[UNK]',
  '[CLS]',
  '[SEP]',
  '[MASK]',
  'query',
  'passage',
  ':',
  'a',
  'b',
  'c',
  'd',
  '##s',
  'goat',
  'hay',
];

/** A model of test/golden/encoders with BERT's vocab.txt; `files` are written over its own. */
export async function encoderFolder(
  place: string,
  golden: string,
  files: Record<string, unknown> = {},
): Promise<string> {
  const folder = join(place, golden.replace('.', '-'));
  mkdirSync(folder, { recursive: true });
  await writeFolder(readEncoder(golden), folder);
  writeFileSync(join(folder, 'vocab.txt'), `${words.join('\n')}\n`);
  for (const [name, value] of Object.entries(files)) writeFileSync(join(folder, name), JSON.stringify(value));
  return folder;
}

/** The ids that the vocabulary gives. */
export const idsOf = (...tokens: string[]): number[] => tokens.map((token) => words.indexOf(token));
