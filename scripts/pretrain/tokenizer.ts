// Makes the tokenizer of models/helvetia-small from the corpus: 1024 tokens, learned from the first training documents.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tokenizerJson, trainBpe } from './bpe.js';
import { documents, special } from './corpus.js';

export const vocabSize = 1024;

/** Enough documents that the counts of all words have settled. */
const sample = 20_000;

const specials: readonly string[] = Object.values(special);

/** The content of `tokenizer.json`, always the same. */
export function makeTokenizer(): object {
  return tokenizerJson(trainBpe(texts(), vocabSize, specials), specials, special.begin);
}

function* texts(): Generator<string> {
  let left = sample;
  for (const document of documents(1)) {
    yield* document.split(/<\|\w+\|>/).filter((part) => part !== '');
    if (--left === 0) return;
  }
}

/** Writes `tokenizer.json` into a model's folder. */
export function writeTokenizer(folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'tokenizer.json'), `${JSON.stringify(makeTokenizer(), null, 1)}\n`);
}
