// The sentences about wrong options: the name, what it must be, what it is, and what was probably meant.
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { shown } from '../../lib/flow/fault.js';
import { callbackOption, checkOptions, signalOption } from '../../lib/flow/options.js';

const schema = z.strictObject({
  count: z.number().int().min(1).optional(),
  share: z.number().min(0).lt(1).optional(),
  kind: z.enum(['linear', 'cosine']).optional(),
  names: z.array(z.string()).optional(),
  biases: z.map(z.number().int(), z.number()).describe('a Map of numbers').optional(),
  limits: z.strictObject({ bodyBytes: z.number().positive().optional() }).optional(),
  from: z.union([z.string(), z.strictObject({ path: z.string() })]).optional(),
  signal: signalOption.optional(),
  onStep: callbackOption<() => void>().optional(),
  maxNewTokens: z.number().optional(),
  ranks: z.record(z.string(), z.number().int().positive()).optional(),
  needed: z.string(),
});
const fault = (given: unknown): unknown => {
  try {
    return checkOptions('make', schema, given, { aliases: { lr: 'share', steps: 'nothing' } });
  } catch (error) {
    return error;
  }
};
const of = (options: object): unknown => fault({ needed: 'x', ...options });

describe('a wrong value', () => {
  it.each<[object, Error]>([
    [{ count: 0 }, new RangeError("make: option 'count' must be a positive integer, got 0")],
    [{ count: 1.5 }, new RangeError("make: option 'count' must be a positive integer, got 1.5")],
    [{ count: Number.NaN }, new RangeError("make: option 'count' must be a positive integer, got NaN")],
    [{ count: '2' }, new TypeError('make: option \'count\' must be a positive integer, got "2"')],
    [{ share: 1 }, new RangeError("make: option 'share' must be a number at least 0 and below 1, got 1")],
    [{ kind: 'square' }, new RangeError('make: option \'kind\' must be one of "linear", "cosine", got "square"')],
    [{ kind: 3 }, new TypeError('make: option \'kind\' must be one of "linear", "cosine", got 3')],
    [{ names: 'x' }, new TypeError('make: option \'names\' must be a list, each a string, got "x"')],
    [{ names: ['a', 2] }, new TypeError("make: option 'names[1]' must be a string, got 2")],
    [{ biases: {} }, new TypeError("make: option 'biases' must be a Map of numbers, got {}")],
    [{ limits: { bodyBytes: 0 } }, new RangeError("make: option 'limits.bodyBytes' must be a positive number, got 0")],
    [{ ranks: { 'q.*': 0 } }, new RangeError("make: option 'ranks.q.*' must be a positive integer, got 0")],
    [{ from: 5 }, new TypeError("make: option 'from' must be a string or an object, got 5")],
    [{ from: { path: 5 } }, new TypeError("make: option 'from.path' must be a string, got 5")],
    [{ signal: {} }, new TypeError("make: option 'signal' must be an AbortSignal, got {}")],
    [{ onStep: new Date(0) }, new TypeError("make: option 'onStep' must be a function, got 1970-01-01T00:00:00.000Z")],
    [{ needed: undefined }, new TypeError("make: option 'needed' must be a string, but is missing")],
  ])('%j is named', (options, error) => {
    expect(of(options)).toEqual(error);
    expect((of(options) as Error).name).toBe(error.name);
  });

  it.each([undefined, null, 5])('%s is no options', (given) => {
    expect(fault(given)).toEqual(new TypeError(`make: the options must be an object, got ${given}`));
  });

  it('passes on what is right, untouched', () => {
    const onStep = (): void => {};
    const { signal } = new AbortController();
    expect(of({ count: undefined, onStep, signal })).toEqual({ needed: 'x', onStep, signal });
  });
});

describe('an unknown name', () => {
  it.each([
    ['counts', 'count'],
    ['COUNT', 'count'],
    ['max_new_tokens', 'maxNewTokens'],
    ['maxTokens', 'maxNewTokens'],
    ['tokens', 'maxNewTokens'],
    ['abortSignal', 'signal'],
    ['lr', 'share'],
  ])('%s suggests %s', (name, meant) => {
    expect(of({ [name]: 1 })).toEqual(new TypeError(`make: option '${name}' is not known: did you mean '${meant}'?`));
  });

  it('that resembles none brings all of them', () => {
    const known = Object.keys(schema.shape).join(', ');
    for (const name of ['zebra', 'steps'])
      expect(of({ [name]: 1 })).toEqual(new TypeError(`make: option '${name}' is not known; known: ${known}`));
  });

  it('inside an option is named by its place, and comes before what is missing', () => {
    expect(of({ limits: { bytes: 1 } })).toEqual(
      new TypeError("make: option 'limits.bytes' is not known: did you mean 'bodyBytes'?"),
    );
    expect(fault({ neded: 'x' })).toEqual(new TypeError("make: option 'neded' is not known: did you mean 'needed'?"));
  });
});

it('shows values shortly, whatever they are', () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const odd: [unknown, string][] = [
    ['a"b', '"a\\"b"'],
    [[1, 'x'], '[1,"x"]'],
    [10n, '10'],
    [Symbol('s'), 'Symbol(s)'],
    [new Map([[1, 2]]), '[Map]'],
    [{ constructor: 5 }, '{"constructor":5}'],
    [Object.create(null), '{}'],
    [{ big: 10n }, '{ big: 10n }'],
  ];
  for (const [value, text] of odd) expect(shown(value)).toBe(text);
  expect(shown(circle)).toMatch(/Circular/);
  expect(shown(() => 1)).toMatch(/^\[Function/);
  expect(shown('x'.repeat(1000))).toHaveLength(78);
});
