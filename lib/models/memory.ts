// The memory of a model's sequences on the device: blocks of a paged KV cache that any sequence may hold, in any order, and
// places for states. Layers with the same window share a numbering of blocks (a group), because their blocks come and go
// together.
import type { Device } from '../core/device.js';
import { bytesOf, type DType } from '../core/dtype.js';
import { kernels } from '../core/native.js';
import { keep } from '../core/scope.js';
import { empty, type Tensor, viewOf } from '../core/tensor.js';
import { zeros } from '../ops/random.js';
import type { BlockMemory, Kept, KeptBlocks, KeptState, Memory, StateMemory } from '../parts/memory.js';
import type { Pass } from '../parts/part.js';
import type { DecoderConfig } from './config.js';

/** Tokens per block: small enough to waste little, large enough for long runs of memory. */
export const blockSize = 32;

/** Layers whose blocks are numbered together. */
export interface BlockGroup {
  readonly window: number | undefined;
  readonly layers: readonly BlockMemory[];
}

export interface MemoryPlan {
  readonly groups: readonly BlockGroup[];
  readonly states: readonly StateMemory[];
  /** Lengths beyond which a sequence's keys are others. */
  readonly switches: readonly number[];
}

/** What the parts of a model keep of each sequence. */
export function memoryPlan({ layers }: Pick<DecoderConfig, 'layers'>): MemoryPlan {
  const all = layers.flatMap(({ memory }) => memory);
  const blocks = all.filter((memory) => memory.kind === 'blocks');
  const windows = [...new Set(blocks.map(({ window }) => window))];
  return {
    groups: windows.map((window) => ({ window, layers: blocks.filter((memory) => memory.window === window) })),
    states: all.filter((memory) => memory.kind === 'state'),
    switches: [...new Set(blocks.flatMap(({ switchAt }) => switchAt ?? []))],
  };
}

const kvShape = ({ kvHeads, headDim }: BlockMemory, blocks: number): number[] => [blocks, kvHeads, blockSize, headDim];
const sizeOf = (shape: readonly number[]): number => shape.reduce((size, axis) => size * axis, 1);

/** Tensors that hold a layer's blocks: keys, and values where those are not among the keys. */
const tensorsOf = ({ valuesInKeys }: BlockMemory): number => (valuesInKeys === undefined ? 2 : 1);

/** Bytes of one block in all layers of a group. */
export const blockBytes = ({ layers }: BlockGroup, dtype: DType): number =>
  layers.reduce((sum, layer) => sum + tensorsOf(layer) * bytesOf(dtype, sizeOf(kvShape(layer, 1))), 0);

/** Bytes of one sequence's states. */
export const stateBytes = ({ states }: MemoryPlan): number =>
  states.reduce(
    (sum, { shapes, dtype }) => sum + shapes.reduce((all, shape) => all + bytesOf(dtype, sizeOf(shape)), 0),
    0,
  );

/** Bytes that a sequence of so many tokens keeps: of a window no more than it holds. */
export function sequenceBytes(config: Pick<DecoderConfig, 'layers'>, dtype: DType, tokens: number): number {
  const plan = memoryPlan(config);
  return plan.groups.reduce((sum, group) => {
    const held = Math.min(tokens, (group.window ?? tokens) + blockSize);
    return sum + Math.ceil(held / blockSize) * blockBytes(group, dtype);
  }, stateBytes(plan));
}

/** What one forward pass needs to know of the memory, besides its tensors. */
export interface MemoryStep {
  /** i32 `[sequences]`: keys that each sequence has, the new ones included */
  lengths: Tensor;
  /** For each group of the plan: see KeptBlocks. */
  groups: readonly Pick<KeptBlocks, 'slots' | 'blockTables'>[];
  /** See KeptState. Undefined where no part has a state. */
  states: Omit<KeptState, 'states'> | undefined;
}

/** The tensors. The bytes of blocks are touched as they are taken. */
export class DecoderMemory {
  readonly #blocks = new Map<BlockMemory, { group: number; keys: Tensor; values: Tensor }>();
  readonly #states = new Map<StateMemory, Tensor[]>();

  /**
   * `blocks` for each group of the plan; where it has a window one more, which stays zero and stands for freed blocks.
   * `places` for states, the first of which stays zero.
   */
  constructor(plan: MemoryPlan, blocks: readonly number[], places: number, device: Device, dtype: DType) {
    for (const [group, { layers }] of plan.groups.entries()) {
      for (const layer of layers) {
        const spare = layer.window === undefined ? 0 : 1;
        const made = (): Tensor => keep(empty(kvShape(layer, blocks[group]! + spare), { dtype, device }));
        const keys = made();
        const { valuesInKeys: width } = layer;
        const inKeys = (size: number): Tensor => keep(viewOf(keys, [...keys.shape.slice(0, 3), size], keys.strides));
        const values = width === undefined ? made() : inKeys(width);
        if (spare > 0) for (const x of [keys, values]) clear(x, blocks[group]!);
        this.#blocks.set(layer, { group, keys, values });
      }
    }
    for (const memory of plan.states) {
      const made = (shape: readonly number[]): Tensor =>
        keep(zeros([places, ...shape], { dtype: memory.dtype, device }));
      this.#states.set(memory, memory.shapes.map(made));
    }
  }

  /** What parts see of it in one forward pass. */
  kept(step: MemoryStep): Pass['kept'] {
    return <M extends Memory>(memory: M) => {
      const of: Memory = memory;
      return (of.kind === 'blocks' ? this.#keptBlocks(of, step) : this.#keptState(of, step)) as Kept<M>;
    };
  }

  /** Copies the states from one place to another. */
  copyState({ from, to }: { from: number; to: number }): void {
    for (const state of [...this.#states.values()].flat()) {
      using source = row(state, from);
      using target = row(state, to);
      kernels.copy(target.handle, source.handle);
    }
  }

  dispose(): void {
    for (const { keys, values } of this.#blocks.values()) for (const x of [keys, values]) x.dispose();
    for (const state of [...this.#states.values()].flat()) state.dispose();
  }

  #keptBlocks(memory: BlockMemory, { groups, lengths }: MemoryStep): KeptBlocks {
    const { group, keys, values } = this.#blocks.get(memory)!;
    return { keys, values, lengths, ...groups[group]! };
  }

  #keptState(memory: StateMemory, { states }: MemoryStep): KeptState {
    return { states: this.#states.get(memory)!, ...states! };
  }
}

const row = (x: Tensor, at: number): Tensor => viewOf(x, x.shape.slice(1), x.strides.slice(1), at * x.strides[0]!);

function clear(x: Tensor, at: number): void {
  using target = row(x, at);
  kernels.fill(target.handle, 0);
}
