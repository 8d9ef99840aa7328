// What the contract of dialects carries beyond the present ones: calls in a section of control tokens, ids that the model
// writes, parameters on their own whose types the schema tells, and text that only looks like a call's beginning.
import { describe, expect, it } from 'vitest';
import { oneOf, upToMost } from '../../../lib/text/calls/call-grammar.js';
import { constrained } from '../../../lib/text/calls/constraint.js';
import type { Dialect } from '../../../lib/text/calls/dialects/dialect.js';
import { jsonArguments, jsonCall } from '../../../lib/text/calls/json-call.js';
import { blanks, type Input, literal, type Reading, run } from '../../../lib/text/calls/reading.js';
import { marksOf, type Recognised } from '../../../lib/text/calls/recognise.js';
import { ToolParser } from '../../../lib/text/calls/tool-parser.js';
import type { ToolDefinition, ToolEvent } from '../../../lib/text/calls/tools.js';
import { byte, optional, repeat, sequence, text } from '../../../lib/text/grammar/expression.js';
import { maskFor, vocabularyOf } from '../../../lib/text/grammar/index.js';
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
        properties: { city: { type: 'string' }, days: { type: 'integer' } },
        required: ['city', 'days'],
        additionalProperties: false,
      },
    },
  },
];
const callable = new Map(tools.map((tool) => [tool.function.name, tool.function]));

/** Calls in a section of its own, each with an id made of its name and a running number. */
const sections: Dialect = {
  name: 'sections',
  marks: ['<|calls|>', '<|call|>', '<|args|>', '<|end|>', '<|done|>'],
  openings: ['<|calls|>'],
  recognises: () => true,
  *read(input) {
    let several = false;
    for (;;) {
      yield* blanks(input);
      if (!(yield* literal(input, '<|call|>'))) break;
      yield* blanks(input);
      const id = yield* run(input, /[\w.:]/, 64);
      if (!(yield* literal(input, '<|args|>'))) return false;
      yield { type: 'name', text: id.replace(/^functions\.|:\d+$/g, ''), id };
      yield* jsonArguments(input);
      yield* literal(input, '<|end|>');
      several = true;
    }
    yield* literal(input, '<|done|>');
    return several;
  },
  async grammar({ tools, several, first, mark }) {
    const call = await oneOf(tools, (name, given) =>
      sequence(
        mark('<|call|>'),
        text(`functions.${name}:`),
        repeat(byte([0x30, 0x39]), 1, 2),
        mark('<|args|>'),
        given,
        mark('<|end|>'),
      ),
    );
    return sequence(first('<|calls|>'), several ? upToMost(call, call) : call, mark('<|done|>'));
  },
};

/** Each parameter in a tag of its own: strings as they are, all else as JSON. */
const parameters: Dialect = {
  name: 'parameters',
  marks: [],
  openings: ['<call '],
  recognises: () => true,
  *read(input, { callable }) {
    const name = yield* run(input, /[\w.-]/, 64);
    if (!(yield* literal(input, '>'))) return false;
    yield { type: 'name', text: name };
    const { properties } = (callable.get(name)?.parameters ?? {}) as { properties?: Record<string, { type?: string }> };
    let comma = '{';
    while (yield* literal(input, '<')) {
      if (yield* literal(input, '/call>')) break;
      const key = yield* run(input, /\w/, 64);
      yield* literal(input, '>');
      const value = yield* upTo(input, `</${key}>`);
      const written = properties?.[key]?.type === 'string' ? JSON.stringify(value) : value;
      yield { type: 'arguments', text: `${comma}${JSON.stringify(key)}: ${written}` };
      comma = ', ';
    }
    yield { type: 'arguments', text: comma === '{' ? '{}' : '}' };
    yield { type: 'end' };
    return true;
  },
  async grammar({ tools, first }) {
    const [tool] = tools;
    const { properties } = tool!.schema as { properties: Record<string, { type?: string }> };
    const parts = [];
    for (const [key, schema] of Object.entries(properties)) {
      const value = schema.type === 'string' ? repeat(byte([0x61, 0x7a]), 1, 9) : await tool!.json(schema);
      parts.push(sequence(text(`<${key}>`), value, text(`</${key}>`)));
    }
    return sequence(first(), text(`<call ${tool!.name}>`), ...parts, text('</call>'), optional(text('\n')));
  },
};

