// Llama 3.1 to 3.3: a bare JSON object as the whole answer, at times behind <|python_tag|>. Its template takes one call
// a turn; an answer may still hold several, divided by semicolons.

import { sequence } from '../../grammar/expression.js';
import { oneCallEach } from '../history.js';
import { jsonCall, objectOf } from '../json-call.js';
import { blanks, type Input, type Reading } from '../reading.js';
import { type Dialect, writesCallsAs } from './dialect.js';

const opening = '<|python_tag|>';

export const llamaJson: Dialect = {
  name: 'llama-json',
  marks: [opening],
  openings: [opening],
  bare: '{',
  recognises: writesCallsAs(/"name": ?"probe_function", ?"parameters": ?\{/),
  messages: oneCallEach,
  *read(input, { callable }) {
    do {
      // Any answer in JSON is an object too: only a known name makes it a call.
      if (!(yield* jsonCall(input, (name) => callable.has(name)))) return false;
    } while (yield* another(input));
    return true;
  },
  // The answer's own JSON and a call are told apart by their text: the control token is not needed.
  grammar: async ({ tools, first }) => sequence(first(), await objectOf(tools, 'parameters')),
};

/** Takes the semicolon before a further object. */
function* another(input: Input): Reading {
  for (;;) {
    yield* blanks(input);
    if (/^;\s*\{/.test(input.rest)) {
      input.take(1);
      return true;
    }
    if (!/^;\s*$/.test(input.rest)) return false;
    if (input.ended) input.take(input.rest.length);
    if (input.closed) return false;
    yield 'more';
  }
}
