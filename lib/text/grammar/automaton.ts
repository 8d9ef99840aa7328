// Expressions as an automaton: numbered states with edges over bytes, free edges, and calls of a rule's first state.
//
// Each state knows its height: how many calls deep the shortest way from it to the end of its rule goes. A state of
// infinite height has no way to an end, and nothing ever enters it, so a machine that starts never gets stuck.

import type { Expression, Rule } from './expression.js';

export interface State {
  /** First byte, last byte and target, three numbers an edge. */
  readonly bytes: number[];
  readonly free: number[];
  /** A rule's first state and where to go on after it, two numbers a call. */
  readonly calls: number[];
  /** Whether a rule may end here. */
  ends: boolean;
  height: number;
}

/** Thrown where an expression needs more states than allowed. */
export class TooLarge extends Error {
  override name = 'TooLarge';
}

export class Automaton {
  readonly states: State[] = [];
  readonly start: number;
  readonly #starts = new Map<Rule, number>();
  readonly #waiting: Rule[] = [];

  /** @throws TooLarge beyond `limit` states. */
  constructor(
    root: Expression,
    private readonly limit: number,
  ) {
    this.start = this.#state();
    this.states[this.#emit(root, this.start)]!.ends = true;
    for (let rule = this.#waiting.pop(); rule; rule = this.#waiting.pop()) {
      if (!rule.expression) continue;
      this.states[this.#emit(rule.expression, this.#starts.get(rule)!)]!.ends = true;
    }
    this.#measure();
  }

  /** Whether any text matches. */
  get matches(): boolean {
    return Number.isFinite(this.states[this.start]!.height);
  }

  #state(): number {
    if (this.states.length >= this.limit) throw new TooLarge(`more than ${this.limit} states`);
    this.states.push({ bytes: [], free: [], calls: [], ends: false, height: Number.POSITIVE_INFINITY });
    return this.states.length - 1;
  }

  #startOf(rule: Rule): number {
    let start = this.#starts.get(rule);
    if (start === undefined) {
      start = this.#state();
      this.#starts.set(rule, start);
      this.#waiting.push(rule);
    }
    return start;
  }

  /** Adds the expression behind a state and gives the state where it ends. */
  #emit(expression: Expression, from: number): number {
    switch (expression.kind) {
      case 'byte': {
        const to = this.#state();
        for (const [first, last] of expression.ranges) this.states[from]!.bytes.push(first, last, to);
        return to;
      }
      case 'text': {
        let at = from;
        for (const value of expression.bytes) {
          const to = this.#state();
          this.states[at]!.bytes.push(value, value, to);
          at = to;
        }
        return at;
      }
      case 'sequence':
        return expression.parts.reduce((at, part) => this.#emit(part, at), from);
      case 'choice': {
        const to = this.#state();
        for (const part of expression.parts) {
          const inside = this.#state();
          this.states[from]!.free.push(inside);
          this.states[this.#emit(part, inside)]!.free.push(to);
        }
        return to;
      }
      case 'repeat':
        return this.#repeat(expression.part, expression.min, expression.max, from);
      case 'rule': {
        const to = this.#state();
        this.states[from]!.calls.push(this.#startOf(expression.rule), to);
        return to;
      }
    }
  }

  #repeat(part: Expression, min: number, max: number, from: number): number {
    let at = from;
    for (let i = 0; i < min; i += 1) at = this.#emit(part, at);
    const to = this.#state();
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.#state();
      this.states[at]!.free.push(loop);
      this.states[loop]!.free.push(to);
      this.states[this.#emit(part, loop)]!.free.push(loop);
      return to;
    }
    this.states[at]!.free.push(to);
    for (let i = min; i < max; i += 1) {
      at = this.#emit(part, at);
      this.states[at]!.free.push(to);
    }
    return to;
  }

  /** Heights spread backwards from the ends of rules until none gets smaller. */
  #measure(): void {
    const { states } = this;
    const before: number[][] = states.map(() => []);
    states.forEach(({ bytes, free, calls }, index) => {
      for (let i = 2; i < bytes.length; i += 3) before[bytes[i]!]!.push(index);
      for (const target of free) before[target]!.push(index);
      for (const target of calls) before[target]!.push(index);
    });
    const changed: number[] = [];
    states.forEach((state, index) => {
      if (!state.ends) return;
      state.height = 0;
      changed.push(index);
    });
    for (let at = 0; at < changed.length; at += 1) {
      for (const index of before[changed[at]!]!) {
        const height = this.#heightOf(states[index]!);
        if (height >= states[index]!.height) continue;
        states[index]!.height = height;
        changed.push(index);
      }
    }
  }

  #heightOf({ bytes, free, calls, ends }: State): number {
    const { states } = this;
    let least = ends ? 0 : Number.POSITIVE_INFINITY;
    for (let i = 2; i < bytes.length; i += 3) least = Math.min(least, states[bytes[i]!]!.height);
    for (const target of free) least = Math.min(least, states[target]!.height);
    for (let i = 0; i < calls.length; i += 2) {
      least = Math.min(least, Math.max(states[calls[i]!]!.height + 1, states[calls[i + 1]!]!.height));
    }
    return least;
  }
}
