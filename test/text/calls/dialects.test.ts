// What every dialect of the catalogue promises: it is recognised by what it writes, and what its grammar lets a model
// write is read as the same calls however the text is cut.
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { type CallSyntax, type Dialect, probe } from '../../../lib/text/calls/dialects/dialect.js';
import { dialects } from '../../../lib/text/calls/dialects/index.js';
import { recognised } from '../../../lib/text/calls/recognise.js';
import { type AnswerReader, planAnswer, type ToolDefinition } from '../../../lib/text/calls/tools.js';
import { type Expression, empty, text } from '../../../lib/text/grammar/expression.js';
import { Grammar } from '../../../lib/text/grammar/index.js';
import type { Tokenizer } from '../../../lib/text/tokenizer/tokenizer.js';
import { seeded } from '../grammar/schemas.js';
import { read } from './calls.js';
import { chatml, withTemplate } from './models.js';
import { type Piece, piecesOf, walk } from './walk.js';

const tools: ToolDefinition[] = [
  {
    type: 'function',
    function: {
      name: 'get_weather',
      parameters: {
        type: 'object',
        properties: {
          city: { type: 'string', maxLength: 12 },
          days: { type: 'integer', minimum: 1, maximum: 9 },
          what: { type: 'array', items: { enum: ['sun', '}', '</rain>'] }, maxItems: 2 },
        },
        required: ['city'],
        additionalProperties: false,
      },
    },
  },
  {
    type: 'function',
    function: { name: 'now', parameters: { type: 'object', properties: {}, additionalProperties: false } },
  },
];
const ajv = new Ajv2020();
const fits = new Map(tools.map(({ function: { name, parameters } }) => [name, ajv.compile(parameters as object)]));
const ends = [0];

/** A schema of one value. */
const called = {
  type: 'object',
  properties: { probe_argument: { const: 'x' } },
  required: ['probe_argument'],
  additionalProperties: false,
};

/** A chat template that shows tools and writes one call as the dialect's grammar does. */
async function templateOf(dialect: Dialect): Promise<string> {
  // The catalogue's last is for templates without calls.
  if (dialect === dialects.at(-1)) return chatml;
  const syntax: CallSyntax = {
    tools: [{ name: probe.function.name, schema: called, json: async () => text('{"probe_argument": "x"}') }],
    several: false,
    model: { called: '', shown: true, system: true, writesTag: () => false, tokenizer: withTemplate(chatml) },
    mark: text,
    first: (mark) => (mark === undefined ? empty : text(mark)),
  };
  const call = await onlyText(await dialect.grammar(syntax));
  return (
    `{% for m in messages %}{% if m.tool_calls %}{{ ${JSON.stringify(call)} }}{% else %}{{ m.content }}{% endif %}` +
    '{% endfor %}{{ tools | tojson }}'
  );
}

const isDigit = (value: number): boolean => value >= 0x30 && value <= 0x39;

/** The text of a grammar that has a single one. */
async function onlyText(expression: Expression): Promise<string> {
  const grammar = await Grammar.of(expression);
  const bytes: number[] = [];
  for (let at = grammar.start; !at.complete; ) {
    const next = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => grammar.step(at, byte));
    // Numbers of calls are any; the shortest is written.
    const only = next.filter((value) => !isDigit(value));
    const value = only[0] ?? next[0]!;
    expect(only.length === 1 || next.every(isDigit)).toBe(true);
    bytes.push(value);
    at = grammar.step(at, value)!;
  }
  return Buffer.from(bytes).toString();
}

function parse(reader: AnswerReader, pieces: readonly Piece[]) {
  const events = pieces.flatMap((piece) => (typeof piece === 'string' ? reader.push(piece) : reader.push('', piece)));
  return read([...events, ...reader.end()]);
}

/** The answer in all ways to cut one of its texts in two, character by character, and cut at random. */
function* cuts(pieces: readonly Piece[], random: () => number): Generator<Piece[]> {
  for (const [at, piece] of pieces.entries()) {
    if (typeof piece !== 'string') continue;
    for (let cut = 1; cut < piece.length; cut += 1) {
      yield pieces.toSpliced(at, 1, piece.slice(0, cut), piece.slice(cut));
    }
  }
  const each = (size: () => number) =>
    pieces.flatMap((piece): Piece[] => {
      if (typeof piece !== 'string') return [piece];
      const parts: string[] = [];
      for (let rest = piece; rest !== ''; rest = rest.slice(parts.at(-1)!.length)) parts.push(rest.slice(0, size()));
      return parts;
    });
  yield each(() => 1);
  for (let round = 0; round < 20; round += 1) yield each(() => 1 + Math.floor(random() * 9));
}

const around = (pieces: readonly Piece[], before: string, after: string): Piece[] => {
  const result = typeof pieces[0] === 'string' ? [before + pieces[0], ...pieces.slice(1)] : [before, ...pieces];
  const last = result.at(-1);
  return typeof last === 'string' ? [...result.slice(0, -1), last + after] : [...result, after];
};

const plain = withTemplate(chatml);
const cases = dialects.flatMap((dialect) => [
  { name: dialect.name, dialect, marks: 'written out', controls: [] as readonly string[] },
  { name: dialect.name, dialect, marks: 'as control tokens', controls: dialect.marks },
]);

it('have names and markup of their own', () => {
  expect(new Set(dialects.map(({ name }) => name)).size).toBe(dialects.length);
  for (const { openings, bare, marks } of dialects) {
    expect(openings.length > 0 || bare !== undefined).toBe(true);
    for (const written of [...openings, ...marks]) expect(written.trim()).toBe(written);
  }
});