function* upTo(input: Input, end: string): Reading<string> {
  for (;;) {
    const at = input.rest.indexOf(end);
    if (at >= 0) return input.take(at + end.length).slice(0, at);
    if (input.ended) return input.take(input.rest.length);
    yield 'more';
  }
}

function known(dialect: Dialect, controls: boolean): Recognised {
  const tokenizer = withTemplate(chatml, controls ? dialect.marks : []);
  return {
    dialect,
    model: { called: '', shown: true, system: true, writesTag: () => false, tokenizer },
    controls: dialect.marks.map((mark) => (controls ? tokenizer.tokenToId(mark) : undefined)),
  };
}

function eventsOf(by: Recognised, pieces: readonly Piece[], parallel = true): ToolEvent[] {
  let ids = 0;
  const marks = marksOf(by);
  const parser = new ToolParser({ dialect: by.dialect, marks, callable, parallel, newId: () => `own_${ids++}` });
  const events = pieces.flatMap((piece) => (typeof piece === 'string' ? parser.push(piece) : parser.push('', piece)));
  return [...events, ...parser.end()];
}

describe.each([
  { dialect: sections, controls: true },
  { dialect: sections, controls: false },
  { dialect: parameters, controls: false },
])('$dialect.name (control tokens: $controls)', ({ dialect, controls }) => {
  it('reads what its grammar allows', async () => {
    const by = known(dialect, controls);
    const { tokenizer } = by.model;
    const { grammar } = await constrained(by, { format: undefined, tools, several: true });
    const vocabulary = await vocabularyOf(tokenizer);
    for (let seed = 1; seed <= 4; seed += 1) {
      const random = seeded(seed);
      const ids = walk(tokenizer, maskFor(vocabulary, grammar, [0], by.controls), [0], random);
      const pieces = piecesOf(tokenizer, ids);
      const { text: content, calls } = read(eventsOf(by, pieces));
      expect(content).toBe('');
      expect(calls.length).toBeGreaterThan(0);
      for (const { name, arguments: given } of calls) {
        expect(name).toBe('get_weather');
        const { city, days } = JSON.parse(given) as Record<string, unknown>;
        expect(city).toBeTypeOf('string');
        expect(days).toBeTypeOf('number');
      }
      const each = pieces.flatMap((piece): Piece[] => (typeof piece === 'string' ? Array.from(piece) : [piece]));
      expect(read(eventsOf(by, each))).toEqual({ text: '', calls });
    }
  });
});

it("keeps a call's own id, and makes one for any other", () => {
  const by = known(sections, false);
  const call = '<|call|>functions.now:3<|args|>{}<|end|>';
  expect(eventsOf(by, [`<|calls|>${call}<|done|>`])[0]).toMatchObject({ id: 'functions.now:3', name: 'now' });
  expect(eventsOf(known(parameters, false), ['<call now></call>'])[0]).toMatchObject({ id: 'own_0', name: 'now' });
});

it('drops control tokens that nothing expects, and opens anew by one that a reader refuses', () => {
  const by = known(sections, true);
  const [calls, call, given, end, done] = by.controls as number[];
  const pieces = ['Well ', end!, 'then', calls!, 'x', calls!, call!, 'functions.now:0', given!, '{', done!, '}', end!];
  expect(read(eventsOf(by, pieces))).toEqual({ text: 'Well thenx', calls: [{ name: 'now', arguments: '{}' }] });
});

it('takes other keys of an object, and a beginning that holds nothing of its own', () => {
  const bare: Dialect = {
    ...sections,
    marks: [],
    openings: [],
    bare: '',
    *read(input, { callable }) {
      const keys = { name: 'tool_name', arguments: ['input'] };
      return yield* jsonCall(input, (name) => callable.has(name), keys);
    },
  };
  const by = known(bare, false);
  const written = '{"tool_name": "get_weather", "input": {"city": "Chur"}}';
  for (const pieces of [[written], Array.from(written)]) {
    const calls = [{ name: 'get_weather', arguments: '{"city": "Chur"}' }];
    expect(read(eventsOf(by, pieces))).toEqual({ text: '', calls });
  }
  expect(read(eventsOf(by, ['Just ', written]))).toEqual({ text: `Just ${written}`, calls: [] });
});

it('says which mark a grammar uses that its dialect does not declare', async () => {
  const wrong: Dialect = { ...sections, name: 'wrong', marks: ['<|calls|>'] };
  await expect(constrained(known(wrong, false), { format: undefined, tools, several: true })).rejects.toThrow(
    'dialect wrong: "<|call|>" is not among its marks',
  );
});
