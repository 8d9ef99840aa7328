// The engine's options, completed to what suits the model and the machine.
import { freemem } from 'node:os';
import { z } from 'zod';
import { cudaInfo, type Device } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { checkOptions } from '../flow/options.js';
import type { DecoderConfig } from '../models/config.js';
import type { Decoder } from '../models/decoder.js';
import { blockBytes, blockSize, memoryPlan, stateBytes } from '../models/memory.js';
import { type MemoryLimits, mostHeld } from './memory.js';

export interface EngineOptions {
  /** Sequences that run at once. Default 32. */
  maxBatch?: number | undefined;
  /** Tokens in one step: 4 or more, and always enough for `maxBatch` and two more. Default 256. */
  stepTokens?: number | undefined;
  /**
   * Bytes of the KV cache, taken as they are needed. Default: enough for one whole context and for 1,024 tokens of each
   * sequence of a full batch, but no more than a quarter of the memory that is free.
   */
  cacheBytes?: number | undefined;
  /**
   * Requests that may wait; more are refused with QueueFull, but for a client with less than its share. Default 10,000.
   */
  maxQueued?: number | undefined;
  /** The same in tokens of prompts. Default 4,000,000. */
  maxQueuedTokens?: number | undefined;
  /** Adapters that one batch may hold. Default 8. */
  adapterSlots?: number | undefined;
  /** The largest rank of an adapter. Default 256. */
  maxLoraRank?: number | undefined;
  /** Training's share of the device while something is served, above 0 and below 1. Default 0.3. */
  trainingShare?: number | undefined;
}

const count = z.number().int().min(1).optional();
const schema = z.strictObject({
  maxBatch: count,
  stepTokens: z.number().int().min(4).optional(),
  cacheBytes: z.number().positive().optional(),
  maxQueued: z.number().int().min(0).optional(),
  maxQueuedTokens: count,
  adapterSlots: count,
  maxLoraRank: count,
  trainingShare: z.number().gt(0).lt(1).optional(),
});

export interface EngineSettings {
  maxBatch: number;
  stepTokens: number;
  /** Blocks of the KV cache, for each group of layers: see memoryPlan. */
  groups: MemoryLimits['groups'];
  /** See MemoryLimits. */
  states: number;
  switches: MemoryLimits['switches'];
  maxQueued: number;
  maxQueuedTokens: number;
  adapterSlots: number;
  maxLoraRank: number;
  trainingShare: number;
}

// A GPU's memory is also training's, and the activations'.
const shareOfFree = 0.25;
/** Bytes that the kernels' scratch and the driver need of a GPU. */
const gpuReserve = 512 * 2 ** 20;

/** @throws RangeError or TypeError that names the option and what it must be. */
export function engineSettings(options: EngineOptions, { config, device, dtype }: Decoder): EngineSettings {
  const given = checkOptions('engine', schema, options);
  const { maxBatch = 32, adapterSlots = 8, maxLoraRank = 256, trainingShare = 0.3 } = given;
  const { maxQueued = 10_000, maxQueuedTokens = 4_000_000 } = given;
  // Beside a full batch but one that decodes, a prompt gets on: it takes up to three tokens at once (see chunk).
  const stepTokens = Math.max(given.stepTokens ?? 256, maxBatch + 2);
  const { cacheBytes } = given;
  const budget = cacheBytes ?? freeBytes(device) * shareOfFree;
  const memory = shared(config, dtype, { maxBatch, stepTokens }, budget, cacheBytes !== undefined);
  return { maxBatch, stepTokens, ...memory, maxQueued, maxQueuedTokens, adapterSlots, maxLoraRank, trainingShare };
}

/** Snapshots of states that are kept for each sequence that may run. */
const snapshotsEach = 2;

/**
 * Shares `budget` bytes out among the groups of layers and the states, in proportion to what they want: one whole context
 * and 1,024 tokens of each sequence of a full batch, but of a window no more than it holds. `fill` takes all of it.
 *
 * @throws RangeError if there is no room for one block of each group and one state.
 */
function shared(
  config: DecoderConfig,
  dtype: DType,
  { maxBatch, stepTokens }: { maxBatch: number; stepTokens: number },
  budget: number,
  fill: boolean,
): Pick<EngineSettings, 'groups' | 'states' | 'switches'> {
  const plan = memoryPlan(config);
  const groups = plan.groups.map((group) => {
    const most = Math.min(config.contextLength, mostHeld(group.window, stepTokens, blockSize) * blockSize);
    const wanted = Math.ceil(Math.max(most, maxBatch * Math.min(most, 1024)) / blockSize);
    // A window's blocks for one sequence come first: with fewer, a sequence could not be longer than they are.
    const least = group.window === undefined ? 0 : Math.ceil(most / blockSize);
    return { window: group.window, wanted, least, bytes: blockBytes(group, dtype) };
  });
  const total = (count: (group: (typeof groups)[number]) => number): number =>
    groups.reduce((sum, group) => sum + count(group) * group.bytes, 0);
  const each = stateBytes(plan);
  const wantedStates = each === 0 ? 0 : 1 + maxBatch * (1 + snapshotsEach);
  const wantedBytes = total(({ wanted }) => wanted) + wantedStates * each;
  const bytes = fill ? budget : Math.min(budget, wantedBytes);
  // One zero state and one that runs at least.
  const states = each === 0 ? 0 : Math.max(2, Math.floor((wantedStates * bytes) / wantedBytes));
  const forBlocks = bytes - states * each;
  const leastFits = total(({ least }) => least) <= forBlocks;
  const leastOf = (group: (typeof groups)[number]): number => (leastFits ? group.least : 0);
  const more = groups.map((group) => group.wanted - leastOf(group));
  const largest = Math.max(1, ...more);
  // What goes with each block of the group that wants most: exact where it is the only one.
  const unit = groups.reduce((sum, group, g) => sum + (more[g]! / largest) * group.bytes, 0) || 1;
  const units = (forBlocks - total(leastOf)) / unit;
  const blocks = groups.map((group, g) => leastOf(group) + Math.floor((more[g]! / largest) * units));
  if (states * each > bytes || blocks.some((count) => count < 1)) {
    const needed = total(() => 1) + states * each;
    throw new RangeError(`engine: the cache has no room for one block of ${needed} bytes: set cacheBytes`);
  }
  return { groups: groups.map(({ window }, g) => ({ window, blocks: blocks[g]! })), states, switches: plan.switches };
}

/** What the device has left, for as much as this process may take. */
function freeBytes({ name, index }: Device): number {
  if (name === 'cuda') return Math.max(0, cudaInfo(index).freeBytes - gpuReserve);
  return process.availableMemory?.() ?? freemem();
}
