// Constrained decoding: whatever allowed tokens are taken, the text is JSON that fits the schema.
import { beforeAll, describe, expect, it } from 'vitest';
import { openGguf } from '../../../lib/files/gguf.js';
import { choice, control, sequence, text } from '../../../lib/text/grammar/expression.js';
import {
  type CompiledSchema,
  compileJsonObject,
  compileJsonSchema,
  Grammar,
  maskFor,
  type Vocabulary,
  vocabularyOf,
} from '../../../lib/text/grammar/index.js';
import { tokenizerFromGguf } from '../../../lib/text/tokenizer/gguf-tokenizer.js';
import { longestStretch, processed } from '../../processor-time.js';
import { hasShared, shared } from '../../shared.js';
import { randomSchema, seeded } from './schemas.js';
import { onePass, randomText, smallVocabulary, takes, walksFit } from './walk.js';

let vocabulary: Vocabulary;
let ends: readonly number[];

beforeAll(async () => {
  ({ vocabulary, ends } = await smallVocabulary());
});

const expectFits = (schema: unknown, seed: number, walks?: number): Promise<CompiledSchema> =>
  walksFit(vocabulary, ends, schema, seed, walks);
const walk = ({ grammar }: CompiledSchema, random: () => number): string =>
  randomText(vocabulary, ends, grammar, random);
const encode = (text: string): number[] => vocabulary.tokenizer.encode(text, { addSpecialTokens: false });

describe('random walks', () => {
  it('through 150 random schemas give JSON that fits', async () => {
    for (let seed = 1; seed <= 150; seed += 1) {
      expect((await expectFits(randomSchema(seeded(seed)), seed, 3)).warnings).toEqual([]);
    }
  });

  it.each<[string, object]>([
    [
      'a recursive reference',
      {
        $ref: '#/$defs/n',
        $defs: {
          n: {
            type: 'object',
            properties: { v: { type: 'integer' }, next: { anyOf: [{ $ref: '#/$defs/n' }, { type: 'null' }] } },
            required: ['v', 'next'],
          },
        },
      },
    ],
    [
      'a reference to the root',
      {
        type: 'object',
        properties: { children: { type: 'array', items: { $ref: '#' } } },
        required: ['children'],
        additionalProperties: false,
      },
    ],
    [
      'allOf',
      {
        allOf: [
          { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] },
          { properties: { b: { enum: [1, 2] }, a: { maxLength: 3 } }, required: ['b'] },
        ],
      },
    ],
    [
      'anyOf beside properties',
      {
        type: 'object',
        properties: { a: { type: 'integer' }, b: { type: 'boolean' } },
        anyOf: [{ required: ['a'] }, { required: ['b'] }],
      },
    ],
    [
      'a discriminated oneOf',
      {
        oneOf: [
          { type: 'object', properties: { k: { const: 'x' }, n: { type: 'integer' } }, required: ['k', 'n'] },
          { type: 'object', properties: { k: { const: 'y' }, s: { type: 'string' } }, required: ['k', 's'] },
        ],
      },
    ],
    [
      'additional properties beside named ones',
      {
        type: 'object',
        properties: { ab: { type: 'integer' }, 'a"c': { type: 'null' } },
        additionalProperties: { type: 'boolean' },
      },
    ],
    [
      'patterns',
      {
        type: 'array',
        minItems: 3,
        maxItems: 3,
        items: { type: 'string', pattern: '^[A-Z][a-z]{2,5}( \\d+|[^\\s"x])?$' },
      },
    ],
    ['an open pattern', { type: 'string', pattern: '[a-z].|^\\\\d?' }],
    ['lengths', { type: 'string', minLength: 7, maxLength: 9 }],
    [
      'an integer range',
      { type: 'array', items: { type: 'integer', minimum: -13, maximum: 257 }, minItems: 6, maxItems: 6 },
    ],
    [
      'a number range',
      { type: 'array', items: { type: 'number', minimum: -1, exclusiveMaximum: 3 }, minItems: 6, maxItems: 6 },
    ],
    [
      'a tuple',
      {
        type: 'array',
        prefixItems: [{ type: 'integer' }, { type: 'boolean' }],
        items: { type: 'null' },
        minItems: 1,
        maxItems: 4,
      },
    ],
    ['constants', { enum: ['é"\\', 12, null, { a: [1] }, ''] }],
    ['several types', { type: ['string', 'null', 'integer'] }],
    ['anything', {}],
    ...['date', 'time', 'date-time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uuid'].map(
      (format): [string, object] => [format, { type: 'string', format }],
    ),
  ])('give %s', async (_, schema) => {
    expect((await expectFits(schema, 7, 12)).warnings).toEqual([]);
  });

  it('give any JSON object', async () => {
    const random = seeded(3);
    for (let i = 0; i < 20; i += 1) expect(JSON.parse(walk(await compileJsonObject(), random))).toBeTypeOf('object');
  });
});

