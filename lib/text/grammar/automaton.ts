// Expressions as a nondeterministic automaton: numbered states with edges over bytes, free (epsilon) edges, calls of a
// rule's first state, and loops that count their calls of one.
//
// Each state knows its height: how many calls deep the shortest way from it to the end of its rule goes. A state that
// has no way to an end is higher than any other, and nothing ever enters it, so a machine that starts never gets stuck.

import type { TimeSlice } from '../../flow/pause.js';
import type { Expression, Rule } from './expression.js';

export interface State {
  readonly index: number;
  /** First byte, last byte and target, three numbers an edge. */
  bytes: readonly number[];
  free: readonly number[];
  /** A rule's first state and where to go on after it, two numbers a call. */
  calls: readonly number[];
  loop: Loop | undefined;
  /** Whether a rule may end here. */
  ends: boolean;
  /** Whether it can only end here: a call that comes back to this state need not come back at all. */
  last: boolean;
  height: number;
}

/** Calls a rule `min` to `max` times before it takes its state's free edges. */
export interface Loop {
  readonly body: number;
  readonly min: number;
  readonly max: number;
  /** Where the body is a string's character: the state that does the same without counting. */
  readonly open: number | undefined;
}

/** Thrown where an expression can't become a machine; the message says why. */
export class Unfit extends Error {
  override name = 'Unfit';
}

/** The height of a state without a way to its rule's end. */
export const endless = 1 << 29;
const none: readonly number[] = [];

export class Automaton {
  readonly states: State[] = [];
  readonly start: number;
  readonly #starts = new Map<Rule, number>();
  /** Expressions whose edges are still to be added. */
  readonly #waiting: [expression: Expression, from: number, to: number][] = [];

  private constructor(
    root: Expression,
    private readonly limit: number,
  ) {
    this.start = this.#startOf({ expression: root });
  }

  /** @throws Unfit (as a rejection) beyond `limit` states. */
  static async of(root: Expression, limit: number, slice: TimeSlice): Promise<Automaton> {
    const made = new Automaton(root, limit);
    for (let way = made.#waiting.pop(); way; way = made.#waiting.pop()) {
      made.#emit(...way);
      if (slice.over) await slice.pause();
    }
    await made.#measure(slice);
    return made;
  }

