// gpt-oss: every message of an answer has a header with its channel, and a call also its receiver. Analysis is reasoning,
// final is the answer, and commentary without a receiver is text for the user before calls.

import { sequence, text } from '../../grammar/expression.js';
import type { ChatMessage } from '../../template.js';
import { oneOf } from '../call-grammar.js';
import { oneCallEach, textOf } from '../history.js';
import { jsonArguments } from '../json-call.js';
import { begunBy, closing, type Input, type Reading } from '../reading.js';
import { type Dialect, writesCallsAs } from './dialect.js';

const start = '<|start|>';
const channel = '<|channel|>';
const constrain = '<|constrain|>';
const body = '<|message|>';
const ends = ['<|end|>', '<|return|>', '<|call|>'];
const longestHeader = 256;

export const harmonyCalls: Dialect = {
  name: 'harmony-calls',
  marks: [start, channel, constrain, body, ...ends],
  openings: [start, channel],
  bare: 'to=functions.',
  readsAnswers: true,
  recognises: writesCallsAs(/to=functions\.probe_function[^{]*<\|message\|>/),
  messages: (messages) => oneCallEach(messages).map(withOneText),
  *read(input) {
    const header = yield* headerOf(input);
    if (header === undefined) return false;
    const [, receiver] = /to=(?:functions\.)?([\w.-]+)/.exec(header) ?? [];
    if (receiver === undefined) {
      yield* bodyOf(input, header.includes('analysis') ? 'reasoning' : 'text');
      return true;
    }
    yield { type: 'name', text: receiver };
    yield* jsonArguments(input);
    yield* closing(input, '<|call|>');
    return true;
  },
  async grammar({ tools, first, mark }) {
    const call = await oneOf(tools, (name, given) =>
      sequence(text(`commentary to=functions.${name} `), mark(constrain), text('json'), mark(body), given),
    );
    return sequence(first(start), text('assistant'), mark(channel), call);
  },
};

/** The template refuses text beside reasoning before a call. */
function withOneText(message: ChatMessage): ChatMessage {
  const { thinking, content, tool_calls: calls } = message;
  if (!calls?.length || typeof thinking !== 'string' || thinking === '' || textOf(content) === '') return message;
  return { ...message, thinking: `${thinking}\n\n${textOf(content)}`, content: '' };
}

/** The header up to the body, marks left out; undefined where none ends. */
function* headerOf(input: Input): Reading<string | undefined> {
  let header = '';
  for (;;) {
    const at = input.rest.indexOf(body);
    if (at >= 0) {
      header += input.take(at);
      input.take(body.length);
      return header;
    }
    if (input.mark !== undefined) {
      const { mark } = input;
      if (mark !== body && mark !== channel && mark !== constrain) return undefined;
      header += `${input.take(input.rest.length)} `;
      input.mark = undefined;
      if (mark === body) return header;
    }
    if (input.ended || header.length + input.rest.length > longestHeader) return undefined;
    yield 'more';
  }
}

/** Gives out a message's text up to its end. */
function* bodyOf(input: Input, type: 'reasoning' | 'text'): Reading<void> {
  for (;;) {
    const found = ends
      .map((end) => ({ end, at: input.rest.indexOf(end) }))
      .filter(({ at }) => at >= 0)
      .sort((a, b) => a.at - b.at)[0];
    const held = found || input.closed ? 0 : begunBy(input.rest, ends);
    const text = input.take(found ? found.at : input.rest.length - held);
    if (text !== '') yield { type, text };
    if (found) input.take(found.end.length);
    if (found || input.ended) return;
    if (input.mark !== undefined) {
      // Another message may begin without an end of this one.
      if (ends.includes(input.mark)) input.mark = undefined;
      return;
    }
    yield 'more';
  }
}
