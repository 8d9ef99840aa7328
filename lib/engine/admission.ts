// Admission to the batch: the clients in turn, while there are places, blocks and adapters' slots.
//
// A sequence that does not fit lets others pass. Against starvation, after `patience` of them admission stops until it
// fits; where it lacks an adapter's slot, no more sequences join the adapter with the fewest users. A client without any
// place in a full batch preempts the newest sequence of the client with most.

import type { WaitingLines } from '../flow/waiting.js';
import type { SchedulerLimits, Sequence } from './sequence.js';
import type { SlotTable } from './slots.js';

const patience = 32;
/** Sequences without enough blocks that are looked at in one step: for each, its prompt's names are looked up. */
const mostTries = 8;

export interface Admission<S extends Sequence> {
  readonly limits: SchedulerLimits;
  readonly slots: SlotTable<string>;
  readonly waiting: WaitingLines<S>;
  readonly running: readonly S[];
  /** Lets one run, in the place of `leaving` if that is given; false if it lacks blocks. */
  start(sequence: S, leaving?: S): boolean;
}

export function admit<S extends Sequence>(to: Admission<S>): void {
  const { slots, waiting, running, limits } = to;
  const passed: S[] = [];
  let closed: string | undefined;
  let tries = 0;
  for (const head of waiting.heads()) {
    let leaving: S | undefined;
    if (running.length >= limits.maxBatch) {
      leaving = newestOfHeaviest(running);
      if (!leaving) return;
      if (running.some(({ client }) => client === head.client)) continue;
    }
    if (head.tokens.length < head.length) continue; // its last token is still on its way
    const key = head.adapterNow;
    if (key !== undefined && key === closed) continue;
    if (key !== undefined && !slots.has(key)) {
      if (head.passed >= patience) closed ??= slots.leastUsed();
      passed.push(head);
    } else if (to.start(head, leaving)) {
      for (const other of passed) other.passed++;
    } else {
      if (head.passed >= patience || ++tries === mostTries) return;
      passed.push(head);
    }
  }
}

/** What was admitted last of the client that has most, if that is more than one. */
function newestOfHeaviest<S extends Sequence>(running: readonly S[]): S | undefined {
  const counts = new Map<string, number>();
  let heaviest: S | undefined;
  for (const sequence of running) {
    const count = (counts.get(sequence.client) ?? 0) + 1;
    counts.set(sequence.client, count);
    if (count > 1 && count >= (heaviest ? counts.get(heaviest.client)! : 0)) heaviest = sequence;
  }
  return heaviest;
}
