// What the next step computes: no bytes and no device, only numbers.
//
// Each step takes the newest token of every sequence that is past its prompt, and shares what is left of its tokens
// among the prompts. Waiting sequences are admitted at every step, the clients in turn, while there are blocks for all
// their tokens. Where a sequence needs a block and there is none, the newest one gives its own back and waits: what it
// had is computed again.
//
// A sequence's numbers never depend on what else runs, to the last bit: prompts are attended to in runs of at least two
// tokens and produced tokens one by one, even when they are computed again, so each kind always takes the same kernel's
// path; and only blocks of prompts are named for others to take over.
import { BlockPool, blockNames } from './blocks.js';
import { SlotTable } from './slots.js';
import { type Waiter, WaitingLines } from './waiting.js';

/** A sequence as the scheduler sees it. */
export interface Sequence extends Waiter {
  /** The prompt, and what was produced as far as it is known. */
  readonly tokens: readonly number[];
  readonly promptLength: number;
  /** The length at which it ends. */
  readonly most: number;
  /** Names the adapter and its state. */
  readonly adapterKey: string | undefined;
  /** Runs with no others, because one of them made a step fail. */
  alone: boolean;
  /** Tokens that exist, those included that the device has chosen and nobody has read yet. */
  length: number;
  /** Tokens whose keys and values are in the cache, or on their way. */
  computed: number;
  blocks: number[];
  /** The names of the prompt's full blocks. */
  names: readonly string[] | undefined;
  /** Prompt tokens that were found in the cache when it was admitted last. */
  cached: number;
}

/** Tokens `from` to `from + count` of a sequence; `samples` if the next token is to be chosen after them. */
export interface Part<S> {
  sequence: S;
  from: number;
  count: number;
  samples: boolean;
}

export interface SchedulerLimits {
  blocks: number;
  /** Tokens in a block. */
  blockSize: number;
  /** Sequences that run at once. */
  maxBatch: number;
  /** Tokens in one step. */
  stepTokens: number;
  adapterSlots: number;
}

export class Scheduler<S extends Sequence> {
  readonly pool: BlockPool;
  readonly slots: SlotTable<string>;
  readonly waiting = new WaitingLines<S>();
  /** In the order of their admission. */
  readonly running: S[] = [];
  /** In tokens of prompts. */
  prefixQueries = 0;
  prefixHits = 0;
  preemptions = 0;

  constructor(readonly limits: SchedulerLimits) {
    this.pool = new BlockPool(limits.blocks);
    this.slots = new SlotTable(limits.adapterSlots);
  }

  add(sequence: S): void {
    this.waiting.push(sequence);
  }

  /** Takes a sequence out, wherever it is. Its blocks and its adapter's slot are free at once. */
  remove(sequence: S): void {
    if (!this.waiting.delete(sequence)) this.#stop(sequence);
  }

