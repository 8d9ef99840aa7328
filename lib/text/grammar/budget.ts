// What the grammar of one request may cost: states in all, and time in slices between which the event loop is free.

import { setImmediate } from 'node:timers/promises';
import { type Expression, type Rule, sizeOf } from './expression.js';

const sliceMilliseconds = 4;
/** Some 300 bytes and 5 µs each; a thousand properties or labels take about 20 000. */
const mostStates = 60_000;

/** `if (slices.due) await slices.pause()` between pieces of work. */
export class Slices {
  #until = performance.now() + sliceMilliseconds;

  get due(): boolean {
    return performance.now() >= this.#until;
  }

  async pause(): Promise<void> {
    await setImmediate();
    this.#until = performance.now() + sliceMilliseconds;
  }
}

export class Budget {
  readonly slices = new Slices();
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
