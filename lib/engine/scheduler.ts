// What the next step computes: no bytes and no device, only numbers.
//
// Continuous batching with chunked prefill: each step decodes one token of every sequence that is past its prompt, and
// shares the rest of its tokens fairly among clients, then among each client's prompts. Waiting sequences are admitted at
// every step: see admission.ts. Preemption: where a sequence needs a block and none is free, the newest sequence gives its
// blocks back and waits; its tokens are computed again.
//
// A sequence's numbers never depend on what else runs, to the last bit: prompts are attended to in runs of at least two
// tokens and produced tokens one by one, even when they are computed again, so each kind always takes the same kernel's
// path; and only blocks of prompts are named for others to take over.

import { WaitingLines } from '../flow/waiting.js';
import { type Admission, admit } from './admission.js';
import { BlockNames } from './blocks.js';
import { SequenceMemory, type StateCopy } from './memory.js';
import type { Part, SchedulerLimits, Sequence } from './sequence.js';
import { SlotTable } from './slots.js';

export class Scheduler<S extends Sequence> implements Admission<S> {
  readonly memory: SequenceMemory;
  readonly slots: SlotTable<string>;
  readonly waiting = new WaitingLines<S>();
  /** In the order of their admission. */
  readonly running: S[] = [];
  /** They hold nothing until they are resumed. */
  readonly parked = new Set<S>();
  /** They run one by one, because one of them made a step fail. */
  readonly #suspects = new Set<S>();
  #copies: StateCopy[] = [];
  /** In tokens of prompts. */
  prefixQueries = 0;
  prefixHits = 0;
  preemptions = 0;

  constructor(readonly limits: SchedulerLimits) {
    this.memory = new SequenceMemory(limits);
    this.slots = new SlotTable(limits.adapterSlots);
  }

  /** All that were added and not removed. */
  get all(): S[] {
    return [...this.running, ...this.waiting, ...this.parked];
  }

  add(sequence: S): void {
    this.waiting.push(sequence);
  }

  /** Takes a sequence out, wherever it is. Its blocks and its adapter's slot are free at once. */
  remove(sequence: S): void {
    this.#suspects.delete(sequence);
    if (!this.parked.delete(sequence) && !this.waiting.delete(sequence)) this.#stop(sequence);
  }

  /** Takes away what a sequence holds until `resume`, from where it goes on by computing its tokens again. */
  park(sequence: S): void {
    this.remove(sequence);
    sequence.computed = 0;
    this.parked.add(sequence);
  }

  /** Whether it was parked. */
  resume(sequence: S): boolean {
    if (!this.parked.delete(sequence)) return false;
    this.waiting.push(sequence);
    return true;
  }

