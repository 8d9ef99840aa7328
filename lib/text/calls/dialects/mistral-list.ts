// Mistral until 2024 (v3 and v7 of its tokenizer, and Nemo): one JSON list of calls.

import { sequence, text } from '../../grammar/expression.js';
import { upToMost } from '../call-grammar.js';
import { withShortIds } from '../history.js';
import { jsonCall, objectOf } from '../json-call.js';
import { blanks, literal } from '../reading.js';
import { type Dialect, writesCallsAs } from './dialect.js';

const opening = '[TOOL_CALLS]';

export const mistralList: Dialect = {
  name: 'mistral-list',
  marks: [opening],
  openings: [opening],
  recognises: writesCallsAs(/\[TOOL_CALLS\] ?\[\{[^[]*"probe_function"/),
  messages: withShortIds,
  *read(input) {
    yield* blanks(input);
    const listed = yield* literal(input, '[');
    do {
      if (!(yield* jsonCall(input))) return false;
      yield* blanks(input);
    } while (listed && (yield* literal(input, ',')));
    if (listed) yield* literal(input, ']');
    return true;
  },
  async grammar({ tools, several, first }) {
    const call = await objectOf(tools, 'arguments');
    const calls = several ? upToMost(call, sequence(text(', '), call)) : call;
    return sequence(first(opening), text('['), calls, text(']'));
  },
};
