// The paged KV cache: keys and values in blocks that any sequence may hold, in any order.
import type { Device } from '../device.js';
import type { DType } from '../dtype.js';
import { keep } from '../scope.js';
import { empty, type Tensor, tensor } from '../tensor.js';
import type { DecoderConfig } from './config.js';

/** Tokens per block: small enough to waste little, large enough for long runs of memory. */
export const blockSize = 32;

/** What one forward pass needs to know of the cache. */
export interface CacheStep {
  /** Per layer, `[blocks, kvHeads, blockSize, headDim]` */
  keys: readonly Tensor[];
  values: readonly Tensor[];
  /** i32 `[tokens]`: where each new token's key and value go, as block · blockSize + place */
  slots: Tensor;
  /** i32 `[sequences, maxBlocks]`: each sequence's blocks in order */
  blockTables: Tensor;
  /** i32 `[sequences]`: keys that each sequence has, the new ones included */
  lengths: Tensor;
}

/** A cache for one sequence of at most `capacity` tokens. Its bytes are touched as the sequence grows. */
export class SequenceCache {
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  readonly blockTables: Tensor;

  constructor(
    config: DecoderConfig,
    readonly capacity: number,
    device: Device,
    dtype: DType,
  ) {
    const blocks = Math.ceil(capacity / blockSize);
    const shape = [blocks, config.kvHeads, blockSize, config.headDim];
    const layer = (): Tensor => keep(empty(shape, { dtype, device }));
    this.keys = Array.from({ length: config.layers }, layer);
    this.values = Array.from({ length: config.layers }, layer);
    this.blockTables = keep(
      tensor(
        Int32Array.from({ length: blocks }, (_, i) => i),
        { shape: [1, blocks], device },
      ),
    );
  }

  /** The step that adds tokens `from` to `to` (exclusive). */
  step(from: number, to: number): CacheStep {
    const device = this.blockTables.device;
    const slots = Int32Array.from({ length: to - from }, (_, i) => from + i); // block i of the sequence is block i
    return {
      keys: this.keys,
      values: this.values,
      blockTables: this.blockTables,
      slots: tensor(slots, { device }),
      lengths: tensor(Int32Array.of(to), { device }),
    };
  }

  dispose(): void {
    for (const x of [...this.keys, ...this.values, this.blockTables]) x.dispose();
  }
}
