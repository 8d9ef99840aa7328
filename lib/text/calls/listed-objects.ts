// A building block of dialects: one list of calls behind an opening. Each is a JSON object, unless the dialect writes calls
// otherwise.

import { type Expression, sequence, text } from '../grammar/expression.js';
import { upToMost } from './call-grammar.js';
import type { CallableTool, Dialect } from './dialects/dialect.js';
import { jsonCall, objectOf } from './json-call.js';
import { blanks, closing, type Input, literal, type Reading } from './reading.js';

export interface ListMarkup {
  open: string;
  close?: string;
  /** Other openings that models write. */
  also?: readonly string[];
  /** Reads one call; false where it is none. */
  call?(input: Input): Reading;
  /** A call of any of the tools. */
  calls?(tools: readonly CallableTool[]): Promise<Expression>;
}

export function listedObjects({
  open,
  close,
  also = [],
  call = (input) => jsonCall(input),
  calls = (tools) => objectOf(tools, 'arguments'),
}: ListMarkup): Pick<Dialect, 'marks' | 'openings' | 'read' | 'grammar'> {
  return {
    marks: close === undefined ? [open] : [open, close],
    openings: [open, ...also],
    *read(input) {
      yield* blanks(input);
      const isList = yield* literal(input, '[');
      do {
        if (!(yield* call(input))) return false;
        yield* blanks(input);
      } while (isList && (yield* literal(input, ',')));
      if (isList) yield* literal(input, ']');
      if (close !== undefined) yield* closing(input, close);
      return true;
    },
    async grammar({ tools, several, first, mark }) {
      const one = await calls(tools);
      const list = several ? upToMost(one, sequence(text(', '), one)) : one;
      const end = close === undefined ? [] : [mark(close)];
      return sequence(first(open), text('['), list, text(']'), ...end);
    },
  };
}
