// A grammar as a machine that reads bytes: which may come next, and whether the text may end.
//
// A situation is the set of all places the text may have reached. A place is a state and the places to return to, as
// a linked list. Places and situations are interned and remember where each byte leads, so a text, or a vocabulary,
// that goes where another one has gone costs one array access a byte.

import { Automaton, type State } from './automaton.js';
import type { Expression } from './expression.js';

/** How many calls deep a text may nest: some fifty levels of JSON. */
const mostDepth = 200;
/** A schema of many choices could make sets that grow with the text; what is beyond this many places is not tried. */
const mostPlaces = 512;
const mostSituations = 5000;
const mostKnownPlaces = 100_000;

interface Place {
  readonly id: number;
  readonly state: State;
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
  ) {}

  /** Whether no byte may follow. */
  get closed(): boolean {
    return this.places.length === 0;
  }
}

export class Grammar {
  readonly start: Situation;
  private readonly automaton: Automaton;
  private readonly places = new Map<number, Map<State, Place>>();
  private readonly situations = new Map<string, Situation>();
  private made = 0;
  private forgotten = 0;
  /** Places looked at so far: what the machine has cost. */
  work = 0;

  /** @throws TooLarge beyond `limit` states; Error where no text matches. */
  constructor(root: Expression, limit = 60_000) {
    this.automaton = new Automaton(root, limit);
    if (!this.automaton.matches) throw new Error('grammar: no text matches');
    const reached = new Set<Place>();
    const start = this.automaton.states[this.automaton.start]!;
    const complete = this.reach(start, undefined, reached, new Set());
    this.start = this.situation(reached, complete);
  }

  /** Where a byte leads, or null where it may not come. */
  step(from: Situation, byte: number): Situation | null {
    const known = from.next[byte];
    if (known !== undefined) return known;
    const reached = new Set<Place>();
    const seen = new Set<Place>();
    let complete = false;
    // The bytes around this one that no edge tells from it: they lead to the same situation.
    let [low, high] = [0, 255];
    for (const { state, parent } of from.places) {
      const { bytes } = state;
      for (let i = 0; i < bytes.length; i += 3) {
        const [first, last] = [bytes[i]!, bytes[i + 1]!];
        if (byte < first) high = Math.min(high, first - 1);
        else if (byte > last) low = Math.max(low, last + 1);
        if (byte < first || byte > last) continue;
        low = Math.max(low, first);
        high = Math.min(high, last);
        const target = this.automaton.states[bytes[i + 2]!]!;
        if (this.reach(target, parent, reached, seen)) complete = true;
      }
    }
    const next = reached.size === 0 && !complete ? null : this.situation(reached, complete);
    for (let same = low; same <= high; same += 1) from.next[same] = next;
    return next;
  }

  /** Follows all that costs no byte; true where the whole text may end. */
  private reach(state: State, parent: Place | undefined, reached: Set<Place>, seen: Set<Place>): boolean {
    let complete = false;
    const waiting: [State, Place | undefined][] = [[state, parent]];
    for (let entry = waiting.pop(); entry; entry = waiting.pop()) {
      const [at, back] = entry;
      const depth = back === undefined ? 0 : back.depth + 1;
      if (depth + at.height > mostDepth) continue;
      const place = this.place(at, back, depth);
      if (seen.has(place) || seen.size >= mostPlaces) continue;
      seen.add(place);
      this.work += 1;
      if (at.bytes.length > 0) reached.add(place);
      for (const target of at.free) waiting.push([this.automaton.states[target]!, back]);
      for (let i = 0; i < at.calls.length; i += 2) {
        const after = this.automaton.states[at.calls[i + 1]!]!;
        if (depth + after.height > mostDepth) continue;
        // A call that comes last returns to the caller's caller, so that lists of any length stay flat.
        const last = after.ends && after.bytes.length === 0 && after.free.length === 0 && after.calls.length === 0;
        waiting.push([this.automaton.states[at.calls[i]!]!, last ? back : this.place(after, back, depth)]);
      }
      if (at.ends && back === undefined) complete = true;
      else if (at.ends) waiting.push([back!.state, back!.parent]);
    }
    return complete;
  }

  private place(state: State, parent: Place | undefined, depth: number): Place {
    const key = parent?.id ?? 0;
    const siblings = this.places.get(key) ?? new Map<State, Place>();
    if (siblings.size === 0) this.places.set(key, siblings);
    const known = siblings.get(state);
    if (known) return known;
    this.made += 1;
    const place = { id: this.made, state, parent, depth };
    siblings.set(state, place);
    return place;
  }

  private situation(reached: Set<Place>, complete: boolean): Situation {
    const places = [...reached].sort((a, b) => a.id - b.id);
    const key = `${complete ? '!' : ''}${places.map(({ id }) => id).join()}`;
    let situation = this.situations.get(key);
    if (!situation) {
      if (this.situations.size >= mostSituations || this.made - this.forgotten > mostKnownPlaces) this.forget();
      situation = new Situation(places, complete);
      this.situations.set(key, situation);
    }
    return situation;
  }

  /** Situations in use stay right without the tables: the same place may then exist twice. */
  private forget(): void {
    this.forgotten = this.made;
    this.situations.clear();
    this.places.clear();
    this.start.next.length = 0;
  }
}
