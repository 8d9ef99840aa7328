// A frozen linear layer with a low-rank adapter beside it: one kernel each way, and no gradient for the weight.
import { recordJoint, willRecord } from '../core/autograd.js';
import { type DType, widerFloat } from '../core/dtype.js';
import { type Handle, kernels } from '../core/native.js';
import { finish, rowsInCall, type Steps } from '../core/steps.js';
import { empty, sizeOf, type Tensor, viewOf } from '../core/tensor.js';
import { describe, floats, integers, sameDevice, sameShape } from './checks.js';
import { cast, contiguous } from './copy.js';
import { affine } from './elementwise.js';
import { matmul } from './matmul.js';

export interface LoraLinearOptions {
  /** PEFT's `lora_alpha / r`, or `/ √r`. */
  scaling: number;
  /** `[out]` */
  bias?: Tensor | undefined;
  /** In the result's shape, added at last. */
  residual?: Tensor | undefined;
}

/**
 * `x W' + bias + scaling · (x A') B' + residual`: `x [.., in]`, `weight [out, in]`, `a [r, in]`, `b [out, r]` →
 * `[.., out]`. Gradients reach `x`, `a`, `b` and `residual`, never the weight or the bias. Source: Hu et al.,
 * arXiv:2106.09685.
 *
 * @throws RangeError if the sizes do not match.
 */
export const loraLinear = (x: Tensor, weight: Tensor, a: Tensor, b: Tensor, options: LoraLinearOptions): Tensor =>
  finish(loraLinearSteps(x, weight, a, b, options));

/** The same, and its gradients, in steps. */
export function* loraLinearSteps(
  x: Tensor,
  weight: Tensor,
  a: Tensor,
  b: Tensor,
  options: LoraLinearOptions,
): Steps<Tensor> {
  const { scaling, bias, residual } = options;
  const device = sameDevice('loraLinear', x, weight, a, b, bias, residual);
  floats('loraLinear', x, weight, a, b, bias, residual);
  checkPair('loraLinear', x, a, b);
  if (!sameShape(weight.shape, [b.dim(0), a.dim(1)])) {
    throw new RangeError(`loraLinear: weight must be [${b.dim(0)},${a.dim(1)}], got ${describe(weight.shape)}`);
  }
  if (bias && !sameShape(bias.shape, [weight.dim(0)])) {
    throw new RangeError(`loraLinear: bias must be [${weight.dim(0)}], got ${describe(bias.shape)}`);
  }
  const shape = [...x.shape.slice(0, -1), weight.dim(0)];
  if (residual && !sameShape(residual.shape, shape)) {
    throw new RangeError(`loraLinear: residual must be ${describe(shape)}, got ${describe(residual.shape)}`);
  }

  const inputs = [x, a, b, ...(residual ? [residual] : [])].map(contiguous);
  const [rows, down, up, added] = inputs as [Tensor, Tensor, Tensor, Tensor?];
  const frozen = contiguous(weight);
  const layer = widerFloat(x.dtype, weight.dtype);
  const out = empty(shape, { dtype: residual ? widerFloat(layer, residual.dtype) : layer, device });
  const hidden = empty([...x.shape.slice(0, -1), a.dim(0)], { device });
  const biasHandle = bias ? contiguous(bias).handle : null;
  const work = weight.size + a.size + b.size;
  yield* inParts([out, hidden, rows, ...(added ? [added] : [])], work, ([to, middle, from, plus = null]) =>
    kernels.loraLinear(to, middle, from, frozen.handle, biasHandle, plus, down.handle, up.handle, scaling),
  );
  if (!willRecord(...inputs)) {
    hidden.dispose();
    return out;
  }

  return recordJoint(out, inputs, function* (grad, [xNeeded, , , residualNeeded]) {
    const dx = xNeeded ? empty(rows.shape, { dtype: rows.dtype, device }) : undefined;
    const dout = contiguous(grad);
    let sums: Tensor[] = [];
    yield* inParts([dout, rows, hidden, ...(dx ? [dx] : [])], work, ([to, from, middle, into = null], all) => {
      // Several parts add up in f32, so that narrow gradients are rounded once.
      const pair = [down, up].map(({ shape, dtype }) => empty(shape, { dtype: all ? dtype : 'f32', device }));
      const [da, db] = pair as [Tensor, Tensor];
      kernels.loraLinearBackward(
        into,
        da.handle,
        db.handle,
        to,
        from,
        frozen.handle,
        down.handle,
        up.handle,
        middle,
        scaling,
      );
      for (const [i, sum] of sums.entries()) {
        kernels.add(sum.handle, sum.handle, pair[i]!.handle);
        pair[i]!.dispose();
      }
      if (sums.length === 0) sums = pair;
    });
    hidden.dispose();
    if (dout !== grad) dout.dispose();
    const pair = sums.map((sum, i) => narrowed(sum, inputs[i + 1]!.dtype as DType));
    return [dx, ...pair, added && residualNeeded ? cast(grad, added.dtype as DType) : undefined];
  });
}

