// Embedding: rows of a table, by their numbers.
import { record } from '../core/autograd.js';
import { type AnyDType, isFloat } from '../core/dtype.js';
import { kernels } from '../core/native.js';
import { empty, type Tensor } from '../core/tensor.js';
import { describe, floats, integers, sameDevice } from './checks.js';
import { contiguous, zerosLike } from './copy.js';

/**
 * The rows of `weight` `[vocab, dim]` that `ids` names: `[.., dim]`, in the table's format or in `dtype`.
 *
 * An id outside the table fails at the `await`.
 */
export function embedding(weightInput: Tensor, idsInput: Tensor, options: { dtype?: AnyDType } = {}): Tensor {
  floats('embedding', weightInput);
  integers('embedding', 'ids', idsInput);
  if (weightInput.rank !== 2)
    throw new RangeError(`embedding: the table must be [vocab, dim], got ${describe(weightInput.shape)}`);
  const { dtype = weightInput.dtype } = options;
  if (!isFloat(dtype)) throw new TypeError(`embedding: gives floating-point tensors, not ${dtype}`);
  const device = sameDevice('embedding', weightInput, idsInput);
  const weight = contiguous(weightInput);
  const ids = contiguous(idsInput);
  const out = empty([...ids.shape, weight.shape[1]!], { dtype, device });
  kernels.embedding(out.handle, weight.handle, ids.handle);
  return record(out, [
    weight,
    (grad) => {
      const dweight = zerosLike(weight);
      kernels.embeddingBackward(dweight.handle, contiguous(grad).handle, ids.handle);
      return dweight;
    },
  ]);
}
