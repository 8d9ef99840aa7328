// Block formats, made computable.
import { type DType, isBlock, isFloat } from '../core/dtype.js';
import { kernels } from '../core/native.js';
import { empty, type Tensor } from '../core/tensor.js';
import { describe } from './checks.js';

/**
 * The numbers of a tensor in a block format, in a floating-point one. Gives `x` itself if it has that
 * format already.
 *
 * @throws TypeError for a tensor that holds no blocks.
 */
export function dequantize(x: Tensor, dtype: DType = 'f32'): Tensor {
  if (x.dtype === dtype) return x;
  if (!isBlock(x.dtype)) throw new TypeError(`dequantize: takes a block format, got ${x.dtype}`);
  if (!isFloat(dtype)) throw new TypeError(`dequantize: gives floating-point tensors, not ${dtype}`);
  if (!x.contiguous)
    throw new RangeError(`dequantize: takes a tensor whose rows lie side by side, got a view ${describe(x.shape)}`);
  const out = empty(x.shape, { dtype, device: x.device });
  kernels.dequantize(out.handle, x.handle);
  return out;
}