  #state(): number {
    const index = this.states.length;
    if (index >= this.limit) throw new Unfit('the schema is too large');
    const [bytes, free, calls] = [none, none, none];
    this.states.push({ index, bytes, free, calls, loop: undefined, ends: false, last: false, height: endless });
    return index;
  }

  #byte(from: number, first: number, last: number, to: number): void {
    const state = this.states[from]!;
    state.bytes = state.bytes.length === 0 ? [first, last, to] : state.bytes.concat(first, last, to);
  }

  #free(from: number, to: number): void {
    const state = this.states[from]!;
    state.free = state.free.length === 0 ? [to] : state.free.concat(to);
  }

  #startOf(rule: Rule): number {
    let start = this.#starts.get(rule);
    if (start === undefined) {
      start = this.#state();
      this.#starts.set(rule, start);
      if (rule.expression) this.#waiting.push([rule.expression, start, this.#end()]);
    }
    return start;
  }

  #end(): number {
    const end = this.#state();
    this.states[end]!.ends = true;
    this.states[end]!.last = true;
    return end;
  }

  /** Adds the expression as a way between two states. It never leads back to `from`. */
  #emit(expression: Expression, from: number, to: number): void {
    switch (expression.kind) {
      case 'byte':
        for (const [first, last] of expression.ranges) this.#byte(from, first, last, to);
        return;
      case 'text':
        this.#chain(expression.bytes, from, to, (value, at, next) => this.#byte(at, value, value, next));
        return;
      case 'words':
        this.#words(expression.words, from, to);
        return;
      case 'sequence':
        this.#chain(expression.parts, from, to, (part, at, next) => this.#emit(part, at, next));
        return;
      case 'choice':
        for (const part of expression.parts) this.#emit(part, from, to);
        return;
      case 'repeat':
        this.#repeat(expression.part, expression.min, expression.max, from, to);
        return;
      case 'string':
        this.#string(this.#startOf(expression.character), expression.min, expression.max, from, to);
        return;
      case 'graph': {
        const nodes = Array.from({ length: expression.nodes - 1 }, () => this.#state());
        nodes.push(to);
        this.#free(from, nodes[0]!);
        for (const [start, end, part] of expression.edges) this.#waiting.push([part, nodes[start]!, nodes[end]!]);
        return;
      }
      case 'rule': {
        const state = this.states[from]!;
        state.calls = [...state.calls, this.#startOf(expression.rule), to];
      }
    }
  }

  #chain<T>(parts: ArrayLike<T>, from: number, to: number, add: (part: T, at: number, next: number) => void): void {
    if (parts.length === 0) this.#free(from, to);
    let at = from;
    for (let i = 0; i < parts.length; i += 1) {
      const next = i === parts.length - 1 ? to : this.#state();
      add(parts[i]!, at, next);
      at = next;
    }
  }

  #words(words: readonly Uint8Array[], from: number, to: number): void {
    const branches = new Map<number, number>();
    for (const word of words) {
      let at = from;
      for (const value of word) {
        const key = at * 256 + value;
        let next = branches.get(key);
        if (next === undefined) {
          next = this.#state();
          branches.set(key, next);
          this.#byte(at, value, value, next);
        }
        at = next;
      }
      this.#free(at, to);
    }
  }

  #repeat(part: Expression, min: number, max: number, from: number, to: number): void {
    if (max === 0 || (min === 0 && max === 1)) this.#free(from, to);
    if (max === 0) return;
    if (max === 1) {
      this.#emit(part, from, to);
    } else if (min === 0 && max === Number.POSITIVE_INFINITY) {
      const around = this.#state();
      this.#free(from, around);
      this.#free(around, to);
      this.#emit(part, around, around);
    } else {
      const body = this.#startOf(part.kind === 'rule' ? part.rule : { expression: part });
      const counting = this.#loop({ body, min, max, open: undefined }, to);
      this.#free(from, counting);
    }
  }

  #string(body: number, min: number, max: number, from: number, to: number): void {
    const after = this.#state();
    const open = this.states.length;
    this.#loop({ body, min: 0, max: Number.POSITIVE_INFINITY, open }, after);
    const counts = min > 0 || max < Number.POSITIVE_INFINITY;
    this.#free(from, counts ? this.#loop({ body, min, max, open }, after) : open);
    this.#byte(after, quote, quote, to);
  }

  #loop(loop: Loop, to: number): number {
    const at = this.#state();
    this.states[at]!.loop = loop;
    this.#free(at, to);
    return at;
  }

  /** Heights spread backwards from the ends of rules until none gets smaller. */
  async #measure(slice: TimeSlice): Promise<void> {
    const { states } = this;
    // The states before each state, as linked lists.
    const latest = new Int32Array(states.length).fill(-1);
    const sources: number[] = [];
    const earlier: number[] = [];
    const changed: State[] = [];
    for (const state of states) {
      const { index, bytes, free, calls, loop } = state;
      const link = (target: number): void => {
        earlier.push(latest[target]!);
        latest[target] = sources.push(index) - 1;
      };
      for (let i = 2; i < bytes.length; i += 3) link(bytes[i]!);
      free.forEach(link);
      calls.forEach(link);
      if (loop) link(loop.body);
      if (state.ends) {
        state.height = 0;
        changed.push(state);
      }
      if (index % 256 === 0 && slice.over) await slice.pause();
    }
    for (let at = 0; at < changed.length; at += 1) {
      for (let i = latest[changed[at]!.index]!; i >= 0; i = earlier[i]!) {
        const state = states[sources[i]!]!;
        const height = this.#heightOf(state);
        if (height >= state.height) continue;
        state.height = height;
        changed.push(state);
      }
      if (at % 256 === 0 && slice.over) await slice.pause();
    }
  }

  #heightOf({ bytes, free, calls, loop, ends }: State): number {
    const { states } = this;
    let least = ends ? 0 : endless;
    for (let i = 2; i < bytes.length; i += 3) least = Math.min(least, states[bytes[i]!]!.height);
    for (const target of free) least = Math.min(least, states[target]!.height);
    if (loop && loop.min > 0) least = Math.max(least, states[loop.body]!.height + 1);
    for (let i = 0; i < calls.length; i += 2) {
      const [called, after] = [states[calls[i]!]!, states[calls[i + 1]!]!];
      least = Math.min(least, after.last ? called.height : Math.max(called.height + 1, after.height));
    }
    return least;
  }
}

const quote = 0x22;
