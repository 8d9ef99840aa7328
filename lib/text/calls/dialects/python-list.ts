// LFM2: a list of calls as Python writes them, in control tokens. The template of LFM2 writes no calls of earlier turns, so
// they become text of their message; that of LFM2.5 does.

import { sequence, text } from '../../grammar/expression.js';
import { upToMost } from '../call-grammar.js';
import { callsAsText } from '../history.js';
import { pythonCall, pythonCalls, pythonText } from '../python-call.js';
import { blanks, closing, literal } from '../reading.js';
import { type Dialect, writesCalls, writesCallsAs } from './dialect.js';

const open = '<|tool_call_start|>';
const close = '<|tool_call_end|>';

export const pythonList: Dialect = {
  name: 'python-list',
  marks: [open, close],
  openings: [open],
  recognises: (model) =>
    writesCallsAs(/<\|tool_call_start\|> ?\[probe_function\(/)(model) ||
    (model.shown && (model.writesTag('<|tool_list_start|>') || model.tokenizer.tokenToId(open) !== undefined)),
  messages: (messages, _, model) =>
    writesCalls(model)
      ? messages
      : callsAsText(messages, (calls) => `${open}[${calls.map(pythonText).join(', ')}]${close}`),
  *read(input) {
    yield* blanks(input);
    const listed = yield* literal(input, '[');
    do {
      if (!(yield* pythonCall(input))) return false;
      yield* blanks(input);
    } while (listed && (yield* literal(input, ',')));
    if (listed) yield* literal(input, ']');
    yield* closing(input, close);
    return true;
  },
  async grammar({ tools, several, first, mark }) {
    const call = await pythonCalls(tools);
    const calls = several ? upToMost(call, sequence(text(', '), call)) : call;
    return sequence(first(open), text('['), calls, text(']'), mark(close));
  },
};
