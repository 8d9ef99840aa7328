// Gated activations, the middle of a transformer's feed-forward block.
import { recordJoint } from '../core/autograd.js';
import { widerFloat } from '../core/dtype.js';
import { kernels } from '../core/native.js';
import { empty, type Tensor } from '../core/tensor.js';
import { equalShapes, floats, sameDevice } from './checks.js';
import { contiguous } from './copy.js';

type Gated = 'swiglu' | 'geglu';

function gated(kernel: Gated, backward: `${Gated}Backward`, gateInput: Tensor, upInput: Tensor): Tensor {
  floats(kernel, gateInput, upInput);
  equalShapes(kernel, gateInput, upInput);
  const device = sameDevice(kernel, gateInput, upInput);
  const gate = contiguous(gateInput);
  const up = contiguous(upInput);
  const out = empty(gate.shape, { dtype: widerFloat(gate.dtype, up.dtype), device });
  kernels[kernel](out.handle, gate.handle, up.handle);
  return recordJoint(out, [gate, up], (grad) => {
    const dgate = empty(gate.shape, { dtype: gate.dtype, device });
    const dup = empty(up.shape, { dtype: up.dtype, device });
    kernels[backward](dgate.handle, dup.handle, contiguous(grad).handle, gate.handle, up.handle);
    return [dgate, dup];
  });
}

/**
 * `silu(gate) · up` (Shazeer, "GLU variants improve transformer", 2020).
 *
 * @throws RangeError if the shapes differ.
 */
export const swiglu = (gate: Tensor, up: Tensor): Tensor => gated('swiglu', 'swigluBackward', gate, up);

/**
 * `geluTanh(gate) · up`, as Gemma's models use it.
 *
 * @throws RangeError if the shapes differ.
 */
export const geglu = (gate: Tensor, up: Tensor): Tensor => gated('geglu', 'gegluBackward', gate, up);
