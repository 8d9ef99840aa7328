// A grammar as a pushdown automaton over bytes: which may come next, and whether the text may end.
//
// A situation is the set of all places the text may have reached. A place is a state, how often it has looped, and the
// places to return to, as a linked list. Places and situations are interned and remember where each byte leads, so a
// text, or a vocabulary, that goes where another one has gone costs one array access a byte.

import { TimeSlice } from '../../flow/pause.js';
import { Automaton, endless, type State, Unfit } from './automaton.js';
import type { Expression } from './expression.js';

/** How many calls deep a text may nest: some hundred levels of JSON. */
const mostDepth = 200;
/** Places of one situation: an ambiguous schema could otherwise make sets that grow with the text. */
const mostPlaces = 4096;
/** A safety limit above the budget's: schemas do not reach it. */
const mostStates = 100_000;
const mostSituations = 5000;
const mostKnownPlaces = 100_000;

interface Place {
  readonly id: number;
  readonly state: State;
  /** Iterations of the state's loop, capped where more make no difference. */
  readonly count: number;
  /** Undefined for the root rule. */
  readonly parent: Place | undefined;
  readonly depth: number;
}

/** All places a text may have reached. */
export class Situation {
  /** By byte; null where the byte may not come, undefined where it was never tried. */
  readonly next: (Situation | null | undefined)[] = [];

  /** @internal */
  constructor(
    readonly places: readonly Place[],
    /** Whether the text may end here. */
    readonly complete: boolean,
    /** Whether it may be before a character of a string of any length: whole characters then lead back here. */
    readonly open: boolean,
  ) {}

  /** Whether no byte may follow. */
  get closed(): boolean {
    return this.places.length === 0;
  }
}

/** Before a character of a string that has `left` characters left and must get `owed` more. */
export interface Counted {
  /** The same without counting. */
  open: Situation;
  left: number;
  owed: number;
}

export class Grammar {
  readonly start: Situation;
  private readonly places = new Map<number, Map<number, Place>>();
  private readonly situations = new Map<string, Situation>();
  private made = 0;
  private forgotten = 0;
  /** Places visited so far, a measure of cost. */
  work = 0;

  private constructor(private readonly automaton: Automaton) {
    const start = automaton.states[automaton.start]!;
    if (start.height >= endless) throw new Unfit('nothing fits the schema');
    if (start.height > mostDepth) throw new Unfit('the schema is nested too deep');
    this.start = this.from(start, undefined);
  }

  /** @throws Unfit (as a rejection) where no text matches, or only texts beyond the limits. */
  static async of(root: Expression, slice = new TimeSlice()): Promise<Grammar> {
    return new Grammar(await Automaton.of(root, mostStates, slice));
  }

  /** States of the automaton. */
  get states(): number {
    return this.automaton.states.length;
  }

  /** Where a byte, or a control token's value, leads; null where it may not come. */
  step(from: Situation, byte: number): Situation | null {
    const known = from.next[byte];
    if (known !== undefined) return known;
    const reached = new Set<Place>();
    const seen = new Set<Place>();
    let complete = false;
    // The range of bytes around this one that take the same edges, and so lead to the same situation.
    let [low, high] = byte < 256 ? [0, 255] : [byte, byte];
    for (const { state, parent } of from.places) {
      const { bytes } = state;
      for (let i = 0; i < bytes.length; i += 3) {
        const [first, last] = [bytes[i]!, bytes[i + 1]!];
        if (byte < first) high = Math.min(high, first - 1);
        else if (byte > last) low = Math.max(low, last + 1);
        if (byte < first || byte > last) continue;
        low = Math.max(low, first);
        high = Math.min(high, last);
        if (this.reach(this.automaton.states[bytes[i + 2]!]!, parent, reached, seen)) complete = true;
      }
    }
    const next = reached.size === 0 && !complete ? null : this.situation(reached, complete);
    for (let same = low; same <= high; same += 1) from.next[same] = next;
    return next;
  }

