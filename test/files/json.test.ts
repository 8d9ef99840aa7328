// JSON files: where they break, and what is wrong with their fields.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { check, readJson } from '../../lib/files/json.js';
import { JsonScanner } from '../../lib/files/json-scan.js';
import { shown } from '../../lib/flow/fault.js';

let path: string;
beforeAll(() => {
  path = join(mkdtempSync(join(tmpdir(), 'helvetia-json-')), 'config.json');
});
afterAll(() => rmSync(join(path, '..'), { recursive: true }));

describe('readJson', () => {
  const read = (content: string | Uint8Array, options = {}) => {
    writeFileSync(path, content);
    return readJson(path, options);
  };

  it('reads an object', () => {
    expect(read('\ufeff{"a": [1, {"b": null}]}')).toEqual({ a: [1, { b: null }] });
  });

  it('takes what Python writes for numbers that JSON has not, outside of texts', () => {
    expect(read('{"limit": [0.0, Infinity], "b": -Infinity, "c": "NaN \\" Infinity", "d": NaN}')).toEqual({
      limit: [0, { __float__: 'Infinity' }],
      b: { __float__: '-Infinity' },
      c: 'NaN " Infinity',
      d: { __float__: 'NaN' },
    });
  });

  it('reads no text twice that looks like one string after another without an end', () => {
    const content = `{"a": Infinity, "${'\\"'.repeat(400_000)}`;
    expect(() => read(content)).toThrow('not valid JSON at line 1');
  });

  const wrong: [content: string | Uint8Array, message: string][] = [
    ['abc', "not valid JSON at line 1, column 1: unexpected 'a'"],
    ['', 'not valid JSON at line 1, column 1: the text ends too early'],
    ['{\n  "a": 1,\n}', 'not valid JSON at line 3, column 1: expected a key'],
    ['{"a": Infinit}', "not valid JSON at line 1, column 7: unexpected 'I'"],
    ['{"a": Infinity', "not valid JSON at line 1, column 7: unexpected 'I'"],
    ['{"a": tru}', "not valid JSON at line 1, column 7: unexpected 't'"],
    ['{"a": 01}', "not valid JSON at line 1, column 8: expected '}'"],
    ['{"a": "b', 'not valid JSON at line 1, column 9: a string has no end'],
    ['{"a": "b\n"}', 'not valid JSON at line 1, column 9: control character inside a string'],
    ['{"a": "\\q"}', 'not valid JSON at line 1, column 7: bad escape in a string'],
    ['{"a": 1} {', 'not valid JSON at line 1, column 10: unexpected text after the value'],
    ['[1, 2]', 'must be a JSON object, got [1,2]'],
    ['null', 'must be a JSON object, got null'],
    [Uint8Array.of(0x7b, 0xff, 0x7d), 'not UTF-8 text'],
  ];
  for (const [content, message] of wrong) {
    it(`refuses ${shown(String(content))}`, () => {
      expect(() => read(content)).toThrow(new Error(`${path}: ${message}`));
    });
  }

  it('names a file that is missing, a folder or too large', () => {
    expect(() => readJson(`${path}.absent`)).toThrow(new Error(`${path}.absent: no such file or folder`));
    expect(() => readJson(join(path, '..'))).toThrow('is a folder, not a file');
    expect(() => read('{"a":1}', { maxBytes: 6 })).toThrow(new Error(`${path}: 7 bytes is more than the 6 allowed`));
  });
});

