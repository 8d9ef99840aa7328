// Kimi K2: a section of calls in control tokens, each with an id of its name and its number in the conversation.

import { byte, repeat, sequence, text } from '../../grammar/expression.js';
import { oneOf, upToMost } from '../call-grammar.js';
import { withIds } from '../history.js';
import { jsonArguments } from '../json-call.js';
import { blanks, literal, run } from '../reading.js';
import { type Dialect, writesCallsAs } from './dialect.js';

const open = '<|tool_calls_section_begin|>';
const callOpen = '<|tool_call_begin|>';
const argumentsOpen = '<|tool_call_argument_begin|>';
const callClose = '<|tool_call_end|>';
const close = '<|tool_calls_section_end|>';
const longest = 160;

export const kimiSections: Dialect = {
  name: 'kimi-sections',
  marks: [open, callOpen, argumentsOpen, callClose, close],
  openings: [open, callOpen],
  recognises: writesCallsAs(/<\|tool_call_begin\|> ?functions\.probe_function:\d+/),
  messages: (messages) => withIds(messages, (name, count) => `functions.${name}:${count}`),
  *read(input, { opening }) {
    let begun = opening === callOpen;
    let found = false;
    for (;;) {
      yield* blanks(input);
      if (!begun && !(yield* literal(input, callOpen))) break;
      begun = false;
      yield* blanks(input);
      const id = yield* run(input, /[\w.:-]/, longest);
      yield* blanks(input);
      const name = id.replace(/^functions\.|:\d+$/g, '');
      if (name === '' || !(yield* literal(input, argumentsOpen))) return found;
      yield { type: 'name', text: name, id };
      yield* jsonArguments(input);
      yield* blanks(input);
      yield* literal(input, callClose);
      found = true;
    }
    yield* literal(input, close);
    return found;
  },
  async grammar({ tools, several, first, mark }) {
    const number = repeat(byte([0x30, 0x39]), 1, 3);
    const call = await oneOf(tools, (name, given) =>
      sequence(mark(callOpen), text(`functions.${name}:`), number, mark(argumentsOpen), given, mark(callClose)),
    );
    return sequence(first(open), several ? upToMost(call, call) : call, mark(close));
  },
};
