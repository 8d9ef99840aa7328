// A building block of dialects: a section of calls, each between tags of its own, which may be control tokens.

import { type Expression, sequence } from '../grammar/expression.js';
import { oneOf, upToMost } from './call-grammar.js';
import type { CallSyntax, Dialect } from './dialects/dialect.js';
import { blanks, type Input, literal, type Reading } from './reading.js';

export interface SectionMarkup {
  open: string;
  callOpen: string;
  callClose: string;
  close: string;
  /** Marks within a call. */
  inside: readonly string[];
  /** Reads what stands between a call's tags; false where it is no call. */
  call(input: Input): Reading;
  /** What stands between a call's tags. */
  written(name: string, given: Expression, syntax: CallSyntax): Expression;
}

export function callSections(markup: SectionMarkup): Pick<Dialect, 'marks' | 'openings' | 'read' | 'grammar'> {
  const { open, callOpen, callClose, close, inside, call, written } = markup;
  return {
    marks: [open, callOpen, ...inside, callClose, close],
    // Models leave out the section's tag at times.
    openings: [open, callOpen],
    *read(input, { opening }) {
      let begun = opening === callOpen;
      let found = false;
      for (;;) {
        yield* blanks(input);
        if (!begun && !(yield* literal(input, callOpen))) break;
        begun = false;
        yield* blanks(input);
        if (!(yield* call(input))) return found;
        yield* blanks(input);
        yield* literal(input, callClose);
        found = true;
      }
      yield* literal(input, close);
      return found;
    },
    async grammar(syntax) {
      const { tools, several, first, mark } = syntax;
      const one = await oneOf(tools, (name, given) =>
        sequence(mark(callOpen), written(name, given, syntax), mark(callClose)),
      );
      return sequence(first(open), several ? upToMost(one, one) : one, mark(close));
    },
  };
}
