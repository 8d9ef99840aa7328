// Schemas with many properties, many labels or many copies of the same; and what is relaxed rather than forbidden.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Expression } from '../../../lib/text/grammar/expression.js';
import {
  Budget,
  compiled,
  compileJsonSchema,
  schemaExpression,
  type Vocabulary,
} from '../../../lib/text/grammar/index.js';
import { processed } from '../../processor-time.js';
import { seeded } from './schemas.js';
import { matches, randomText, smallVocabulary, takes, walksFit } from './walk.js';

let vocabulary: Vocabulary;
let ends: readonly number[];

beforeAll(async () => {
  ({ vocabulary, ends } = await smallVocabulary());
});

const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const propertiesOf = (count: number): Record<string, object> =>
  Object.fromEntries(many(count, (i) => [`key${i}`, { type: 'integer' }]));
const textOf = (indices: number[]): string => JSON.stringify(Object.fromEntries(indices.map((i) => [`key${i}`, i])));

describe('copies', () => {
  const part = { type: 'object', properties: propertiesOf(30), additionalProperties: true };
  const copies = (count: number, extra: (i: number) => object = () => ({})): object[] =>
    many(count, (i) => ({ $ref: '#/$defs/part', ...extra(i) }));

  it.each<[string, object]>([
    ['as they are', { anyOf: copies(256) }],
    ['with descriptions', { anyOf: copies(256, (i) => ({ description: `copy ${i}` })) }],
    [
      'of alternatives',
      { $defs: { part, all: { anyOf: copies(256) } }, anyOf: many(256, () => ({ $ref: '#/$defs/all' })) },
    ],
    ['as properties', { properties: Object.fromEntries(copies(256).map((copy, i) => [`p${i}`, copy])) }],
  ])('of a schema are built once: %s', async (_, schema) => {
    const once = (await compileJsonSchema(part)).grammar.states;
    const { grammar, warnings } = await compileJsonSchema({ $defs: { part }, ...schema });
    expect(grammar.states).toBeLessThan(2 * once + 3000);
    expect(warnings).toEqual([]);
  });

  it('that differ are relaxed where they are too many, and no more than those', async () => {
    const $defs = { part: { ...part, properties: propertiesOf(400) } };
    const first = { type: 'boolean' };
    const rest = Object.fromEntries(copies(200, (i) => ({ required: [`key${i}`] })).map((copy, i) => [`p${i}`, copy]));
    const { grammar, warnings } = await compileJsonSchema({ $defs, properties: { first, ...rest } });
    expect(grammar.states).toBeLessThan(70_000);
    expect(warnings.join()).toMatch(/too many/);
    expect(matches(grammar, '{"first":1}')).toBe(false);
    expect(matches(grammar, '{"first":true,"p199":{"key199":1}}')).toBe(true);
  });

  it('that are broken are an error, not a schema that nothing fits', async () => {
    const broken = { kind: 'rule', rule: undefined } as unknown as Expression;
    await expect(compiled(broken, [], broken, new Budget())).rejects.toThrow(TypeError);
  });

  it('share one budget among the schemas of a request', async () => {
    const budget = new Budget();
    const warnings: string[] = [];
    for (let i = 0; i < 20; i += 1) {
      const schema = { type: 'object', properties: propertiesOf(500), required: [`key${i}`] };
      warnings.push(...(await schemaExpression(schema, budget)).warnings);
    }
    expect(warnings.join()).toMatch(/too many parts/);
  });

  it('leave the event loop free while they are read', async () => {
    const anyOf = many(60, (i) => ({ type: 'object', properties: propertiesOf(40), required: [`key${i % 40}`] }));
    let turns = 0;
    const turn = setInterval(() => {
      turns += 1;
    }, 0);
    const before = processed();
    await compileJsonSchema({ anyOf });
    clearInterval(turn);
    expect(turns).toBeGreaterThan(Math.min(3, (processed() - before) / 50));
  });
});