function narrowed(x: Tensor, dtype: DType): Tensor {
  const out = cast(x, dtype);
  if (out !== x) x.dispose();
  return out;
}

type Handles = [Handle, Handle, Handle, Handle?];

/** Calls `call` for parts of the same rows of contiguous tensors; `all` says that one part has them all. */
function* inParts(tensors: Tensor[], work: number, call: (parts: Handles, all: boolean) => void): Steps<void> {
  const rows = sizeOf(tensors[0]!.shape.slice(0, -1));
  const some = rowsInCall(tensors[0]!.device, rows, work);
  if (some >= rows) return call(tensors.map(({ handle }) => handle) as Handles, true);
  for (let row = 0; row < rows; row += some) {
    if (row > 0) yield;
    const parts = tensors.map((x) => {
      const cols = x.dim(-1);
      return viewOf(x, [Math.min(some, rows - row), cols], [cols, 1], row * cols);
    });
    call(parts.map(({ handle }) => handle) as Handles, false);
    for (const part of parts) part.dispose();
  }
}

/**
 * The adapter's path alone, `scaling · (x A') B'`, in x's format: for an input that the frozen weight does not see, such
 * as a dropped-out one.
 *
 * @throws RangeError if the sizes do not match.
 */
export function loraLinearPath(x: Tensor, a: Tensor, b: Tensor, scaling: number): Tensor {
  floats('loraLinearPath', x, a, b);
  checkPair('loraLinearPath', x, a, b);
  const dtype = x.dtype as DType;
  // All in x's format, because a GPU's tensor cores take operands of one format only.
  const hidden = matmul(x, cast(a, dtype), { transposeB: true });
  return matmul(affine(hidden, scaling, 0), cast(b, dtype), { transposeB: true });
}

/**
 * Merging: adds `scaling · B A` to `weight [out, in]` in place, summed in f32 and rounded once; `a [r, in]`,
 * `b [out, r]`. With the negative scaling it takes a merged pair out again: what is left of it is the roundings of the
 * weight's format, half a unit in the last place for each of the two. It has no gradient.
 *
 * @throws RangeError if the sizes do not match or the weight is not contiguous; Error if a gradient would be needed.
 */
export function loraMerge(weight: Tensor, a: Tensor, b: Tensor, scaling: number): Tensor {
  sameDevice('loraMerge', weight, a, b);
  floats('loraMerge', weight, a, b);
  if (a.rank !== 2 || b.rank !== 2 || a.dim(0) !== b.dim(1) || !sameShape(weight.shape, [b.dim(0), a.dim(1)])) {
    const shapes = [weight, a, b].map((t) => describe(t.shape)).join(', ');
    throw new RangeError(`loraMerge: weight [out,in], a [r,in] and b [out,r] do not fit: ${shapes}`);
  }
  if (!weight.contiguous) throw new RangeError('loraMerge: the weight is changed in place, so it must be contiguous');
  if (willRecord(weight)) throw new Error('loraMerge: has no gradient: call it inside noGrad');
  kernels.loraMerge(weight.handle, contiguous(a).handle, contiguous(b).handle, scaling);
  return weight;
}

