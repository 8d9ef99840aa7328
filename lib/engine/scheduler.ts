// What the next step computes: no bytes and no device, only numbers.
//
// Each step takes the newest token of every sequence that is past its prompt, and shares what is left of its tokens
// among the prompts, the clients first and then those of one client. Waiting sequences are admitted at every step: see
// admission.ts. Where a sequence needs a block and there is none, the newest one gives its own back and waits: what it
// had is computed again.
//
// A sequence's numbers never depend on what else runs, to the last bit: prompts are attended to in runs of at least two
// tokens and produced tokens one by one, even when they are computed again, so each kind always takes the same kernel's
// path; and only blocks of prompts are named for others to take over.

import { WaitingLines } from '../flow/waiting.js';
import { type Admission, admit } from './admission.js';
import { BlockNames, BlockPool } from './blocks.js';
import type { Part, SchedulerLimits, Sequence } from './sequence.js';
import { SlotTable } from './slots.js';

export class Scheduler<S extends Sequence> implements Admission<S> {
  readonly pool: BlockPool;
  readonly slots: SlotTable<string>;
  readonly waiting = new WaitingLines<S>();
  /** In the order of their admission. */
  readonly running: S[] = [];
  /** They hold nothing until they are resumed. */
  readonly parked = new Set<S>();
  /** They run one by one, because one of them made a step fail. */
  readonly #suspects = new Set<S>();
  /** In tokens of prompts. */
  prefixQueries = 0;
  prefixHits = 0;
  preemptions = 0;

  constructor(readonly limits: SchedulerLimits) {
    this.pool = new BlockPool(limits.blocks);
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
    if (suspect) return this.#planAlone(suspect);
    admit(this);
    const parts: Part<S>[] = [];
    let left = this.limits.stepTokens;
    for (const sequence of [...this.running]) {
      if (left === 0) break;
      if (!isDecoding(sequence) || !this.#grow(sequence)) continue;
      parts.push(this.#advance(sequence, 1));
      left--;
    }
    if (parts.length > 0) left = Math.min(left, beside);
    const planned = new Set(parts.map(({ sequence }) => sequence));
    const behind = this.running.filter((sequence) => !planned.has(sequence) && missing(sequence) > 0);
    // Those who need least first, each a fair share: what they leave is for those who need more.
    const lines = byClient(behind);
    for (const [i, line] of lines.entries()) {
      let share = Math.ceil(left / (lines.length - i));
      for (const [n, sequence] of line.entries()) {
        const count = chunk(sequence, Math.ceil(share / (line.length - n)));
        if (count === 0) continue;
        parts.push(this.#advance(sequence, count));
        share -= count;
        left -= count;
      }
    }
    return parts;
  }

  /** These parts are on their way to the device: the blocks of prompts that they fill may be taken over from now on. */
  commit(parts: readonly Part<S>[]): void {
    const { blockSize } = this.limits;
    for (const { sequence, from, count } of parts) {
      const { names, blocks, promptLength } = sequence;
      const full = Math.floor(Math.min(from + count, promptLength) / blockSize);
      if (names) for (let i = Math.floor(from / blockSize); i < full; i++) this.pool.name(blocks[i]!, names.at(i));
    }
  }

  /** Sends all that run back to wait; they will run one by one until they are trusted. The cache is forgotten. */
  restart(): void {
    for (const sequence of this.running) this.#suspects.add(sequence);
    for (const sequence of [...this.running].reverse()) this.#preempt(sequence);
    this.pool.forget();
  }

  /** It has shown that it does not make steps fail. */
  trust(sequence: S): void {
    this.#suspects.delete(sequence);
  }

  /** Lets a waiting sequence run if there are blocks for all its tokens, those of `leaving` included. */
  start(sequence: S, leaving?: S): boolean {
    const { limits, pool, slots } = this;
    const { promptLength } = sequence;
    this.#takeKey(sequence);
    // Two tokens of the prompt at least are left: see the head of this file.
    const most = Math.max(0, Math.floor((promptLength - 2) / limits.blockSize));
    const known = sequence.chooses && sequence.names ? pool.find(sequence.names, most) : [];
    const needed = Math.ceil(sequence.length / limits.blockSize) - known.length;
    const given = leaving ? pool.freedBy(leaving.blocks.filter((block) => !known.includes(block))) : 0;
    // Room for those that run to grow into, so that the newcomer does not send one of them away.
    const spare = this.running.length - (leaving ? 1 : 0);
    if (needed + spare > pool.available - pool.unowned(known) + given) return false;
    for (const block of known) pool.share(block);
    if (leaving) this.#giveWay(leaving);
    sequence.blocks = [...known, ...Array.from({ length: needed }, () => pool.take()!)];
    sequence.computed = known.length * limits.blockSize;
    sequence.cached = sequence.computed;
    sequence.passed = 0;
    if (sequence.chooses) this.prefixQueries += promptLength;
    this.prefixHits += sequence.computed;
    if (sequence.adapterKey !== undefined) slots.take(sequence.adapterKey);
    this.waiting.serve(sequence);
    this.running.push(sequence);
    return true;
  }

  // What it is computed with from now on, if its adapter was trained since.
  #takeKey(sequence: S): void {
    const key = sequence.adapterNow;
    sequence.adapterKey = key;
    if (!sequence.named || sequence.names?.adapter === (key ?? '')) return;
    sequence.names = new BlockNames(sequence.tokens, this.limits.blockSize, key ?? '');
  }

  #planAlone(only: S): Part<S>[] {
    const ready = this.running.includes(only) || (only.tokens.length >= only.length && this.start(only));
    const count = ready && missing(only) > 0 ? chunk(only, this.limits.stepTokens) : 0;
    return count > 0 && this.#grow(only) ? [this.#advance(only, count)] : [];
  }

  // Makes room for one more token. False if the sequence had to give up its place for it.
  #grow(sequence: S): boolean {
    while (sequence.computed === sequence.blocks.length * this.limits.blockSize) {
      const block = this.pool.take();
      if (block !== undefined) {
        sequence.blocks.push(block);
        break;
      }
      const newest = this.running.at(-1)!;
      this.preemptions++;
      this.#preempt(newest);
      if (newest === sequence) return false;
    }
    return true;
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
    this.pool.free(sequence.blocks);
    sequence.blocks = [];
    sequence.computed = 0;
    if (sequence.adapterKey !== undefined) this.slots.leave(sequence.adapterKey);
  }
}

const isDecoding = ({ length, computed, promptLength, most }: Sequence): boolean =>
  length - computed === 1 && computed >= promptLength && length < most;

/** Tokens that are still to be computed before the next one is chosen. */
const missing = ({ length, computed, most, chooses }: Sequence): number =>
  !chooses || length < most ? length - computed : 0;

/** Each client's sequences: of both, those that need least come first. */
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

// How many tokens to take of at most `room`: never a single one of a longer prompt.
function chunk({ length, computed, promptLength }: Sequence, room: number): number {
  const prompt = Math.max(0, promptLength - computed);
  if (prompt === 0) return Math.min(room, length - computed);
  if (room >= prompt) return prompt + Math.min(room - prompt, length - promptLength);
  const count = prompt - room === 1 ? room - 1 : room;
  return count === 1 ? 0 : count;
}