describe('an object', () => {
  it.each([200, 1000])('may require %d properties', async (count) => {
    const schema = { type: 'object', properties: propertiesOf(count), required: Object.keys(propertiesOf(count)) };
    const { grammar, warnings } = await compileJsonSchema(schema);
    expect(warnings).toEqual([]);
    expect(grammar.start.closed).toBe(false);
    expect(matches(grammar, textOf(many(count, (i) => i)))).toBe(true);
    expect(matches(grammar, textOf(many(count - 1, (i) => i)))).toBe(false);
  });

  it('may require many properties on many levels', async () => {
    const level = (inner: object): object => ({
      type: 'object',
      properties: { ...propertiesOf(66), inner },
      required: [...Object.keys(propertiesOf(66)), 'inner'],
    });
    const schema = level(level(level({ type: 'null' })));
    const { grammar, warnings } = await compileJsonSchema(schema);
    expect(warnings).toEqual([]);
    const value = (inner: unknown): unknown => ({ ...Object.fromEntries(many(66, (i) => [`key${i}`, i])), inner });
    expect(matches(grammar, JSON.stringify(value(value(value(null)))))).toBe(true);
  });

  it('may offer 1000 properties, each of which can follow each before it', async () => {
    const schema = { type: 'object', properties: propertiesOf(1000), required: ['key999'] };
    const { grammar, warnings } = await compileJsonSchema(schema);
    expect(warnings).toEqual([]);
    for (const indices of [[999], [0, 999], [0, 1, 500, 998, 999], many(1000, (i) => i), [97, 300, 999]]) {
      expect(matches(grammar, textOf(indices)), indices.join()).toBe(true);
    }
    expect(matches(grammar, textOf([0, 1]))).toBe(false);
    expect(matches(grammar, '{"key1":1,"key0":1,"key999":1}')).toBe(false);
    await walksFit(vocabulary, ends, schema, 1, 1);
  });

  it('among alternatives with too many properties to follow is relaxed with a warning', async () => {
    const anyOf = many(5, (i) => ({ type: 'object', properties: propertiesOf(900 + i), additionalProperties: false }));
    const { grammar, warnings } = await compileJsonSchema({ properties: { a: { anyOf }, b: { const: 1 } } });
    expect(warnings.join()).toMatch(/too many properties/);
    expect(matches(grammar, '{"a":{"key899":1},"b":1}')).toBe(true);
    expect(matches(grammar, '{"b":2}')).toBe(false);
  });

  it('that is nested too deep to start is relaxed with a warning', async () => {
    let schema: object = { type: 'null' };
    for (let i = 0; i < 400; i += 1) schema = { type: 'object', properties: { a: schema }, required: ['a'] };
    const { grammar, warnings } = await compileJsonSchema(schema);
    expect(warnings.join()).toMatch(/nested too deep/);
    expect(grammar.start.closed).toBe(false);
  });

  it('may have a tuple of 300 items', async () => {
    const schema = { type: 'array', prefixItems: many(300, (i) => ({ const: i })), minItems: 300, maxItems: 300 };
    expect(await takes(schema, JSON.stringify(many(300, (i) => i)))).toBe(true);
  });
});

describe('1000 labels', () => {
  const labels = many(1000, (i) => `label ${i}`);
  it.each<[string, object]>([
    ['an enum', { enum: labels }],
    ['constants', { anyOf: labels.map((label) => ({ const: label, title: label.toUpperCase() })) }],
    ['exclusive constants', { oneOf: labels.map((label) => ({ const: label })) }],
    ['an enum beside a string', { anyOf: [{ enum: labels }, { type: 'string', maxLength: 1 }] }],
  ])('are all reachable in %s', async (_, schema) => {
    const { grammar, warnings } = await compileJsonSchema(schema);
    expect(warnings).toEqual([]);
    for (const label of labels) expect(matches(grammar, JSON.stringify(label)), label).toBe(true);
    expect(matches(grammar, '"label"')).toBe(false);
    expect(matches(grammar, '"label 1000"')).toBe(false);
  });
});

