// Formats, lengths, numbers and objects without properties: a grammar takes all that its schema allows.
import { describe, expect, it } from 'vitest';
import { compileJsonSchema } from '../../../lib/text/grammar/index.js';
import { matches } from './walk.js';

async function expectTaken(schema: object, yes: readonly string[], no: readonly string[]): Promise<void> {
  const { grammar, warnings } = await compileJsonSchema(schema);
  expect(warnings).toEqual([]);
  expect(yes.filter((text) => !matches(grammar, text))).toEqual([]);
  expect(no.filter((text) => matches(grammar, text))).toEqual([]);
}

const formats: [format: string, yes: string, no: string][] = [
  [
    'date',
    '2026-01-31 2026-03-30 2026-11-30 2024-02-29 2000-02-29 0004-02-29 9999-12-31 1066-10-14',
    '2026-02-29 1900-02-29 2026-06-31 2026-02-30 2026-00-01 2026-01-00 2026-13-01 26-01-01 2026-1-1',
  ],
  [
    'time',
    '00:00:00Z 23:59:59.123456789+23:59 08:30:00-00:30 12:00:00z 23:59:60Z 15:59:60-08:00 05:29:60.5+05:30',
    '24:00:00Z 12:60:00Z 12:00:60Z 12:00:00 12:00Z 12:00:00+24:00',
  ],
  [
    'date-time',
    '2026-12-31T23:59:60Z 1990-12-31T15:59:60-08:00 2026-08-31T00:00:00.0+00:20 2026-08-31t00:00:00z',
    '2026-08-32T00:00:00Z 2026-08-31 2026-08-31T00:00:00',
  ],
  [
    'duration',
    'P1Y P12M P400D P3W PT1S PT90M P1Y2M10DT2H30M PT1H1S P1Y1D P0D PT100000S P1DT12H',
    'P PT 1D P1S PT1D P1M1Y P1W1D P1DT PT1.5S p1d',
  ],
  [
    'email',
    "first.last@host.example o'neil+tag=x@a-b.example x@localhost a@[192.0.2.1] a@[IPv6:2001:db8::1] A@B.C1 !#$%&*/?^_`{|}~-@x.y",
    '.a@b.c a.@b.c a..b@c.d a@ @b.c a@-b.c a@b-.c a@b..c a@b@c a@[300.0.0.1] ' + `${'a'.repeat(65)}@b.c`,
  ],
  [
    'hostname',
    `EXAMPLE.com localhost 3com.example xn--bcher-kva.example a.b.c.d.e.f.g ${'a'.repeat(63)}.b`,
    `-a.b a-.b a..b .a a_b ${'a'.repeat(64)}`,
  ],
  ['ipv4', '0.0.0.0 255.255.255.255 10.20.30.40', '256.0.0.1 1.2.3 01.2.3.4 1.2.3.4.5'],
  [
    'ipv6',
    ':: ::1 1:: fe80::1 2001:DB8:0:0:8:800:200C:417A 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 1::3:4:5:6:7:8 ::ffff:192.0.2.128 64:ff9b::192.0.2.33 1:2:3:4:5:6:1.2.3.4',
    '1 1:2:3:4:5:6:7 1:2:3:4:5:6:7:8:9 1::2::3 ::12345 1:2:3:4:5:6:7:8:: ::1:2:3:4:5:6:7:8 :::1 1: :1',
  ],
  [
    'uuid',
    '00000000-0000-0000-0000-000000000000 FFFFFFFF-ffff-FFFF-ffff-FFFFFFFFFFFF 0190a5b8-7cde-7f00-0000-abcdefABCDEF',
    '0190a5b87cde7f000000abcdefabcdef 0190a5b8-7cde-7f00-0000-abcdefabcde g190a5b8-7cde-7f00-8000-abcdefabcdef',
  ],
];

describe('a format', () => {
  it.each(formats)('%s takes all of its texts, and no others', async (format, yes, no) => {
    const written = (texts: string): string[] => texts.split(' ').map((text) => JSON.stringify(text));
    await expectTaken({ type: 'string', format }, written(yes), written(no));
    await expectTaken({ type: 'object', properties: { a: { format } } }, [`{"a":${written(yes)[0]}}`], ['{"a":""}']);
  });

  it('email has quoted names', async () => {
    await expectTaken({ format: 'email' }, [JSON.stringify('"two words\\""@a.b')], [JSON.stringify('two words@a.b')]);
  });
});

