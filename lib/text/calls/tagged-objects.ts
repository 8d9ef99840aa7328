// A building block of dialects: each call is a JSON object on a line of its own between two tags.

import { sequence, text } from '../grammar/expression.js';
import { upToMost } from './call-grammar.js';
import type { Dialect } from './dialects/dialect.js';
import { jsonCall, objectOf } from './json-call.js';
import { closing } from './reading.js';

export function taggedObjects(open: string, close: string): Pick<Dialect, 'marks' | 'openings' | 'read' | 'grammar'> {
  return {
    marks: [open, close],
    openings: [open],
    *read(input) {
      if (!(yield* jsonCall(input))) return false;
      yield* closing(input, close);
      return true;
    },
    async grammar({ tools, several, first, mark }) {
      const call = sequence(text('\n'), await objectOf(tools, 'arguments'), text('\n'), mark(close));
      const further = sequence(text('\n'), mark(open), call);
      return several ? upToMost(sequence(first(open), call), further) : sequence(first(open), call);
    },
  };
}