  /**
   * The next step, which the caller queues before it asks again: the sequences' state is that after the step. Single
   * produced tokens come first. Empty if there is nothing to do.
   */
  plan(): Part<S>[] {
    const only = this.#alone();
    if (only) {
      const count = only.length < only.most ? chunk(only, this.limits.stepTokens) : 0;
      return count > 0 && this.#grow(only) ? [this.#advance(only, count)] : [];
    }
    const parts: Part<S>[] = [];
    let left = this.limits.stepTokens;
    for (const sequence of [...this.running]) {
      if (left === 0) break;
      if (!isDecoding(sequence) || !this.#grow(sequence)) continue;
      parts.push(this.#advance(sequence, 1));
      left--;
    }
    if (left > 0) this.#admit();
    const planned = new Set(parts.map(({ sequence }) => sequence));
    // The shortest first, each a fair share: what it leaves is for the longer ones.
    const behind = this.running
      .filter((sequence) => !planned.has(sequence) && sequence.length > sequence.computed)
      .filter(({ length, most }) => length < most)
      .sort((a, b) => a.length - a.computed - (b.length - b.computed));
    behind.forEach((sequence, i) => {
      const count = chunk(sequence, Math.ceil(left / (behind.length - i)));
      if (count === 0) return;
      parts.push(this.#advance(sequence, count));
      left -= count;
    });
    return parts;
  }

  /** Sends all that run back to wait; they will run one by one until `alone` is unset. The cache is forgotten. */
  restart(): void {
    for (const sequence of [...this.running].reverse()) {
      sequence.alone = true;
      this.#preempt(sequence);
    }
    this.pool.forget();
  }

  // The sequence that must run without others, if there is one.
  #alone(): S | undefined {
    const running = this.running.find(({ alone }) => alone);
    if (running || this.running.length === this.limits.maxBatch) return running;
    const next = this.waiting.heads().find(({ alone }) => alone);
    return next && this.#start(next) ? next : undefined;
  }

  #admit(): void {
    while (this.running.length < this.limits.maxBatch) {
      const heads = this.waiting.heads();
      if (heads.some(({ alone }) => alone) || !heads.some((sequence) => this.#start(sequence))) return;
    }
  }

  #start(sequence: S): boolean {
    const { limits, pool, slots } = this;
    const { tokens, promptLength, adapterKey } = sequence;
    if (tokens.length < sequence.length) return false; // its last token is still on its way
    if (adapterKey !== undefined && !slots.has(adapterKey)) return false;
    sequence.names ??= blockNames(tokens.slice(0, promptLength), limits.blockSize, adapterKey ?? '');
    // Two tokens of the prompt at least are left: see the head of this file.
    const known = pool.find(sequence.names.slice(0, Math.max(0, Math.floor((promptLength - 2) / limits.blockSize))));
    const needed = Math.ceil(sequence.length / limits.blockSize) - known.length;
    // Room for those that run to grow into, so that the newcomer does not send one of them away.
    const spare = this.running.length;
    if (needed + spare > pool.available - pool.unowned(known)) return false;
    for (const block of known) pool.share(block);
    sequence.blocks = [...known, ...Array.from({ length: needed }, () => pool.take()!)];
    sequence.computed = known.length * limits.blockSize;
    sequence.cached = sequence.computed;
    this.prefixQueries += promptLength;
    this.prefixHits += sequence.computed;
    if (adapterKey !== undefined) slots.take(adapterKey);
    this.waiting.serve(sequence);
    this.running.push(sequence);
    return true;
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
    const samples = sequence.computed === sequence.length;
    if (samples) sequence.length++;
    const { blockSize } = this.limits;
    const full = Math.floor(Math.min(sequence.computed, sequence.promptLength) / blockSize);
    for (let i = Math.floor(from / blockSize); i < full; i++) {
      this.pool.name(sequence.blocks[i]!, sequence.names![i]!);
    }
    return { sequence, from, count, samples };
  }

  #preempt(sequence: S): void {
    this.#stop(sequence);
    sequence.computed = 0;
    this.waiting.unshift(sequence);
  }

  #stop(sequence: S): void {
    const at = this.running.indexOf(sequence);
    if (at < 0) return;
    this.running.splice(at, 1);
    this.pool.free(sequence.blocks);
    sequence.blocks = [];
    if (sequence.adapterKey !== undefined) this.slots.leave(sequence.adapterKey);
  }
}

const isDecoding = ({ length, computed, promptLength, most }: Sequence): boolean =>
  length - computed === 1 && computed >= promptLength && length < most;

// How many tokens to take of at most `room`: never a single one of a longer prompt.
function chunk({ length, computed, promptLength }: Sequence, room: number): number {
  const prompt = Math.max(0, promptLength - computed);
  if (prompt === 0) return Math.min(room, length - computed);
  if (room >= prompt) return prompt + Math.min(room - prompt, length - promptLength);
  const count = prompt - room === 1 ? room - 1 : room;
  return count === 1 ? 0 : count;
}