/** The pairs of several adapters for one layer, and which of a batch's rows use which. */
export interface LoraGroups {
  /** `[slots, r, in]` */
  a: Tensor;
  /** `[slots, out, r]` */
  b: Tensor;
  /** i32 `[slots]`: a slot's own rank, at most `r`. What lies beyond it in `a` and `b` is not read. */
  ranks: Tensor;
  /** f32 `[slots]` */
  scalings: Tensor;
  /** i32 `[tokens]`: rows of the batch, sorted by slot. */
  order: Tensor;
  /** i32 `[slots + 1]`: where each slot's rows begin in `order`, and the end of the last. Other rows use none. */
  segments: Tensor;
}

/**
 * Adds `scalings[s] · (x A[s]') B[s]'` to the rows of `out [tokens, out]` that slot `s` has, in place: `x [tokens, in]`.
 * It has no gradient. From Chen et al., "Punica: Multi-Tenant LoRA Serving" (2023).
 *
 * A row outside the batch fails at the `await`; on the CPU so does a rank beyond `r`.
 *
 * @throws RangeError if the sizes do not match; Error if a gradient would be needed.
 */
export function loraGrouped(out: Tensor, x: Tensor, groups: LoraGroups): Tensor {
  const { a, b, ranks, scalings, order, segments } = groups;
  sameDevice('loraGrouped', out, x, a, b, ranks, scalings, order, segments);
  floats('loraGrouped', out, x, a, b, scalings);
  integers('loraGrouped', 'ranks', ranks);
  integers('loraGrouped', 'order', order);
  integers('loraGrouped', 'segments', segments);
  const fits =
    a.rank === 3 &&
    sameShape(b.shape, [a.dim(0), b.dim(1), a.dim(1)]) &&
    sameShape(x.shape, [x.dim(0), a.dim(2)]) &&
    sameShape(out.shape, [x.dim(0), b.dim(1)]);
  if (!fits) {
    const shapes = [out, x, a, b].map((t) => describe(t.shape)).join(', ');
    throw new RangeError(
      `loraGrouped: out [tokens,out], x [tokens,in], a [slots,r,in] and b [slots,out,r] do not fit: ${shapes}`,
    );
  }
  const slots = [a.dim(0)];
  const each = sameShape(ranks.shape, slots) && sameShape(scalings.shape, slots);
  if (!each || !sameShape(segments.shape, [a.dim(0) + 1]) || order.rank !== 1) {
    const shapes = [ranks, scalings, order, segments].map((t) => describe(t.shape)).join(', ');
    throw new RangeError(
      `loraGrouped: for ${a.dim(0)} slots ranks, scalings, order and segments must be [slots], [slots], [tokens] and [slots + 1], got ${shapes}`,
    );
  }
  if (scalings.dtype !== 'f32') throw new TypeError(`loraGrouped: scalings must be f32, got ${scalings.dtype}`);
  if (willRecord(out, x, a, b)) throw new Error('loraGrouped: has no gradient: call it inside noGrad');
  if (!out.contiguous || !a.contiguous || !b.contiguous)
    throw new RangeError('loraGrouped: out, a and b must be contiguous');
  const rows = contiguous(x);
  kernels.loraGrouped(
    out.handle,
    rows.handle,
    a.handle,
    b.handle,
    contiguous(ranks).handle,
    scalings.handle,
    contiguous(order).handle,
    contiguous(segments).handle,
  );
  return out;
}

function checkPair(op: string, x: Tensor, a: Tensor, b: Tensor): void {
  if (x.rank < 2 || a.rank !== 2 || b.rank !== 2 || x.dim(-1) !== a.dim(1) || a.dim(0) !== b.dim(1)) {
    const shapes = [x, a, b].map((t) => describe(t.shape)).join(', ');
    throw new RangeError(`${op}: x [..,in], a [r,in] and b [out,r] do not fit: ${shapes}`);
  }
}