describe('a grammar', () => {
  it('takes JSON as models write it', async () => {
    const schema = {
      type: 'object',
      properties: { a: { type: 'array', items: { type: 'number' } }, b: {} },
      required: ['a'],
    };
    for (const text of [
      '{"a":[]}',
      '{"a": [1, -2.5e3]}',
      '{\n  "a": [\n    0.5\n  ],\n  "b": {"x": "é\\n\\u00e9"}\n}',
      ' {"a":[1],"b":null}',
    ]) {
      expect(await takes(schema, text), text).toBe(true);
    }
    for (const text of [
      '{}',
      '{"b":1}',
      '{"a":[1,]}',
      '{"a":[01]}',
      '{"a":[]',
      '{"a":[]}}',
      "{'a':[]}",
      '{"a":[\n\n1]}',
    ]) {
      expect(await takes(schema, text), text).toBe(false);
    }
  });

  it('keeps the ends of numbers', async () => {
    const at = (schema: object, texts: string[]): Promise<boolean[]> =>
      Promise.all(texts.map((text) => takes(schema, text)));
    expect(await at({ type: 'integer', minimum: 5, maximum: 120 }, ['4', '5', '99', '120', '121', '05', '-7'])).toEqual(
      [false, true, true, true, false, false, false],
    );
    expect(
      await at({ type: 'number', exclusiveMinimum: 0, maximum: 1 }, ['0', '0.0', '0.01', '1', '1.0', '1.01']),
    ).toEqual([false, false, true, true, true, false]);
    expect(await at({ type: 'integer', exclusiveMinimum: -3 }, ['-3', '-2', '0', '900'])).toEqual([
      false,
      true,
      true,
      true,
    ]);
  });

  it('never spells a named property among the additional ones', async () => {
    const schema = { properties: { ab: { type: 'integer' } }, additionalProperties: { type: 'string' } };
    expect(await takes(schema, '{"ab":"x"}')).toBe(false);
    expect(await takes(schema, '{"\\u0061b":"x"}')).toBe(false);
    expect(await takes(schema, '{"abc":"x","a":"","b\\n":""}')).toBe(true);
  });

  it('holds characters whole', async () => {
    const { grammar } = await compileJsonSchema({ type: 'string', minLength: 1, maxLength: 1 });
    const bytes = new TextEncoder().encode('"🙂"');
    const split = [...bytes.slice(0, 3), 0x22].reduce<typeof grammar.start | null>(
      (at, value) => at && grammar.step(at, value),
      grammar.start,
    );
    expect(split).toBeNull();
    expect(await takes({ type: 'string', minLength: 1, maxLength: 1 }, '"🙂"')).toBe(true);
    expect(await takes({ type: 'string' }, '"\\ud83d"')).toBe(false);
  });
});

describe('what is not understood', () => {
  it.each<[string, object, RegExp]>([
    ['not', { type: 'string', not: { const: 'a' } }, /"not" is not enforced/],
    ['a look-around', { type: 'string', pattern: '(?=a)b' }, /pattern .* is not enforced/],
    ['a long pattern', { type: 'string', pattern: 'ab'.repeat(5000) }, /pattern/],
    ['a format', { type: 'string', format: 'iri' }, /format "iri"/],
    ['a remote reference', { $ref: 'https://example.com/x' }, /\$ref/],
    ['an unsatisfiable schema', { type: 'string', minLength: 5, maxLength: 2 }, /nothing fits/],
    [
      'an endless schema',
      {
        $ref: '#/$defs/a',
        $defs: { a: { type: 'object', properties: { a: { $ref: '#/$defs/a' } }, required: ['a'] } },
      },
      /nothing fits/,
    ],
    [
      'a circle of references',
      { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } },
      /nothing fits/,
    ],
    ['an unknown type', { type: 'strng' }, /type "strng"/],
  ])('%s is relaxed with a warning', async (_, schema, warning) => {
    const compiled = await compileJsonSchema(schema);
    expect(compiled.warnings.join('; ')).toMatch(warning);
    expect(() => JSON.parse(walk(compiled, seeded(1)))).not.toThrow();
  });

  it('stays within bounds for hostile schemas', async () => {
    const doubling = Object.fromEntries(
      Array.from({ length: 60 }, (_, i) => [
        `d${i}`,
        { anyOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] },
      ]),
    );
    let deep: object = {};
    for (let i = 0; i < 20_000; i += 1) deep = { items: deep };
    const growing = {
      $ref: '#/$defs/a',
      $defs: {
        a: { allOf: [{ properties: { c: { $ref: '#/$defs/a' } } }, { properties: { c: { $ref: '#/$defs/a' } } }] },
      },
    };
    const wide = {
      properties: Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`p${i}`, { type: 'string' }])),
      additionalProperties: true,
    };
    const hostile = [
      { $ref: '#/$defs/d0', $defs: { ...doubling, d60: { type: 'null' } } },
      { allOf: Array.from({ length: 40 }, (_, i) => ({ anyOf: [{ minLength: i }, { maxLength: 99 + i }, {}] })) },
      deep,
      { const: deep },
      growing,
      wide,
      { enum: Array.from({ length: 30_000 }, (_, i) => `value number ${i}`) },
      { type: 'array', minItems: 1e9, maxItems: 1e12 },
      { properties: { ['x'.repeat(100_000)]: {} }, additionalProperties: true },
      null,
      7,
      ['a'],
      { properties: 3, required: 'a', items: 1, type: [1, null], enum: {}, allOf: 4, $ref: {} },
    ];
    for (const schema of hostile) {
      const compiled = await compileJsonSchema(schema);
      expect(compiled.grammar.states, JSON.stringify(compiled.warnings)).toBeLessThan(70_000);
      expect(compiled.warnings.join().length).toBeLessThan(2000);
      expect(() => JSON.parse(walk(compiled, seeded(1)))).not.toThrow();
    }
  });
});