  /**
   * The next step, which the caller queues before it asks again: the sequences' state is that after the step. Single
   * produced tokens come first; beside them at most `beside` tokens of prompts. Empty if there is nothing to do.
   */
  plan(beside = this.limits.stepTokens): Part<S>[] {
    const [suspect] = this.#suspects;
    for (const sequence of [...this.running]) if (this.#outgrows(sequence)) this.#preempt(sequence);
    if (suspect) return this.#planAlone(suspect);
    admit(this);
    if (this.limits.whole) return this.#planWhole();
    const parts: Part<S>[] = [];
    let left = this.limits.stepTokens;
    for (const sequence of [...this.running]) {
      if (left === 0) break;
      if (!isDecoding(sequence) || !this.#grow(sequence, 1)) continue;
      parts.push(this.#advance(sequence, 1));
      left--;
    }
    if (parts.length > 0) left = Math.min(left, beside);
    const planned = new Set(parts.map(({ sequence }) => sequence));
    const behind = this.running.filter((sequence) => !planned.has(sequence) && missing(sequence) > 0);
    // Max-min fairness: those with the least need come first, and what they leave of their share goes to the next.
    const lines = byClient(behind);
    for (const [i, line] of lines.entries()) {
      let share = Math.ceil(left / (lines.length - i));
      for (const [n, sequence] of line.entries()) {
        const count = this.#chunk(sequence, Math.ceil(share / (line.length - n)));
        // A prompt preempts no sequence, which may be in this step already.
        if (count === 0 || !this.#grow(sequence, count, parts.length === 0)) continue;
        parts.push(this.#advance(sequence, count));
        share -= count;
        left -= count;
      }
    }
    return parts;
  }

  /**
   * These parts are on their way to the device: the blocks of prompts that they fill may be taken over from now on.
   *
   * @returns the copies of states that are to be made after the step.
   */
  commit(parts: readonly Part<S>[]): StateCopy[] {
    return parts.flatMap(({ sequence, from, count }) => {
      const { names, held, promptLength } = sequence;
      return (names && held && this.memory.name(held, names, promptLength, from, from + count)) ?? [];
    });
  }

  /** The copies of states that the next step needs. They are given once. */
  takeCopies(): StateCopy[] {
    return this.#copies.splice(0);
  }

  /** Sends all that run back to wait; they will run one by one until they are trusted. The cache is forgotten. */
  restart(): void {
    for (const sequence of this.running) this.#suspects.add(sequence);
    for (const sequence of [...this.running].reverse()) this.#preempt(sequence);
    this.memory.forget();
  }

  /** It has shown that it does not make steps fail. */
  trust(sequence: S): void {
    this.#suspects.delete(sequence);
  }

  /** Lets a waiting sequence run if there is memory for all its tokens, that of `leaving` included. */
  start(sequence: S, leaving?: S): boolean {
    this.#takeKey(sequence);
    const { length, promptLength, chooses, names } = sequence;
    // Room for running sequences to grow into, so that the newcomer does not preempt one of them.
    const spare = this.running.length - (leaving ? 1 : 0);
    const request = { length, promptLength, names: chooses ? names : undefined };
    const opened = this.memory.open(request, spare, leaving?.held);
    if (!opened) return false;
    if (leaving) {
      leaving.held = undefined; // given up for the newcomer
      this.#giveWay(leaving);
    }
    sequence.held = opened.held;
    sequence.computed = opened.known;
    sequence.cached = opened.known;
    sequence.passed = 0;
    if (opened.begin) this.#copies.push(opened.begin);
    if (chooses) this.prefixQueries += promptLength;
    this.prefixHits += opened.known;
    if (sequence.adapterKey !== undefined) this.slots.take(sequence.adapterKey);
    this.waiting.serve(sequence);
    this.running.push(sequence);
    return true;
  }

  // What it is computed with from now on, if its adapter was trained since.
  #takeKey(sequence: S): void {
    const key = sequence.adapterNow;
    sequence.adapterKey = key;
    const switched = this.memory.switched(sequence.length);
    const kind = `${key ?? ''}${switched > 0 ? `\0${switched}` : ''}`;
    if (!sequence.named || sequence.names?.kind === kind) return;
    sequence.names = new BlockNames(sequence.tokens, this.limits.blockSize, kind);
  }

  // Whether what it holds is of no use for the next token, because its keys are others now.
  #outgrows(sequence: S): boolean {
    const { held, length } = sequence;
    return held !== undefined && missing(sequence) > 0 && this.memory.switched(length) !== held.switched;
  }

  // Texts in the order of their admission, as many as a step has room for: none is passed over for a shorter one. A text
  // that is longer than a step goes alone.
  #planWhole(): Part<S>[] {
    const parts: Part<S>[] = [];
    let left = this.limits.stepTokens;
    for (const sequence of this.running) {
      const count = missing(sequence);
      if (count === 0) continue;
      if (count > left && parts.length > 0) break;
      parts.push(this.#advance(sequence, count));
      left -= count;
    }
    return parts;
  }

  #planAlone(only: S): Part<S>[] {
    const ready = this.running.includes(only) || (only.tokens.length >= only.length && this.start(only));
    const count = ready && missing(only) > 0 ? this.#chunk(only, this.limits.stepTokens) : 0;
    return count > 0 && this.#grow(only, count) ? [this.#advance(only, count)] : [];
  }

  // Makes room for `count` more tokens, by preemption where `preempts`. False if there is none, or the sequence itself had
  // to give up its place.
  #grow(sequence: S, count: number, preempts = true): boolean {
    while (!this.memory.extend(sequence.held!, sequence.computed, sequence.computed + count)) {
      if (!preempts) return false;
      const newest = this.running.at(-1)!;
      this.preemptions++;
      this.#preempt(newest);
      if (newest === sequence) return false;
    }
    return true;
  }

  // How many tokens to take of at most `room`: never a single one of a longer prompt, and none past a state's snapshot.
  #chunk({ length, computed, promptLength }: S, room: number): number {
    if (this.limits.whole) return length - computed;
    const prompt = Math.max(0, promptLength - computed);
    if (prompt === 0) return Math.min(room, length - computed);
    const stop = this.memory.nextStop(computed, promptLength) - computed;
    if (room >= stop) return stop + (stop === prompt ? Math.min(room - prompt, length - promptLength) : 0);
    const count = prompt - room === 1 ? room - 1 : room;
    return count === 1 ? 0 : count;
  }

  #advance(sequence: S, count: number): Part<S> {
    const from = sequence.computed;
    sequence.computed += count;
    const samples = sequence.chooses && sequence.computed === sequence.length;
    if (samples) sequence.length++;
    return { sequence, from, count, samples };
  }

  #preempt(sequence: S): void {
    this.#stop(sequence);
    this.waiting.unshift(sequence);
  }

  #giveWay(sequence: S): void {
    this.preemptions++;
    this.#stop(sequence);
    this.waiting.putBack(sequence);
  }

  #stop(sequence: S): void {
    const at = this.running.indexOf(sequence);
    if (at < 0) return;
    this.running.splice(at, 1);
    const { held } = sequence;
    if (held) {
      this.memory.close(held);
      this.#copies = this.#copies.filter(({ to }) => to !== held.place);
    }
    sequence.held = undefined;
    sequence.computed = 0;
    if (sequence.adapterKey !== undefined) this.slots.leave(sequence.adapterKey);
  }
}

const isDecoding = ({ length, computed, promptLength, most }: Sequence): boolean =>
  length - computed === 1 && computed >= promptLength && length < most;

/** Tokens that are still to be computed before the next one is chosen. */
const missing = ({ length, computed, most, chooses }: Sequence): number =>
  !chooses || length < most ? length - computed : 0;

/** The sequences by client; clients and their sequences come in the order of what they need. */
function byClient<S extends Sequence>(sequences: readonly S[]): S[][] {
  const lines = new Map<string, { line: S[]; needs: number }>();
  for (const sequence of sequences.toSorted((a, b) => missing(a) - missing(b))) {
    const of = lines.get(sequence.client) ?? { line: [], needs: 0 };
    lines.set(sequence.client, of);
    of.line.push(sequence);
    of.needs += missing(sequence);
  }
  return [...lines.values()].sort((a, b) => a.needs - b.needs).map(({ line }) => line);
}
