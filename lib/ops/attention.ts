// Attention over packed sequences.
import { recordJoint, willRecord } from '../autograd.js';
import { kernels } from '../native.js';
import { empty, type Tensor } from '../tensor.js';
import { describe, floats, integers, sameDevice } from './checks.js';
import { contiguous } from './copy.js';

export interface ScoreOptions {
  /** Multiplies the products of queries and keys. Default `1 / sqrt(headDim)`. */
  scale?: number;
  /** How many keys a query sees at most, its own and those before. Default: all. */
  window?: number;
  /** Bounds scores smoothly: `softcap · tanh(score / softcap)`. Default: not at all. */
  softcap?: number;
}

export interface AttentionOptions extends ScoreOptions {
  /** i32 `[sequences + 1]`: where each sequence begins, and the end of the last. They rise and stay within the tokens. */
  boundaries: Tensor;
  /** Whether a query sees only keys up to its own position. Default true. */
  causal?: boolean;
}

/** The scores' settings as the kernels take them, where 0 means none. @throws RangeError for what makes no sense. */
export function scoring(
  op: string,
  headDim: number,
  options: ScoreOptions,
): { scale: number; window: number; softcap: number } {
  const { scale = headDim ** -0.5, window, softcap } = options;
  if (!Number.isFinite(scale)) throw new RangeError(`${op}: scale must be a finite number, got ${scale}`);
  if (window !== undefined && !(Number.isInteger(window) && window > 0 && window < 2 ** 31)) {
    throw new RangeError(`${op}: window must be a whole number of at least 1, got ${window}`);
  }
  if (softcap !== undefined && !(softcap > 0 && Number.isFinite(softcap))) {
    throw new RangeError(`${op}: softcap must be a number above 0, got ${softcap}`);
  }
  return { scale, window: window ?? 0, softcap: softcap ?? 0 };
}

/** The tensor itself, or a copy, with rows of channels whole in memory. Tokens and heads may lie anywhere. */
export const wholeRows = (x: Tensor): Tensor => (x.strides[x.rank - 1] === 1 ? x : contiguous(x));

/**
 * Attention of each packed sequence to itself: `q [tokens, heads, headDim]`, `k` and `v [tokens, kvHeads, headDim]` give
 * `[tokens, heads, headDim]`. Query head `h` reads key head `h / (heads / kvHeads)`.
 *
 * No matrix of scores is ever stored. Tokens outside the boundaries get 0. From Vaswani et al., "Attention Is All You
 * Need" (2017), computed as in Dao et al., "FlashAttention" (2022).
 *
 * @throws RangeError if shapes do not fit each other, or a setting makes no sense.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const { boundaries, causal = true } = options;
  floats('attention', q, k, v);
  integers('attention', 'boundaries', boundaries);
  const device = sameDevice('attention', q, k, v, boundaries);
  if (q.rank !== 3) throw new RangeError(`attention: q must be [tokens, heads, headDim], got ${describe(q.shape)}`);
  const [tokens, heads, headDim] = q.shape as [number, number, number];
  if (k.rank !== 3 || k.shape.join() !== v.shape.join() || k.dim(0) !== tokens || k.dim(2) !== headDim) {
    throw new RangeError(
      `attention: k and v must be [${tokens}, kvHeads, ${headDim}] for a q of ${describe(q.shape)}, got ${describe(k.shape)} and ${describe(v.shape)}`,
    );
  }
  checkHeads('attention', heads, k.dim(1));
  if (boundaries.rank !== 1 || boundaries.size === 0) {
    throw new RangeError(`attention: boundaries must be [sequences + 1], got ${describe(boundaries.shape)}`);
  }
  const { scale, window, softcap } = scoring('attention', headDim, options);

  const out = empty(q.shape, { dtype: q.dtype, device });
  const lse = empty([heads, tokens], { dtype: 'f32', device });
  const [queries, keys, values, bounds] = [wholeRows(q), wholeRows(k), wholeRows(v), contiguous(boundaries)];
  kernels.attention(
    out.handle,
    lse.handle,
    queries.handle,
    keys.handle,
    values.handle,
    bounds.handle,
    scale,
    causal,
    window,
    softcap,
  );
  if (!willRecord(q, k, v)) lse.dispose();
  return recordJoint(out, [q, k, v], (grad, needed) => {
    const gradients = [q, k, v].map((x) => empty(x.shape, { dtype: x.dtype, device }));
    const [dq, dk, dv] = gradients as [Tensor, Tensor, Tensor];
    const { handle: dout } = contiguous(grad);
    kernels.attentionBackward(
      dq.handle,
      dk.handle,
      dv.handle,
      dout,
      queries.handle,
      keys.handle,
      values.handle,
      out.handle,
      lse.handle,
      bounds.handle,
      scale,
      causal,
      window,
      softcap,
    );
    lse.dispose();
    return gradients.map((gradient, i) => {
      if (needed[i]) return gradient;
      gradient.dispose();
      return undefined;
    });
  });
}

/** @throws RangeError unless every key head serves the same number of query heads. */
export function checkHeads(op: string, heads: number, kvHeads: number): void {
  if (heads === 0 || kvHeads === 0 || heads % kvHeads !== 0) {
    throw new RangeError(`${op}: ${heads} query heads are not a multiple of ${kvHeads} key heads`);
  }
}
