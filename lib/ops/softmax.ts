// Softmax and its logarithm, over the last axis.
import { record } from '../core/autograd.js';
import { kernels } from '../core/native.js';
import { empty, type Tensor } from '../core/tensor.js';
import { floats } from './checks.js';
import { contiguous } from './copy.js';

type Forward = 'softmax' | 'logSoftmax';
type Backward = 'softmaxBackward' | 'logSoftmaxBackward';

function over(op: Forward, backward: Backward, x: Tensor): Tensor {
  floats(op, x);
  if (x.rank === 0) throw new RangeError(`${op}: takes a tensor of at least one axis, got a scalar`);
  const { dtype, device } = x;
  const out = empty(x.shape, { dtype, device });
  kernels[op](out.handle, contiguous(x).handle);
  return record(out, [
    x,
    (grad) => {
      const dx = empty(x.shape, { dtype, device });
      kernels[backward](dx.handle, contiguous(grad).handle, out.handle);
      return dx;
    },
  ]);
}

/**
 * `exp(x) / Σ exp(x)` over the last axis, without overflow. A row of nothing but `-Infinity` gives NaN.
 *
 * @throws RangeError for a scalar.
 */
export const softmax = (x: Tensor): Tensor => over('softmax', 'softmaxBackward', x);

/**
 * The natural logarithm of `softmax(x)`, without its underflow.
 *
 * @throws RangeError for a scalar.
 */
export const logSoftmax = (x: Tensor): Tensor => over('logSoftmax', 'logSoftmaxBackward', x);
