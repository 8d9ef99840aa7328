// OLMo 3: a call a line, as Python writes them, in tags.

import { sequence, text } from '../../grammar/expression.js';
import { upToMost } from '../call-grammar.js';
import { pythonCall, pythonCalls } from '../python-call.js';
import { blanks, closing } from '../reading.js';
import { type Dialect, writesCallsAs } from './dialect.js';

const open = '<function_calls>';
const close = '</function_calls>';

export const olmoFunctions: Dialect = {
  name: 'olmo-functions',
  marks: [open, close],
  openings: [open],
  recognises: (model) =>
    writesCallsAs(/<function_calls>\s*probe_function\(/)(model) || (model.shown && model.writesTag(open)),
  *read(input) {
    if (!(yield* pythonCall(input))) return false;
    for (;;) {
      yield* blanks(input);
      // What follows is the end or the next line's call.
      if (input.rest === '' || !/^[A-Za-z_]/.test(input.rest)) break;
      if (!(yield* pythonCall(input))) return false;
    }
    yield* closing(input, close);
    return true;
  },
  async grammar({ tools, several, first, mark }) {
    const call = sequence(await pythonCalls(tools), text('\n'));
    return sequence(first(open), text('\n'), several ? upToMost(call, call) : call, mark(close));
  },
};
