// What the grammar of one request may cost: states in all, and time in slices between which the event loop is free.

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

  /** Takes an expression's states, and those of the rules within that none has paid for; false where they are too many. */
  spend(expression: Expression): boolean {
    const size = sizeOf(expression, this.#counted);
    if (size > this.#left) return false;
    this.#left -= size;
    return true;
  }
}