describe('bounds', () => {
  it.each<[object, string, string]>([
    [{ minimum: 0.01, maximum: 1 }, '0.01 0.5 0.999 1 1.0 0.010 0.9999999', '0.009 1.01 0 0.0 2 -0.5 0.00'],
    [{ minimum: 0.25, maximum: 0.75 }, '0.25 0.5 0.75 0.750 0.7', '0.2 0.24 0.751 0.8 0 1'],
    [{ minimum: -1.5, maximum: 1.25 }, '-1.5 -1.49 -1 -0.1 0 1 1.25 1.2', '-1.51 -2 1.26 1.3 2'],
    [{ exclusiveMinimum: 0, exclusiveMaximum: 1 }, '0.1 0.000001 0.9999', '0 0.0 1 1.0 -0.1'],
    [{ exclusiveMinimum: 0.5 }, '0.51 0.6 1 17 123456.75', '0.5 0.50 0.49 0 -1'],
    [{ exclusiveMaximum: -0.5 }, '-0.51 -0.6 -1 -17', '-0.5 0 -0.49 1'],
    [{ minimum: 2.5, maximum: 2.5 }, '2.5 2.50', '2 2.4 2.51 3'],
    [{ minimum: 99.5, maximum: 1000.125 }, '99.5 100 456.789 999.9 1000 1000.125', '99 99.4 1000.126 1000.2 1001'],
    [{ minimum: 1e-7 }, '0.0000001 0.1 1', '0 0.00000009'],
    [{ maximum: 5e-7, minimum: 0 }, '0 0.0000005', '0.0000006 0.1'],
    [{ type: 'integer', minimum: 1e15 }, '1000000000000000 1000000000000001', '999999999999999 0 -1000000000000000'],
    [{ type: 'integer', maximum: -1e18 }, '-1000000000000000000', '-999999999999999999 0'],
    [{ type: 'integer', minimum: 0.5, maximum: 2.5 }, '1 2', '0 3'],
    [{ type: 'integer', exclusiveMinimum: 0.5, exclusiveMaximum: 2 }, '1', '0 2'],
  ])('are kept to the digit: %j', async (bounds, inside, outside) => {
    const schema = { type: 'number', ...bounds };
    const { grammar, warnings } = await compileJsonSchema(schema);
    expect(warnings).toEqual([]);
    for (const text of inside.split(' ')) expect(matches(grammar, text), text).toBe(true);
    for (const text of outside.split(' ')) expect(matches(grammar, text), text).toBe(false);
    await walksFit(vocabulary, ends, { type: 'array', items: schema, minItems: 8, maxItems: 8 }, 5, 8);
  });

  it('beyond any use are relaxed outward', async () => {
    const { grammar, warnings } = await compileJsonSchema({
      type: 'object',
      properties: { a: { type: 'integer', minimum: 1e300 }, b: { type: 'number', minimum: 1e-300 }, c: { const: 1 } },
    });
    expect(warnings.join()).toMatch(/minimum.*not enforced/);
    expect(matches(grammar, '{"a":1,"b":0.1,"c":1}')).toBe(true);
    expect(matches(grammar, '{"b":-0.1}')).toBe(false);
    expect(matches(grammar, '{"c":2}')).toBe(false);
  });
});

describe('what is not supported only widens', () => {
  it.each<[object, string[], RegExp]>([
    [
      { type: 'object', patternProperties: { '^x-': { type: 'string' } }, additionalProperties: false },
      ['{}', '{"x-a":"b"}'],
      /patternProperties/,
    ],
    [
      { properties: { a: { const: 1 } }, patternProperties: { '^x-': {} }, additionalProperties: false },
      ['{"a":1,"x-a":"b"}', '{"x-b":[2]}'],
      /patternProperties/,
    ],
    [
      {
        allOf: [
          { type: 'object', patternProperties: { '^x-': {} }, additionalProperties: false },
          { properties: { 'x-a': { const: 1 } } },
        ],
      },
      ['{"x-a":1}'],
      /patternProperties/,
    ],
    [{ type: 'string', nullable: true }, ['null', '"a"'], /nullable/],
    [{ enum: ['a'], nullable: true }, ['null', '"a"'], /nullable/],
    [{ $ref: '#/$defs/a', nullable: true, $defs: { a: { type: 'integer' } } }, ['null', '7'], /nullable/],
    [{ properties: { a: { type: 'string', nullable: true } } }, ['{"a":null}', '{}'], /nullable/],
  ])('%j', async (schema, texts, warning) => {
    const { grammar, warnings } = await compileJsonSchema(schema);
    expect(warnings.join()).toMatch(warning);
    for (const text of texts) expect(matches(grammar, text), text).toBe(true);
    expect(() => JSON.parse(randomText(vocabulary, ends, grammar, seeded(1)))).not.toThrow();
  });

  it('a part alone where the part is too large', async () => {
    const labels = many(20_000, (i) => `a long label, number ${i}`);
    const { grammar, warnings } = await compileJsonSchema({
      properties: { label: { enum: labels }, count: { type: 'integer' } },
      required: ['label', 'count'],
    });
    expect(warnings.join()).toMatch(/"enum" is too long/);
    expect(matches(grammar, '{"label":"other","count":1}')).toBe(true);
    expect(matches(grammar, '{"label":7,"count":1}')).toBe(false);
    expect(matches(grammar, '{"label":"other","count":"1"}')).toBe(false);
  });
});
