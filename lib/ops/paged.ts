// The paged key-value cache: appending to it, and attention over it. Both have no gradient.
import { willRecord } from '../core/autograd.js';
import { kernels } from '../core/native.js';
import { empty, type Tensor } from '../core/tensor.js';
import { checkHeads, checkSinks, type ScoreOptions, scaleBySinks, scoring, wholeRows } from './attention.js';
import { describe, floats, integers, sameDevice } from './checks.js';
import { contiguous } from './copy.js';

export interface PagedOptions extends ScoreOptions {
  /** i32 `[sequences, maxBlocks]`: each sequence's blocks in order. */
  blockTables: Tensor;
  /** i32 `[sequences + 1]`: where each sequence's new tokens begin, and the end of the last. */
  boundaries: Tensor;
  /** i32 `[sequences]`: how many keys each sequence has, the new tokens' own included. A sequence of 0 is left out. */
  lengths: Tensor;
}

function checkCaches(op: string, kCache: Tensor, vCache: Tensor): void {
  if (kCache.rank !== 4 || kCache.shape.join() !== vCache.shape.join() || kCache.dim(2) === 0) {
    throw new RangeError(
      `${op}: the caches must both be [blocks, kvHeads, blockSize, headDim], got ${describe(kCache.shape)} and ${describe(vCache.shape)}`,
    );
  }
  if (!kCache.contiguous || !vCache.contiguous) throw new RangeError(`${op}: the caches must be contiguous`);
}

function refuseGradient(op: string, ...inputs: Tensor[]): void {
  if (willRecord(...inputs)) throw new Error(`${op}: has no gradient: call it inside noGrad, or use attention`);
}

/**
 * Writes `k` and `v [tokens, kvHeads, headDim]` into caches `[blocks, kvHeads, blockSize, headDim]`, rounded to their
 * format. `slots`, i32 `[tokens]`, says where each token goes: `block · blockSize + place`; a negative one skips it.
 *
 * @throws RangeError if shapes do not fit each other.
 * @throws Error if a gradient would be needed.
 */
export function pagedAppend(kCache: Tensor, vCache: Tensor, k: Tensor, v: Tensor, slots: Tensor): void {
  floats('pagedAppend', kCache, vCache, k, v);
  integers('pagedAppend', 'slots', slots);
  sameDevice('pagedAppend', kCache, vCache, k, v, slots);
  checkCaches('pagedAppend', kCache, vCache);
  const [, kvHeads, , headDim] = kCache.shape as [number, number, number, number];
  if (k.rank !== 3 || k.shape.join() !== v.shape.join() || k.dim(1) !== kvHeads || k.dim(2) !== headDim) {
    throw new RangeError(
      `pagedAppend: k and v must be [tokens, ${kvHeads}, ${headDim}] for caches of ${describe(kCache.shape)}, got ${describe(k.shape)} and ${describe(v.shape)}`,
    );
  }
  if (slots.rank !== 1 || slots.size !== k.dim(0)) {
    throw new RangeError(
      `pagedAppend: slots must be [${k.dim(0)}] for a k of ${describe(k.shape)}, got ${describe(slots.shape)}`,
    );
  }
  refuseGradient('pagedAppend', kCache, vCache, k, v);
  kernels.pagedAppend(kCache.handle, vCache.handle, wholeRows(k).handle, wholeRows(v).handle, contiguous(slots).handle);
}

/**
 * Causal attention of `q [tokens, heads, headDim]`, the newest tokens of each sequence, to all keys that the sequence has
 * in the caches `[blocks, kvHeads, blockSize, headDim]`. Gives `[tokens, heads, headDim]`.
 *
 * Query `n` of `N` new ones is at position `length - N + n`. The caches may have another format than `q`. From Kwon et
 * al., "Efficient Memory Management for Large Language Model Serving with PagedAttention" (2023).
 *
 * @throws RangeError if shapes do not fit each other, or a setting makes no sense.
 * @throws Error if a gradient would be needed.
 */
export function pagedAttention(q: Tensor, kCache: Tensor, vCache: Tensor, options: PagedOptions): Tensor {
  const { blockTables, boundaries, lengths } = options;
  floats('pagedAttention', q, kCache, vCache);
  integers('pagedAttention', 'blockTables', blockTables);
  integers('pagedAttention', 'boundaries', boundaries);
  integers('pagedAttention', 'lengths', lengths);
  const device = sameDevice('pagedAttention', q, kCache, vCache, blockTables, boundaries, lengths);
  checkCaches('pagedAttention', kCache, vCache);
  const [, kvHeads, , headDim] = kCache.shape as [number, number, number, number];
  if (q.rank !== 3 || q.dim(2) !== headDim) {
    throw new RangeError(
      `pagedAttention: q must be [tokens, heads, ${headDim}] for caches of ${describe(kCache.shape)}, got ${describe(q.shape)}`,
    );
  }
  checkHeads('pagedAttention', q.dim(1), kvHeads);
  const sequences = lengths.size;
  if (
    lengths.rank !== 1 ||
    boundaries.rank !== 1 ||
    boundaries.size !== sequences + 1 ||
    blockTables.rank !== 2 ||
    blockTables.dim(0) !== sequences
  ) {
    throw new RangeError(
      'pagedAttention: lengths, boundaries and blockTables must be [sequences], [sequences + 1] and [sequences, maxBlocks], ' +
        `got ${describe(lengths.shape)}, ${describe(boundaries.shape)} and ${describe(blockTables.shape)}`,
    );
  }
  const { scale, window, softcap } = scoring('pagedAttention', headDim, options);
  refuseGradient('pagedAttention', q, kCache, vCache);

  const out = empty(q.shape, { dtype: q.dtype, device });
  const sinks = options.sinks && checkSinks('pagedAttention', options.sinks, q);
  const lse = sinks && empty([q.dim(1), q.dim(0)], { device });
  kernels.pagedAttention(
    out.handle,
    lse?.handle ?? null,
    wholeRows(q).handle,
    kCache.handle,
    vCache.handle,
    contiguous(blockTables).handle,
    contiguous(boundaries).handle,
    contiguous(lengths).handle,
    scale,
    window,
    softcap,
  );
  if (sinks && lse) {
    scaleBySinks(out, lse, sinks).dispose();
    lse.dispose();
  }
  return out;
}
