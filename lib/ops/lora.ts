// A frozen linear layer with a low-rank adapter beside it: one kernel each way, and no gradient for the weight.
import { recordJoint, willRecord } from '../autograd.js';
import { type DType, widerFloat } from '../dtype.js';
import { kernels } from '../native.js';
import { empty, type Tensor } from '../tensor.js';
import { describe, floats, sameDevice, sameShape } from './checks.js';
import { contiguous } from './copy.js';
import { affine } from './elementwise.js';
import { matmul } from './matmul.js';

export interface LoraLinearOptions {
  /** PEFT's `lora_alpha / r`, or `/ √r`. */
  scaling: number;
  /** `[out]` */
  bias?: Tensor | undefined;
}

/**
 * `x W' + bias + scaling · (x A') B'`: `x [.., in]`, `weight [out, in]`, `a [r, in]`, `b [out, r]` → `[.., out]`.
 * Gradients reach `x`, `a` and `b`, never the weight or the bias. Source: Hu et al., arXiv:2106.09685.
 *
 * @throws RangeError if the sizes do not match.
 */
export function loraLinear(x: Tensor, weight: Tensor, a: Tensor, b: Tensor, options: LoraLinearOptions): Tensor {
  const { scaling, bias } = options;
  const device = sameDevice('loraLinear', x, weight, a, b, bias);
  floats('loraLinear', x, weight, a, b, bias);
  checkPair('loraLinear', x, a, b);
  if (!sameShape(weight.shape, [b.dim(0), a.dim(1)])) {
    throw new RangeError(`loraLinear: weight must be [${b.dim(0)},${a.dim(1)}], got ${describe(weight.shape)}`);
  }
  if (bias && !sameShape(bias.shape, [weight.dim(0)])) {
    throw new RangeError(`loraLinear: bias must be [${weight.dim(0)}], got ${describe(bias.shape)}`);
  }

  const inputs = [x, a, b].map(contiguous) as [Tensor, Tensor, Tensor];
  const [rows, down, up] = inputs;
  const frozen = contiguous(weight);
  const leading = x.shape.slice(0, -1);
  const out = empty([...leading, weight.dim(0)], { dtype: widerFloat(x.dtype, weight.dtype), device });
  const hidden = empty([...leading, a.dim(0)], { device });
  const biasHandle = bias ? contiguous(bias).handle : null;
  kernels.loraLinear(
    out.handle,
    hidden.handle,
    rows.handle,
    frozen.handle,
    biasHandle,
    down.handle,
    up.handle,
    scaling,
  );
  if (!willRecord(...inputs)) {
    hidden.dispose();
    return out;
  }

  return recordJoint(out, inputs, (grad, [xNeeded]) => {
    const like = (t: Tensor): Tensor => empty(t.shape, { dtype: t.dtype, device });
    const [dx, da, db] = [xNeeded ? like(rows) : undefined, like(down), like(up)];
    const dout = contiguous(grad);
    kernels.loraLinearBackward(
      dx?.handle ?? null,
      da.handle,
      db.handle,
      dout.handle,
      rows.handle,
      frozen.handle,
      down.handle,
      up.handle,
      hidden.handle,
      scaling,
    );
    hidden.dispose();
    if (dout !== grad) dout.dispose();
    return [dx, da, db];
  });
}

/**
 * The adapter's path alone, `scaling · (x A') B'`: for an input that the frozen weight does not see, such as a dropped-out
 * one. The product in the middle is f32.
 *
 * @throws RangeError if the sizes do not match.
 */
export function loraLinearPath(x: Tensor, a: Tensor, b: Tensor, scaling: number): Tensor {
  floats('loraLinearPath', x, a, b);
  checkPair('loraLinearPath', x, a, b);
  const hidden = matmul(x, a, { transposeB: true, dtype: 'f32' });
  return matmul(affine(hidden, scaling, 0), b, { transposeB: true, dtype: x.dtype as DType });
}

function checkPair(op: string, x: Tensor, a: Tensor, b: Tensor): void {
  if (x.rank < 2 || a.rank !== 2 || b.rank !== 2 || x.dim(-1) !== a.dim(1) || a.dim(0) !== b.dim(1)) {
    const shapes = [x, a, b].map((t) => describe(t.shape)).join(', ');
    throw new RangeError(`${op}: x [..,in], a [r,in] and b [out,r] do not fit: ${shapes}`);
  }
}
