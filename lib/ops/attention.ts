// Attention over packed sequences.
import { recordJoint, willRecord } from '../core/autograd.js';
import { type Handle, kernels } from '../core/native.js';
import { finish, rowsInCall, type Steps } from '../core/steps.js';
import { empty, type Tensor, viewOf } from '../core/tensor.js';
import { describe, floats, integers, sameDevice } from './checks.js';
import { contiguous } from './copy.js';

export interface ScoreOptions {
  /** Multiplies the products of queries and keys. Default `1 / sqrt(headDim)`. */
  scale?: number;
  /** Keys that a query sees, its own and those before; as many after it where it is not causal. Default: all. */
  window?: number;
  /**
   * `[heads]`: a score that joins each head's softmax, and takes a share that goes to no value. It has no gradient. From
   * Xiao et al., "Efficient streaming language models with attention sinks" (2024).
   */
  sinks?: Tensor | undefined;
  /** Bounds scores smoothly: `softcap · tanh(score / softcap)`. Default: not at all. */
  softcap?: number;
}

export interface AttentionOptions extends ScoreOptions {
  /** i32 `[sequences + 1]`: where each sequence begins, and the end of the last. They rise and stay within the tokens. */
  boundaries: Tensor;
  /** Whether a query sees only keys up to its own position. Default true. */
  causal?: boolean;
  /** No sequence is longer, as far as the caller knows: work is shared out among calls by it. */
  longest?: number | undefined;
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

/** @throws RangeError unless there is one sink for each head. */
export function checkSinks(op: string, sinks: Tensor, q: Tensor): Tensor {
  floats(op, sinks);
  sameDevice(op, q, sinks);
  if (sinks.shape.join() !== String(q.dim(1)))
    throw new RangeError(`${op}: sinks must be [${q.dim(1)}], got ${describe(sinks.shape)}`);
  return sinks;
}

/**
 * Lets sinks into a softmax that is done: scales `out [tokens, heads, headDim]` in place by the share of each row that the
 * keys have beside its sink, which is the result, f32 `[heads, tokens]`. `lse` is the softmax's own.
 */
export function scaleBySinks(out: Tensor, lse: Tensor, sinks: Tensor): Tensor {
  const [heads, tokens] = lse.shape as [number, number];
  const share = empty(lse.shape, { device: lse.device });
  using sink = viewOf(sinks, lse.shape, [sinks.strides[0]!, 0]);
  kernels.sub(share.handle, lse.handle, sink.handle);
  kernels.sigmoid(share.handle, share.handle);
  using factor = viewOf(share, [tokens, heads, out.dim(2)], [1, tokens, 0]);
  kernels.mul(out.handle, out.handle, factor.handle);
  return share;
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
export const attention = (q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor =>
  finish(attentionSteps(q, k, v, options));

/** The same, and its gradients, in steps. */
export function* attentionSteps(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Steps<Tensor> {
  const { boundaries, causal = true, longest = q.shape[0]! } = options;
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
  const { handle: ends } = bounds;
  const settings = [scale, causal, window, softcap] as const;
  const work = (causal ? 1 : 2) * (heads / k.dim(1)) * headDim * tokens * Math.min(longest, tokens);
  yield* byHead([out, lse, queries, keys, values], k.dim(1), work, ([to, sums, ...from]) =>
    kernels.attention(to!, sums!, from[0]!, from[1]!, from[2]!, ends, ...settings),
  );
  if (options.sinks) {
    // A sink is a key whose value is 0: with its part in the sums, the gradient is right as it stands.
    const share = scaleBySinks(out, lse, checkSinks('attention', options.sinks, q));
    kernels.log(share.handle, share.handle);
    kernels.sub(lse.handle, lse.handle, share.handle);
    share.dispose();
  }
  if (!willRecord(q, k, v)) lse.dispose();
  return recordJoint(out, [q, k, v], function* (grad, needed) {
    const gradients = [q, k, v].map((x) => empty(x.shape, { dtype: x.dtype, device }));
    const dout = contiguous(grad);
    const all = [...gradients, dout, queries, keys, values, out, lse];
    yield* byHead(all, k.dim(1), 2.5 * work, ([dq, dk, dv, ...from]) => {
      const [through, query, key, value, result, sums] = from;
      kernels.attentionBackward(dq!, dk!, dv!, through!, query!, key!, value!, result!, sums!, ends, ...settings);
    });
    lse.dispose();
    return gradients.map((gradient, i) => {
      if (needed[i]) return gradient;
      gradient.dispose();
      return undefined;
    });
  });
}

/** Calls `call` for some key heads at a time, with the heads of each tensor that belong to them. */
function* byHead(
  tensors: readonly Tensor[],
  kvHeads: number,
  work: number,
  call: (parts: readonly Handle[]) => void,
): Steps<void> {
  const some = rowsInCall(tensors[0]!.device, kvHeads, work, 1);
  if (some === kvHeads) return call(tensors.map(({ handle }) => handle));
  for (let head = 0; head < kvHeads; head += some) {
    if (head > 0) yield;
    const parts = tensors.map((x) => {
      // Heads are the first axis of lse, [heads, tokens], and the second one of all others.
      const axis = x.rank - 2;
      const each = x.dim(axis) / kvHeads;
      const shape = x.shape.map((size, i) => (i === axis ? Math.min(some, kvHeads - head) * each : size));
      return viewOf(x, shape, x.strides, head * each * x.strides[axis]!);
    });
    call(parts.map(({ handle }) => handle));
    for (const part of parts) part.dispose();
  }
}

/** @throws RangeError unless every key head serves the same number of query heads. */
export function checkHeads(op: string, heads: number, kvHeads: number): void {
  if (heads === 0 || kvHeads === 0 || heads % kvHeads !== 0) {
    throw new RangeError(`${op}: ${heads} query heads are not a multiple of ${kvHeads} key heads`);
  }
}