  /** Splits a situation into the counted strings that it may be inside of, and the rest. */
  apart(at: Situation): { counted: Counted[]; others: Situation } {
    const counted: Counted[] = [];
    const apart = new Set<Place>();
    for (const place of at.places) {
      const { state, parent } = place;
      const loop = parent?.state.loop;
      if (loop?.open === undefined || state.index !== loop.body) continue;
      const { count, parent: outer, state: looping } = parent!;
      const open = this.from(this.automaton.states[loop.open]!, outer);
      counted.push({ open, left: loop.max - count + 1, owed: Math.max(0, loop.min - count + 1) });
      apart.add(place);
      for (const after of looping.free) apart.add(this.place(this.automaton.states[after]!, outer));
    }
    const rest = at.places.filter((place) => !apart.has(place));
    return { counted, others: this.situation(new Set(rest), false) };
  }

  private from(state: State, parent: Place | undefined): Situation {
    const reached = new Set<Place>();
    const complete = this.reach(state, parent, reached, new Set());
    return this.situation(reached, complete);
  }

  /** The epsilon closure: follows free edges, calls and loops. True where the whole text may end. */
  private reach(first: State, outer: Place | undefined, reached: Set<Place>, seen: Set<Place>): boolean {
    const { states } = this.automaton;
    const waiting: Place[] = [];
    const go = (state: State, parent: Place | undefined): void => {
      if (depthIn(parent) + state.height <= mostDepth) waiting.push(this.place(state, parent));
    };
    let complete = false;
    go(first, outer);
    for (let place = waiting.pop(); place; place = waiting.pop()) {
      if (seen.has(place) || seen.size >= mostPlaces) continue;
      seen.add(place);
      this.work += 1;
      const { state, count, parent, depth } = place;
      const { bytes, free, calls, loop } = state;
      if (bytes.length > 0) reached.add(place);
      if (!loop || count >= loop.min) for (const target of free) go(states[target]!, parent);
      if (loop && count < loop.max) {
        const most = Number.isFinite(loop.max) ? loop.max : loop.min + 1;
        go(states[loop.body]!, this.place(state, parent, Math.min(count + 1, most)));
      }
      for (let i = 0; i < calls.length; i += 2) {
        const [called, after] = [states[calls[i]!]!, states[calls[i + 1]!]!];
        // A call that comes last returns to the caller's caller, so that lists of any length stay flat.
        if (after.last) go(called, parent);
        else if (depth + after.height <= mostDepth) go(called, this.place(after, parent));
      }
      if (!state.ends) continue;
      if (parent) waiting.push(parent);
      else complete = true;
    }
    return complete;
  }

  private place(state: State, parent: Place | undefined, count = 0): Place {
    const outer = parent?.id ?? 0;
    const siblings = this.places.get(outer) ?? new Map<number, Place>();
    if (siblings.size === 0) this.places.set(outer, siblings);
    const key = state.index + count * mostStates;
    const known = siblings.get(key);
    if (known) return known;
    this.made += 1;
    const place = { id: this.made, state, count, parent, depth: depthIn(parent) };
    siblings.set(key, place);
    return place;
  }

  private situation(reached: Set<Place>, complete: boolean): Situation {
    const places = [...reached].sort((a, b) => a.id - b.id);
    const key = `${complete ? '!' : ''}${places.map(({ id }) => id).join()}`;
    let situation = this.situations.get(key);
    if (!situation) {
      if (this.situations.size >= mostSituations || this.made - this.forgotten > mostKnownPlaces) this.forget();
      situation = new Situation(places, complete, places.some(isOpen));
      this.situations.set(key, situation);
    }
    return situation;
  }

  /** Clears the intern tables. Situations in use stay valid; the same place may then exist twice. */
  private forget(): void {
    this.forgotten = this.made;
    this.situations.clear();
    this.places.clear();
    this.start.next.length = 0;
  }
}

function depthIn(parent: Place | undefined): number {
  return parent === undefined ? 0 : parent.depth + 1;
}

function isOpen({ state, parent }: Place): boolean {
  const loop = parent?.state.loop;
  return loop?.open !== undefined && loop.open === parent!.state.index && state.index === loop.body;
}
