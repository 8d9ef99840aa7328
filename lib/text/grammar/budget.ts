// The limits of one request's grammar: states in total, and slices of time between which the event loop runs.

import { TimeSlice } from '../../flow/pause.js';
import { type Expression, type Rule, sizeOf } from './expression.js';

/** Some 300 bytes and 5 µs each; a thousand properties or labels take about 20 000. */
const mostStates = 60_000;

export class Budget {
  readonly slice = new TimeSlice();
  readonly #counted = new Set<Rule>();
  #left = mostStates;

  /** States that may still be spent. */
  get left(): number {
    return this.#left;
  }

  /** Takes the states of an expression and of its rules that were not yet counted; false where too few are left. */
  spend(expression: Expression): boolean {
    const size = sizeOf(expression, this.#counted);
    if (size > this.#left) return false;
    this.#left -= size;
    return true;
  }
}