describe.each(cases)('$name, its marks $marks', ({ dialect, controls }) => {
  const model = async (): Promise<Tokenizer> => withTemplate(await templateOf(dialect), controls);

  it('is recognised by the calls that a template writes', async () => {
    const found = recognised(await model());
    expect(found.dialect.name).toBe(dialect.name);
    // The small vocabulary has some marks as control tokens itself.
    const own = dialect.marks.filter((mark) => plain.specialIds.has(plain.tokenToId(mark) ?? -1));
    const expected = new Set([...controls, ...own]).size;
    expect(found.controls.filter((token) => token !== undefined)).toHaveLength(expected);
  });

  it.each([true, false])('reads what its grammar allows, however it is cut (parallel: %s)', async (parallel) => {
    const tokenizer = await model();
    const plan = await planAnswer(tokenizer, ends, { tools, toolChoice: { mode: 'required' }, parallel });
    expect(plan.warnings).toEqual([]);
    for (let seed = 1; seed <= 4; seed += 1) {
      const random = seeded(seed);
      const pieces = piecesOf(tokenizer, walk(tokenizer, plan.mask!()!, ends, random));
      const whole = parse(plan.reader(), pieces);
      expect(whole.text).toBe('');
      expect(whole.calls.length).toBeGreaterThan(0);
      if (!parallel) expect(whole.calls.length).toBe(1);
      for (const call of whole.calls) {
        expect(fits.get(call.name)!(JSON.parse(call.arguments)), `${call.name} ${call.arguments}`).toBe(true);
      }
      for (const cut of cuts(pieces, random)) expect(parse(plan.reader(), cut)).toEqual(whole);
    }
  });

  it('keeps its markup out of the text around calls', async () => {
    const tokenizer = await model();
    const plan = await planAnswer(tokenizer, ends, { tools, toolChoice: { mode: 'required' } });
    const { reader } = await planAnswer(tokenizer, ends, { tools });
    const random = seeded(7);
    const pieces = piecesOf(tokenizer, walk(tokenizer, plan.mask!()!, ends, random));
    const { calls } = parse(reader(), pieces);
    expect(calls.length).toBeGreaterThan(0);
    const first = pieces[0]!;
    // A bare call is one only as the answer's first text.
    const opens =
      typeof first === 'number' || dialect.openings.some((opening) => first.trimStart().startsWith(opening));
    for (const cut of cuts(around(pieces, opens ? 'Well.\n' : '', '\nDone.'), random)) {
      const found = parse(reader(), cut);
      expect(found.calls).toEqual(calls);
      expect(found.text.replace(/\s/g, '')).toBe(opens ? 'Well.Done.' : 'Done.');
    }
  });

  it('gives out as text what is no call, markup included', async () => {
    const tokenizer = await model();
    const { reader } = await planAnswer(tokenizer, ends, { tools });
    for (const opening of [...dialect.openings, ...(dialect.bare === undefined ? [] : [dialect.bare])]) {
      for (const answer of [opening, `${opening} is how calls begin.`, `${opening}\n${opening} ${opening}`]) {
        for (const cut of cuts([answer], seeded(3))) expect(parse(reader(), cut)).toEqual({ text: answer, calls: [] });
      }
    }
  });

  it('lets an answer be JSON of a schema or a call', async () => {
    const tokenizer = await model();
    const format = { type: 'schema' as const, schema: { const: { ok: true } } };
    const plan = await planAnswer(tokenizer, ends, { tools, format });
    const forced = await planAnswer(tokenizer, ends, { tools, toolChoice: { mode: 'required' } });
    const call = walk(tokenizer, forced.mask!()!, ends, seeded(2));
    const json = tokenizer.encode('{"ok":true}', { addSpecialTokens: false });
    for (const ids of [json, call]) {
      const mask = plan.mask!()!;
      for (const id of ids) mask.accept(id);
      expect(mask.allowed()[ends[0]!]).toBe(1);
    }
    expect(parse(plan.reader(), piecesOf(tokenizer, json))).toEqual({ text: '{"ok":true}', calls: [] });
    expect(plan.mask!()!.allowed()[tokenizer.encode('x', { addSpecialTokens: false })[0]!]).toBe(0);
  });

  it('takes a conversation whose calls have broken arguments', async () => {
    const plan = await planAnswer(await model(), ends, { tools });
    for (const given of ['{"city": ', 'null', '[1]', '"text"', '']) {
      const call = { id: 'call_1', type: 'function', function: { name: 'get_weather', arguments: given } };
      const written = plan.messages([
        { role: 'user', content: 'Weather?' },
        { role: 'assistant', content: null, tool_calls: [call] },
        { role: 'tool', tool_call_id: 'call_1', content: 'sunny' },
      ]);
      expect(JSON.stringify(written), given).toContain('get_weather');
    }
  });

  it('keeps every call and result of a conversation', async () => {
    const plan = await planAnswer(await model(), ends, { tools });
    const call = (id: string, city: string) => ({
      id,
      type: 'function',
      function: { name: 'get_weather', arguments: JSON.stringify({ city }) },
    });
    const before = [
      { role: 'user', content: 'Weather?' },
      { role: 'assistant', content: null, tool_calls: [call('call_1', 'Bern'), call('call_2', 'Chur')] },
      { role: 'tool', tool_call_id: 'call_1', content: 'sunny' },
      { role: 'tool', tool_call_id: 'call_2', content: 'rainy' },
    ];
    const copy = structuredClone(before);
    const after = JSON.stringify(plan.messages(before));
    for (const part of ['Weather?', 'get_weather', 'Bern', 'Chur', 'sunny', 'rainy']) expect(after).toContain(part);
    expect(before).toEqual(copy);
    expect(plan.templateTools === undefined).toBe(dialect.describesTools === true);
  });
});
