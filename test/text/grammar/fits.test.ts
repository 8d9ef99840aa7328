// Both ways: what a schema allows, its grammar takes, by bytes and by tokens; what the mask allows, the schema does.
import { beforeAll, describe, expect, it } from 'vitest';
import { compileJsonSchema, maskFor, type Vocabulary, vocabularyOf } from '../../../lib/text/grammar/index.js';
import { Tokenizer } from '../../../lib/text/tokenizer/tokenizer.js';
import { processed } from '../../processor-time.js';
import { hasShared, shared } from '../../shared.js';
import { instanceOf } from './instances.js';
import { randomSchema, seeded } from './schemas.js';
import { ajv, matches, onePass, smallVocabulary, walksFit } from './walk.js';

let vocabulary: Vocabulary;
let ends: readonly number[];

beforeAll(async () => {
  ({ vocabulary, ends } = await smallVocabulary());
});

const node = {
  type: 'object',
  properties: { v: { type: 'number' }, next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } },
  required: ['next'],
  additionalProperties: false,
};
const flags = Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`flag_${i}`, { type: 'boolean' }]));
const schemas: [string, Record<string, unknown>][] = [
  ['recursion', { $ref: '#/$defs/node', $defs: { node } }],
  ['many optional properties', { type: 'object', properties: flags, additionalProperties: false }],
  ['many required properties', { type: 'object', properties: flags, required: Object.keys(flags) }],
  [
    'other properties',
    { type: 'object', properties: { ab: {}, é: {}, 'q"': {} }, additionalProperties: { type: 'null' } },
  ],
  ['labels', { type: 'array', items: { enum: Array.from({ length: 700 }, (_, i) => `n°${i * 7}`) } }],
  ['ragged bounds', { type: 'array', items: { type: 'number', minimum: 0.01, maximum: 1 }, maxItems: 20 }],
  ['bounds round zero', { type: 'array', items: { type: 'number', exclusiveMinimum: -12.75, maximum: 3.5 } }],
  ['wide bounds', { type: 'array', items: { type: 'number', minimum: 99.95, exclusiveMaximum: 12000.5 } }],
  ['whole bounds', { type: 'array', items: { type: 'integer', minimum: -104, exclusiveMaximum: 3017 }, minItems: 9 }],
  ['lengths', { type: 'array', items: { type: 'string', minLength: 3, maxLength: 60 }, minItems: 1, maxItems: 5 }],
  ['a least length', { type: 'string', minLength: 30 }],
  [
    'two lengths',
    {
      anyOf: [
        { type: 'string', maxLength: 4 },
        { type: 'string', minLength: 8, maxLength: 12 },
      ],
    },
  ],
  ['a string or labels', { anyOf: [{ type: 'string', maxLength: 9 }, { enum: ['a longer label', 'b', 12] }] }],
  ['a tuple', { type: 'array', prefixItems: [{ type: 'integer' }, { type: 'boolean' }], items: { type: 'null' } }],
  ['anything', {}],
  ...Array.from({ length: 60 }, (_, seed): [string, Record<string, unknown>] => [
    `random schema ${seed}`,
    randomSchema(seeded(1000 + seed)),
  ]),
];

describe('instances', () => {
  it.each(schemas)('of %s are taken, and random texts fit', async (_, schema) => {
    const { grammar, warnings } = await compileJsonSchema(schema);
    expect(warnings).toEqual([]);
    const random = seeded(11);
    const validate = ajv.compile(schema);
    for (let i = 0; i < 25; i += 1) {
      const value = instanceOf(schema, schema, random);
      expect(validate(value), `${JSON.stringify(value)} ${ajv.errorsText(validate.errors)}`).toBe(true);
      const text = JSON.stringify(value);
      expect(matches(grammar, text), text).toBe(true);
      const mask = maskFor(vocabulary, grammar, ends);
      for (const token of vocabulary.tokenizer.encode(text, { addSpecialTokens: false })) {
        expect(mask.allowed()[token], `${text}: ${vocabulary.tokenizer.idToToken(token)}`).toBe(1);
        mask.accept(token);
      }
      expect(ends.every((id) => mask.allowed()[id] === 1)).toBe(true);
    }
    await walksFit(vocabulary, ends, schema, 3, 5);
  });
});