describe('JsonScanner', () => {
  const valid = (text: string): boolean => {
    const scanner = new JsonScanner(text);
    try {
      scanner.skip();
      scanner.end();
      return true;
    } catch (error) {
      expect(error).toBeInstanceOf(SyntaxError);
      return false;
    }
  };

  it('agrees with JSON.parse on what is JSON', () => {
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"\\u00e9"',
      '"\\x"',
      '1',
      '-0',
      '1.5e+3',
      '01',
      'true',
      'null',
      ' ',
      '\n',
    ];
    let state = 12345;
    let accepted = 0;
    for (let round = 0; round < 20_000; round++) {
      let text = '';
      for (let i = 0; i < 1 + (round % 7); i++) {
        state = (Math.imul(state, 1103515245) + 12345) >>> 0;
        text += pieces[(state >>> 8) % pieces.length];
      }
      let expected = true;
      try {
        JSON.parse(text);
      } catch {
        expected = false;
      }
      expect(valid(text), text).toBe(expected);
      if (expected) accepted++;
    }
    expect(accepted).toBeGreaterThan(500);
  });

  it('passes over any depth', () => {
    const depth = 300_000;
    expect(valid('['.repeat(depth) + ']'.repeat(depth))).toBe(true);
    expect(valid('{"a":['.repeat(depth) + ']}'.repeat(depth))).toBe(true);
    expect(valid('['.repeat(depth))).toBe(false);
  });
});

describe('check', () => {
  const schema = z.looseObject({
    hidden_size: z.int().positive(),
    seed: z.int().min(0).optional(),
    dropout: z.number().min(0).lt(1).optional(),
    theta: z.number().positive().default(10000),
    eos_token_id: z.union([z.int(), z.array(z.int().nonnegative())]).optional(),
    kind: z.enum(['linear', 'llama3']).nullish(),
    files: z.record(z.string(), z.string()).optional(),
    scaling: z.strictObject({ factor: z.number().gte(1).lte(4) }).optional(),
    messages: z.array(z.object({ role: z.string() })).optional(),
    flag: z.boolean().optional(),
    even: z
      .int()
      .refine((value) => value % 2 === 0, 'must be even')
      .optional(),
  });
  const good = { hidden_size: 8 };

  it('returns what the schema makes of the value', () => {
    expect(check('config.json', schema, { ...good, other: 1 })).toEqual({
      hidden_size: 8,
      theta: 10000,
      other: 1,
    });
  });

  const wrong: [value: unknown, message: string][] = [
    [{ hidden_size: 'x' }, `field 'hidden_size' must be a positive integer, got "x"`],
    [{ hidden_size: 1.5 }, `field 'hidden_size' must be a positive integer, got 1.5`],
    [{}, `field 'hidden_size' must be a positive integer, but is missing`],
    [{ ...good, seed: -1 }, `field 'seed' must be an integer at least 0, got -1`],
    [{ ...good, dropout: 1 }, `field 'dropout' must be a number at least 0 and below 1, got 1`],
    [{ ...good, theta: null }, `field 'theta' must be a positive number, got null`],
    [{ ...good, eos_token_id: [1, -2] }, `field 'eos_token_id[1]' must be an integer at least 0, got -2`],
    [
      { ...good, eos_token_id: 'a' },
      `field 'eos_token_id' must be an integer or a list, each an integer at least 0, got "a"`,
    ],
    [{ ...good, kind: 'yarn' }, `field 'kind' must be one of "linear", "llama3" or null, got "yarn"`],
    [{ ...good, files: { a: 3 } }, `field 'files.a' must be a string, got 3`],
    [{ ...good, scaling: { factor: 9 } }, `field 'scaling.factor' must be a number at least 1 and at most 4, got 9`],
    [{ ...good, scaling: { factor: 1, x: 1 } }, `field 'scaling' must not have the key "x"`],
    [{ ...good, messages: [{}] }, `field 'messages[0].role' must be a string, but is missing`],
    [{ ...good, flag: 1 }, `field 'flag' must be true or false, got 1`],
    [{ ...good, even: 3 }, `field 'even' must be even`],
    [5, `must be an object, got 5`],
  ];
  for (const [value, message] of wrong) {
    it(message, () => {
      expect(() => check('config.json', schema, value)).toThrow(new Error(`config.json: ${message}`));
    });
  }

  it('keeps long values short', () => {
    expect(() => check('c', schema, { hidden_size: 'x'.repeat(1e6) })).toThrow(/^.{0,160}$/);
  });
});
