// A sequence as scheduler, admission and steps see it, its part in a step, and the limits that they plan within.

import type { Waiter } from '../flow/waiting.js';
import type { BlockNames } from './blocks.js';
import type { Held, MemoryLimits } from './memory.js';

/** A sequence as the scheduler sees it. */
export interface Sequence extends Waiter {
  /** The prompt, and what was produced as far as it is known. */
  readonly tokens: readonly number[];
  readonly promptLength: number;
  /** The length at which it ends. */
  readonly most: number;
  /** Whether tokens are chosen after it. If not, the hidden states of all its tokens are asked for. */
  readonly chooses: boolean;
  /** Whether others may take over the blocks of its prompt. */
  readonly named: boolean;
  /** Names the adapter and its present state. */
  readonly adapterNow: string | undefined;
  /** Names the adapter and its state when the sequence was admitted: what it is computed with. */
  adapterKey: string | undefined;
  /** Tokens that exist, including tokens that the device has chosen and JavaScript has not read yet. */
  length: number;
  /** Tokens whose keys and values are in the cache, or on their way. */
  computed: number;
  /** What it holds of the memory; undefined while it does not run. */
  held: Held | undefined;
  /** The names of the prompt's full blocks. */
  names: BlockNames | undefined;
  /** Prompt tokens that were found in the cache when it was admitted last. */
  cached: number;
  /** How many were admitted before it although it came first. */
  passed: number;
}

/** Tokens `from` to `from + count` of a sequence; `samples` if the next token is to be chosen after them. */
export interface Part<S> {
  sequence: S;
  from: number;
  count: number;
  samples: boolean;
}

export interface SchedulerLimits extends MemoryLimits {
  /** Sequences that run at once. */
  maxBatch: number;
  adapterSlots: number;
  /** Sequences are computed as a whole, each in one step, because their tokens see those after them. Default false. */
  whole?: boolean | undefined;
}
