// Gated activations, the middle of a transformer's feed-forward block.
import { record, recordJoint } from '../core/autograd.js';
import { widerFloat } from '../core/dtype.js';
import { kernels } from '../core/native.js';
import { empty, type Tensor, viewOf } from '../core/tensor.js';
import { describe, equalShapes, floats, sameDevice } from './checks.js';
import { contiguous } from './copy.js';

export type Gated = 'swiglu' | 'geglu';

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
 * The same where one tensor `[.., 2n]` holds gate and then up: `[.., n]`, without copies of the halves.
 *
 * @throws RangeError if the last axis is odd.
 */
export function gatedHalves(kernel: Gated, input: Tensor): Tensor {
  floats(kernel, input);
  if (input.rank === 0 || input.dim(-1) % 2 !== 0)
    throw new RangeError(`${kernel}: takes [..,2n] where gate and up are one, got ${describe(input.shape)}`);
  const x = contiguous(input);
  const { dtype, device } = x;
  const n = x.dim(-1) / 2;
  const shape = [...x.shape.slice(0, -1), n];
  const out = empty(shape, { dtype, device });
  const half = (of: Tensor, i: number): Tensor => viewOf(of, shape, of.strides, i * n);
  const [gate, up] = [half(x, 0), half(x, 1)];
  kernels[kernel](out.handle, gate.handle, up.handle);
  return record(out, [
    x,
    (grad) => {
      const dx = empty(x.shape, { dtype, device });
      using dgate = half(dx, 0);
      using dup = half(dx, 1);
      kernels[`${kernel}Backward`](dgate.handle, dup.handle, contiguous(grad).handle, gate.handle, up.handle);
      return dx;
    },
  ]);
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