describe('a mask', () => {
  it('costs little time for a schema made to be slow', async () => {
    const patterns = Array.from({ length: 200 }, (_, i) => ({
      type: 'string',
      pattern: `^([a-z ]*[a-z]){${i % 9}}x.*y$`,
    }));
    const compiled = await compileJsonSchema({ anyOf: patterns });
    const random = seeded(1);
    const mask = maskFor(vocabulary, compiled.grammar, ends);
    for (let i = 0; i < 30; i += 1) {
      const before = compiled.grammar.work;
      const allowed = [...mask.allowed().keys()].filter((token) => mask.allowed()[token] === 1);
      mask.accept(allowed[Math.floor(random() * allowed.length)]!);
      // A place costs some 100 ns.
      expect(compiled.grammar.work - before).toBeLessThan(200_000);
    }
  });

  it('refuses what was not allowed and says when it is done', async () => {
    const mask = maskFor(vocabulary, (await compileJsonSchema({ const: true })).grammar, ends);
    expect(mask.done).toBe(false);
    expect(() => mask.accept(encode('x')[0]!)).toThrow(/not allowed/);
    for (const token of encode('true')) mask.accept(token);
    expect(mask.done).toBe(true);
    expect([...mask.allowed().keys()].filter((token) => mask.allowed()[token])).toEqual([...ends]);
  });

  it('takes control tokens where the grammar has them, first or between', async () => {
    const [one, two] = [control(0), control(1)];
    const grammar = await Grammar.of(sequence(one, text('a'), choice(sequence(two, text('b'), one), text('c'))));
    const mask = maskFor(vocabulary, grammar, ends, [3, 4]);
    const allowed = (): number[] => [...mask.allowed().keys()].filter((token) => mask.allowed()[token] === 1);
    expect(allowed()).toEqual([3]);
    mask.accept(3);
    expect(allowed()).not.toContain(3);
    mask.accept(encode('a')[0]!);
    expect(allowed()).toContain(4);
    expect(allowed()).not.toContain(3);
    expect(allowed()).toEqual(expect.arrayContaining(encode('c')));
    mask.accept(4);
    expect(allowed()).not.toContain(4);
    mask.accept(encode('b')[0]!);
    expect(allowed()).toEqual([3]);
    mask.accept(3);
    expect(mask.done).toBe(true);
    expect(allowed()).toEqual([...ends]);
  });
});

describe.skipIf(!hasShared('smollm2-135m-instruct'))('on a vocabulary of 49152', () => {
  it('takes little time and leaves the event loop free', async () => {
    const gguf = openGguf(shared('smollm2-135m-instruct', 'SmolLM2-135M-Instruct.Q4_1.gguf'));
    const slices: number[] = [];
    let large = tokenizerFromGguf(gguf.metadata);
    for (let round = 0; round < 3; round += 1) {
      large = tokenizerFromGguf(gguf.metadata);
      slices.push(await longestStretch(() => vocabularyOf(large)));
    }
    gguf.close();
    const longest = Math.min(...slices);
    const words = await vocabularyOf(large);
    const { grammar } = await compileJsonSchema({
      type: 'object',
      properties: { name: { type: 'string' }, tags: { type: 'array', items: { type: 'string' } } },
      required: ['name', 'tags'],
    });
    const text = '{"name": "Grüße from here", "tags": ["one", "two words", "three \\n lines"]}';
    const ids = large.encode(text, { addSpecialTokens: false });
    const spent: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      const mask = maskFor(words, grammar, [...large.endIds]);
      for (const id of ids) {
        const before = processed();
        const allowed = mask.allowed();
        spent.push(processed() - before);
        expect(allowed[id]).toBe(1);
        mask.accept(id);
      }
    }
    spent.sort((a, b) => a - b);
    const pass = onePass(large);
    console.info(
      `longest slice ${longest.toFixed(1)} ms; a step ${spent[spent.length >> 1]!.toFixed(3)} ms; ` +
        `one pass over the vocabulary ${pass.toFixed(1)} ms`,
    );
    expect(longest).toBeLessThan(40 * pass);
    expect(spent[spent.length >> 1]).toBeLessThan(pass / 2);
  });
});