describe('a length beside a pattern or a format', () => {
  it.each<[object, string, string]>([
    [{ pattern: '^[a-z]+$', maxLength: 3 }, 'a ab abc', 'abcd A'],
    [{ pattern: '^[a-z]+$', minLength: 2 }, 'ab abcdefgh', 'a'],
    [{ pattern: '^(ab|c)*$', minLength: 3, maxLength: 4 }, 'abc cab ccc cccc abab', 'ab ababc c abb'],
    [{ pattern: 'x', minLength: 2, maxLength: 3 }, 'xx ax xa axa üx', 'x abx_ abc'],
    [{ pattern: '^(\\d{2,3}-){1,3}z?$', maxLength: 7 }, '12- 123-45- 12-34-z', '123-456- 12-34-56-'],
    [{ pattern: '^"\\\\.$', maxLength: 3, minLength: 3 }, '"\\a "\\é "\\🙂', '"\\ "\\ab'],
    [{ pattern: '^[A-Z]{2}\\d{4}$', minLength: 6, maxLength: 6 }, 'AB1234', 'AB123'],
    [{ format: 'hostname', maxLength: 9 }, 'a.example localhost', 'bb.example'],
    [{ format: 'hostname', maxLength: 253 }, `a.example ${'a.'.repeat(126)}a`, `${'a.'.repeat(127)}a`],
    [{ format: 'email', maxLength: 254 }, `a@b.example ${'a'.repeat(64)}@b.example`, `a@${'b.'.repeat(127)}b`],
    [{ format: 'date', maxLength: 10 }, '2026-01-31', '2026-01-3'],
  ])('is kept: %j', async (schema, yes, no) => {
    const written = (texts: string): string[] => texts.split(' ').map((text) => JSON.stringify(text));
    await expectTaken({ type: 'string', ...schema }, written(yes), written(no));
  });

  it('that takes too many states is relaxed with a warning', async () => {
    const { grammar, warnings } = await compileJsonSchema({ pattern: '^(a{1,200}b){1,200}$', maxLength: 9000 });
    expect(warnings.join()).toMatch(/"minLength" and "maxLength" beside so long/);
    expect(matches(grammar, '"aabab"')).toBe(true);
    expect(matches(grammar, '"ba"')).toBe(false);
  });

  it('that no text has fits nothing', async () => {
    const { warnings } = await compileJsonSchema({ pattern: '^a{4}$', maxLength: 3 });
    expect(warnings.join()).toMatch(/nothing fits/);
  });
});

describe('a number', () => {
  const id = '123456789012345678901234567890123456789012345678901234567890';
  it.each<[object, string, string]>([
    [{ type: 'integer' }, `9223372036854775807 -18446744073709551616 ${id} 0`, '01 1e3 1.5 -'],
    [{ type: 'integer', minimum: 0 }, `18446744073709551615 ${id} 0 10`, '-1'],
    [{ type: 'integer', exclusiveMaximum: -7 }, `-9223372036854775808 -${id} -8`, '-7 0 8'],
    [{ type: 'integer', minimum: 5 }, `5 9 10 4000000000000000000 ${id}`, '4 0'],
    [{ type: 'number' }, `${id}.${id} 1e300 6.02214076e+23 1e-323 5e307 0.1`, '1e999 1. .5'],
    [{ type: 'number', minimum: 0 }, `${id} ${id}.5 0.5`, '-0.5'],
    [{ type: 'number', minimum: -90, maximum: 90 }, '48.85661400000001 -12.345678901234567 90', '90.5 -91'],
  ])('has as many digits as JSON allows: %j', expectTaken_);

  async function expectTaken_(schema: object, yes: string, no: string): Promise<void> {
    await expectTaken(schema, yes.split(' '), no.split(' '));
  }
});

describe('an object whose properties are', () => {
  it.each<[string, object, string[], string[]]>([
    ['none', { type: 'object', properties: {} }, ['{}'], ['{"x":1}']],
    ['none, and none required', { properties: {}, required: [] }, ['{}'], ['{"x":1}']],
    ['none, within a tuple', { prefixItems: [{ properties: {} }], minItems: 1 }, ['[{}]'], ['[{"x":1}]']],
    ['none, with others allowed', { properties: {}, additionalProperties: true }, ['{}', '{"x":1}'], []],
    [
      'none, with others of a type',
      { properties: {}, additionalProperties: { type: 'null' } },
      ['{"x":null}'],
      ['{"x":1}'],
    ],
    ['not described', { type: 'object' }, ['{}', '{"x":1}'], []],
  ])('%s', async (_, schema, yes, no) => {
    await expectTaken(schema, yes, no);
  });
});
