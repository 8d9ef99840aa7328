// Kimi K2: a section of calls in control tokens, each with an id of its name and its number in the conversation.

import { byte, repeat, sequence, text } from '../../grammar/expression.js';
import { withIds } from '../history.js';
import { jsonArguments } from '../json-call.js';
import { blanks, literal, run } from '../reading.js';
import { callSections } from '../sections.js';
import { type Dialect, writesCallsAs } from './dialect.js';

const argumentsOpen = '<|tool_call_argument_begin|>';
const longest = 160;
const number = repeat(byte([0x30, 0x39]), 1, 3);

export const kimiSections: Dialect = {
  name: 'kimi-sections',
  ...callSections({
    open: '<|tool_calls_section_begin|>',
    callOpen: '<|tool_call_begin|>',
    callClose: '<|tool_call_end|>',
    close: '<|tool_calls_section_end|>',
    inside: [argumentsOpen],
    *call(input) {
      const id = yield* run(input, /[\w.:-]/, longest);
      yield* blanks(input);
      const name = id.replace(/^functions\.|:\d+$/g, '');
      if (name === '' || !(yield* literal(input, argumentsOpen))) return false;
      yield { type: 'name', text: name, id };
      yield* jsonArguments(input);
      return true;
    },
    written: (name, given, { mark }) => sequence(text(`functions.${name}:`), number, mark(argumentsOpen), given),
  }),
  recognises: writesCallsAs(/<\|tool_call_begin\|> ?functions\.probe_function:\d+/),
  messages: (messages) => withIds(messages, (name, count) => `functions.${name}:${count}`),
};
