// Texts through a grammar: made of allowed tokens at random, or given.
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { expect } from 'vitest';
import {
  type CompiledSchema,
  compileJsonSchema,
  type Grammar,
  maskFor,
  type Vocabulary,
  vocabularyOf,
} from '../../../lib/text/grammar/index.js';
import { Tokenizer } from '../../../lib/text/tokenizer/tokenizer.js';
import { processed } from '../../processor-time.js';
import { seeded } from './schemas.js';

export const ajv = new Ajv2020({ strict: false, allowUnionTypes: true, logger: false, code: { optimize: false } });
(addFormats as unknown as (to: Ajv2020) => void)(ajv);
// RFC 5321 instead of ajv's, which knows no quoted names, address literals or hosts of one label.
ajv.addFormat(
  'email',
  /^([\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*|"([ !#-[\]-~]|\\[ -~])*")@(([a-z\d]([a-z\d-]*[a-z\d])?\.?)+(?<!\.)|\[[\da-f.:]+\]|\[ipv6:[\da-f.:]+\])$/i,
);

export async function smallVocabulary(): Promise<{ vocabulary: Vocabulary; ends: readonly number[] }> {
  const tokenizer = (await Tokenizer.fromFolder('models/helvetia-small'))!;
  return { vocabulary: await vocabularyOf(tokenizer), ends: [...tokenizer.endIds] };
}

/** A text made of allowed tokens only, taken at random; a long one is steered towards its end. */
export function randomText(
  vocabulary: Vocabulary,
  ends: readonly number[],
  grammar: Grammar,
  random: () => number,
): string {
  const { tokenizer } = vocabulary;
  const mask = maskFor(vocabulary, grammar, ends);
  const ids: number[] = [];
  while (ids.length < 3000) {
    const allowed = [...mask.allowed().keys()].filter((token) => mask.allowed()[token] === 1);
    expect(allowed.length).toBeGreaterThan(0);
    const closing = allowed.filter((token) => ends.includes(token) || /^["\]}]$/.test(tokenizer.idToToken(token)!));
    const from = ids.length > 30 && closing.length > 0 ? closing : allowed;
    const token = from[Math.floor(random() * from.length)]!;
    mask.accept(token);
    if (ends.includes(token)) return tokenizer.decode(ids, { continues: true });
    ids.push(token);
  }
  throw new Error(`no end in 3000 tokens: ${tokenizer.decode(ids).slice(0, 200)}`);
}

/** Random texts are JSON that fits the schema. */
export async function walksFit(
  vocabulary: Vocabulary,
  ends: readonly number[],
  schema: unknown,
  seed: number,
  walks = 5,
): Promise<CompiledSchema> {
  const compiled = await compileJsonSchema(schema);
  const random = seeded(seed);
  const validate = ajv.compile(schema as object);
  for (let i = 0; i < walks; i += 1) {
    const text = randomText(vocabulary, ends, compiled.grammar, random);
    const fits = validate(JSON.parse(text));
    expect(fits, `${text}\n${ajv.errorsText(validate.errors)}\n${JSON.stringify(schema).slice(0, 2000)}`).toBe(true);
  }
  return compiled;
}

/** Whether the grammar takes a text byte by byte, and may end there. */
export function matches(grammar: Grammar, text: string): boolean {
  let at: typeof grammar.start | null = grammar.start;
  for (const value of new TextEncoder().encode(text)) {
    at = grammar.step(at, value);
    if (!at) return false;
  }
  return at.complete;
}

export async function takes(schema: unknown, text: string): Promise<boolean> {
  return matches((await compileJsonSchema(schema)).grammar, text);
}

/** Milliseconds that it takes to look once at every byte of a vocabulary, at best. */
export function onePass(tokenizer: Tokenizer): number {
  const words = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.tokenBytes(id));
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 10; round++) {
    const before = processed();
    let sum = 0;
    for (const word of words) for (const byte of word) sum += byte;
    least = Math.min(least, processed() - before);
    expect(sum).toBeGreaterThan(0);
  }
  return least;
}
