// Memory: what a part keeps of a sequence from one forward pass to the next. Two kinds: blocks of a paged KV cache, which
// grow with the sequence, and a state, whose size is fixed. The engine plans over them without knowing the parts.
import type { DType } from '../core/dtype.js';
import type { Tensor } from '../core/tensor.js';
import type { Link } from './link.js';

/** Keys and values of each token, in blocks. Each layer has an object of its own. */
export interface BlockMemory {
  readonly kind: 'blocks';
  readonly kvHeads: number;
  readonly headDim: number;
  /** The values are so many first channels of the keys. Default: they are kept beside them, as wide as keys. */
  readonly valuesInKeys?: number | undefined;
  /** Tokens that are looked back upon, the newest included; blocks that fall behind are freed. Undefined is all. */
  readonly window: number | undefined;
  /** The keys of sequences with more tokens are others: one that grows beyond is computed again. Default: none are. */
  readonly switchAt?: number | undefined;
}

/** Keys and values of one layer that later ones read as well: its blocks, and what it gives where nothing is kept. */
export interface SharedKeys {
  readonly memory: BlockMemory;
  readonly keys: Link;
  readonly values: Link;
}

export const sharedKeys = (sizes: Omit<BlockMemory, 'kind'>): SharedKeys => ({
  memory: { kind: 'blocks', ...sizes },
  keys: { of: 'shared keys' },
  values: { of: 'shared values' },
});

/** Tensors of fixed shapes for each sequence, which each of its tokens changes. */
export interface StateMemory {
  readonly kind: 'state';
  readonly shapes: readonly (readonly number[])[];
  readonly dtype: DType;
}

export type Memory = BlockMemory | StateMemory;

export interface KeptBlocks {
  /** `[blocks, kvHeads, blockSize, headDim]`, and the same or columns of it. */
  keys: Tensor;
  values: Tensor;
  /** i32 `[tokens]`: where each new token's key and value go, as block · blockSize + place */
  slots: Tensor;
  /** i32 `[sequences, maxBlocks]`: each sequence's blocks in order */
  blockTables: Tensor;
  /** i32 `[sequences]`: keys that each sequence has, the new ones included */
  lengths: Tensor;
}

export interface KeptState {
  /** Per shape, `[places, ...shape]` */
  states: readonly Tensor[];
  /** i32 `[sequences]`: the place of each sequence's state, which is read and replaced. */
  places: Tensor;
  /** i32 `[sequences + 1]`: where each sequence's new tokens begin, and the end of the last. */
  boundaries: Tensor;
}

export type Kept<M extends Memory> = M extends BlockMemory ? KeptBlocks : M extends StateMemory ? KeptState : never;
