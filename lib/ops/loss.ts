// Cross-entropy, from logits or straight from the last layer's input and weight.
import { recordJoint, willRecord } from '../autograd.js';
import { kernels } from '../native.js';
import { empty, type Tensor, viewOf } from '../tensor.js';
import { describe, floats, integers, sameDevice, sameShape } from './checks.js';
import { cast, contiguous, zerosLike } from './copy.js';
import { equal, neg, where } from './elementwise.js';
import { arange } from './random.js';
import { sum } from './reduce.js';
import { logSoftmax } from './softmax.js';
import { unsqueeze } from './view.js';

export interface LinearCrossEntropyOptions {
  /** Logits become `softcap · tanh(logits / softcap)`; 0, the default, leaves them as they are. */
  softcap?: number;
}

/**
 * The cross-entropy of the logits `x W'` at each token: `x [tokens, hidden]`, `weight [vocab, hidden]`, `targets` i32
 * `[tokens]` → f32 `[tokens]`. A negative target gives loss 0 and no gradient. The logits are never stored whole.
 *
 * A target beyond the vocabulary makes the await reject.
 *
 * @throws RangeError if the sizes do not match.
 */
export function linearCrossEntropy(
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  options: LinearCrossEntropyOptions = {},
): Tensor {
  const { softcap = 0 } = options;
  const device = sameDevice('linearCrossEntropy', x, weight, targets);
  floats('linearCrossEntropy', x, weight);
  integers('linearCrossEntropy', 'targets', targets);
  if (x.rank !== 2 || weight.rank !== 2 || x.dim(1) !== weight.dim(1)) {
    throw new RangeError(
      `linearCrossEntropy: x [tokens,hidden] ${describe(x.shape)} does not fit a weight [vocab,hidden] of ${describe(weight.shape)}`,
    );
  }
  checkTargets('linearCrossEntropy', targets, x.dim(0));
  if (!(softcap >= 0 && softcap < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`linearCrossEntropy: softcap must be 0 or positive, got ${softcap}`);
  }

  const rows = contiguous(x);
  const table = contiguous(weight);
  const wanted = contiguous(targets);
  const losses = empty([x.dim(0)], { device });
  const lse = empty([x.dim(0)], { device });
  // The gradient for x costs one product more here, and none later: the softmax is at hand now.
  const dx = willRecord(rows) ? empty(x.shape, { dtype: x.dtype, device }) : undefined;
  kernels.linearCrossEntropy(
    losses.handle,
    lse.handle,
    dx?.handle ?? null,
    rows.handle,
    table.handle,
    wanted.handle,
    softcap,
  );
  if (!willRecord(rows, table)) {
    lse.dispose();
    return losses;
  }

  return recordJoint(losses, [rows, table], (grad, [xNeeded, weightNeeded]) => {
    const dlosses = contiguous(grad);
    let dweight: Tensor | undefined;
    if (weightNeeded) {
      dweight = zerosLike(table);
      kernels.linearCrossEntropyBackward(
        dweight.handle,
        dlosses.handle,
        rows.handle,
        table.handle,
        wanted.handle,
        lse.handle,
        softcap,
      );
    }
    lse.dispose();
    if (dlosses !== grad) dlosses.dispose();
    if (!xNeeded || !dx) return [undefined, dweight];
    const scaled = scaledRows(dx, grad);
    dx.dispose();
    return [scaled, dweight];
  });
}

/**
 * The cross-entropy of `logits [rows, classes]` and `targets` i32 `[rows]`: f32 `[rows]`. A negative target gives loss 0
 * and no gradient.
 *
 * @throws RangeError if the sizes do not match.
 */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  const device = sameDevice('crossEntropy', logits, targets);
  floats('crossEntropy', logits);
  integers('crossEntropy', 'targets', targets);
  if (logits.rank !== 2)
    throw new RangeError(`crossEntropy: takes logits [rows,classes], got ${describe(logits.shape)}`);
  checkTargets('crossEntropy', targets, logits.dim(0));
  // A negative target equals no class, so its row of the mask is empty.
  const classes = arange(logits.dim(1), { device });
  const wanted = equal(unsqueeze(targets, 1), classes);
  classes.dispose();
  return neg(sum(where(wanted, logSoftmax(cast(logits, 'f32')), 0), 1));
}

function checkTargets(op: string, targets: Tensor, rows: number): void {
  if (!sameShape(targets.shape, [rows]))
    throw new RangeError(`${op}: targets must be [${rows}], got ${describe(targets.shape)}`);
}

/** x [rows, cols] times one number for each row. */
function scaledRows(x: Tensor, factors: Tensor): Tensor {
  const out = empty(x.shape, { dtype: x.dtype, device: x.device });
  const repeated = viewOf(factors, x.shape, [factors.strides[0]!, 0]);
  kernels.mul(out.handle, x.handle, repeated.handle);
  repeated.dispose();
  return out;
}
