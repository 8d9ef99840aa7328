// A building block of dialects: one JSON list of calls behind an opening, each call an object.

import { type Expression, sequence, text } from '../grammar/expression.js';
import { upToMost } from './call-grammar.js';
import type { CallableTool, Dialect } from './dialects/dialect.js';
import { type CallKeys, jsonCall, objectOf } from './json-call.js';
import { blanks, closing, literal } from './reading.js';

export interface ListMarkup {
  open: string;
  close?: string;
  /** Other openings that models write. */
  also?: readonly string[];
  /** The keys of a call's object. */
  keys?: CallKeys;
  /** The objects that call one of the tools, where they are not `{"name": …, "arguments": …}`. */
  objects?(tools: readonly CallableTool[]): Promise<Expression>;
}

export function listedObjects({
  open,
  close,
  also = [],
  keys,
  objects = (tools) => objectOf(tools, 'arguments'),
}: ListMarkup): Pick<Dialect, 'marks' | 'openings' | 'read' | 'grammar'> {
  return {
    marks: close === undefined ? [open] : [open, close],
    openings: [open, ...also],
    *read(input) {
      yield* blanks(input);
      const listed = yield* literal(input, '[');
      do {
        if (!(yield* jsonCall(input, undefined, keys))) return false;
        yield* blanks(input);
      } while (listed && (yield* literal(input, ',')));
      if (listed) yield* literal(input, ']');
      if (close !== undefined) yield* closing(input, close);
      return true;
    },
    async grammar({ tools, several, first, mark }) {
      const call = await objects(tools);
      const calls = several ? upToMost(call, sequence(text(', '), call)) : call;
      const end = close === undefined ? [] : [mark(close)];
      return sequence(first(open), text('['), calls, text(']'), ...end);
    },
  };
}
