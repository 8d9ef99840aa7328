// The paged KV cache: keys and values in blocks that any sequence may hold, in any order.
import type { Device } from '../core/device.js';
import { bytesOf, type DType } from '../core/dtype.js';
import { keep } from '../core/scope.js';
import { empty, type Tensor } from '../core/tensor.js';
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

/** The cache's tensors: `blocks` blocks for every layer. Its bytes are touched as blocks are taken. */
export class BlockCache {
  /** Per layer, `[blocks, kvHeads, blockSize, headDim]` */
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];

  constructor(config: DecoderConfig, blocks: number, device: Device, dtype: DType) {
    const shape = [blocks, config.kvHeads, blockSize, config.headDim];
    const layer = (): Tensor => keep(empty(shape, { dtype, device }));
    this.keys = Array.from({ length: config.layers }, layer);
    this.values = Array.from({ length: config.layers }, layer);
  }

  dispose(): void {
    for (const x of [...this.keys, ...this.values]) x.dispose();
  }
}

/** Bytes of one block in all layers. */
export function blockBytes(config: DecoderConfig, dtype: DType): number {
  return 2 * config.layers * bytesOf(dtype, config.kvHeads * blockSize * config.headDim);
}
