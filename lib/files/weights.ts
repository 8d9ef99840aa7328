// Weights by name: the interface that safetensors files, folders of shards and GGUF files share.

import type { Tensor } from '../core/tensor.js';

/** Where a tensor lies: `shape` in row-major order, `offset` in bytes from the beginning of its file. */
export interface WeightInfo {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

/** Named tensors in an open file, or in several. */
export interface Weights {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, WeightInfo>;
  /**
   * The tensor `name` on the CPU, in place where the file's alignment allows.
   *
   * @throws Error if there is none, or none that can be loaded.
   */
  tensor(name: string): Tensor;
  /** A copy of the bytes of tensor `name`, of any dtype. */
  read(name: string): Uint8Array;
  close(): void;
  [Symbol.dispose](): void;
}