/** Each token's bytes, one after the other, say the same as the mask wherever the text goes. */
async function expectExact(words: Vocabulary, schema: object, value: unknown): Promise<void> {
  const { grammar } = await compileJsonSchema(schema);
  let at = grammar.start;
  for (const id of words.tokenizer.encode(JSON.stringify(value), { addSpecialTokens: false })) {
    const wrong: number[] = [];
    for (let token = 0; token < words.size; token += 1) {
      const bytes = words.bytesOf(token);
      let next: typeof grammar.start | null = at;
      for (let i = 0; i < bytes.length && next; i += 1) next = grammar.step(next, bytes[i]!);
      if ((next !== null && bytes.length > 0) !== (words.mask(grammar, at)[token] === 1)) wrong.push(token);
    }
    expect(wrong.map((token) => words.tokenizer.idToToken(token))).toEqual([]);
    for (const byte of words.bytesOf(id)) at = grammar.step(at, byte)!;
  }
}

const long = 'Grüße, 中文 und "Zitate" \\ mehr\n🙂';
const exact: [string, object, unknown][] = [
  ['a string', { type: 'string' }, long],
  ['a bounded string', { type: 'string', minLength: 5, maxLength: 40 }, long],
  ['a long string', { type: 'string', minLength: 500 }, long.repeat(2)],
  [
    'strings in a list',
    { type: 'array', items: { type: 'string', maxLength: 7 }, maxItems: 4 },
    ['a', 'sevench', '中"'],
  ],
  [
    'two strings',
    {
      anyOf: [
        { type: 'string', maxLength: 3 },
        { type: 'string', minLength: 2 },
      ],
    },
    'abcd',
  ],
  [
    'labels beside a string',
    { anyOf: [{ type: 'string', maxLength: 6 }, { enum: ['label one', 'two'] }] },
    'label one',
  ],
  ['keys', { properties: { ab: {} }, additionalProperties: { type: 'string', maxLength: 9 } }, { ab: 1, abc: 'de' }],
  ['a pattern', { type: 'string', pattern: '^.{2,30}x$' }, 'Grüße "x'],
];

describe('a mask', () => {
  it.each(exact)('is exact in %s', async (_, schema, value) => {
    await expectExact(vocabulary, schema, value);
  });
});

describe.skipIf(!hasShared('tokenizer-qwen3'))('on a vocabulary of 151669', () => {
  let words: Vocabulary;

  beforeAll(async () => {
    words = await vocabularyOf((await Tokenizer.fromFolder(shared('tokenizer-qwen3')))!);
  });

  it.each(exact.slice(0, 5))('is exact in %s', async (_, schema, value) => {
    await expectExact(words, schema, value);
  });

  it('costs little in a bounded string', async () => {
    const schema = { type: 'object', properties: { text: { type: 'string', maxLength: 500 } }, required: ['text'] };
    const ids = words.tokenizer.encode(JSON.stringify({ text: long.repeat(15) }), { addSpecialTokens: false });
    const rounds: number[][] = [];
    for (let round = 0; round < 4; round += 1) {
      const { grammar } = await compileJsonSchema(schema);
      const mask = maskFor(words, grammar, [...words.tokenizer.endIds]);
      const spent = ids.map((id) => {
        const before = processed();
        mask.allowed();
        const time = processed() - before;
        mask.accept(id);
        return time;
      });
      rounds.push(spent);
      // Places looked at: each mask that walks all tokens would add thousands.
      expect(grammar.work).toBeLessThan(20_000);
    }
    // The collector takes time from some rounds, not from all at the same token.
    const best = ids.map((_, i) => Math.min(...rounds.map((spent) => spent[i]!))).sort((a, b) => a - b);
    const [median, most] = [best[best.length >> 1]!, best.at(-1)!];
    const pass = onePass(words.tokenizer);
    console.info(
      `a mask in a bounded string: median ${median.toFixed(3)} ms, at most ${most.toFixed(1)} ms; ` +
        `one pass over the vocabulary ${pass.toFixed(1)} ms`,
    );
    expect(median).toBeLessThan(pass / 8);
    expect(most).toBeLessThan(2 * pass);
  });
});
