// What ops check before they call a kernel, with one form of sentence for each mistake.
import type { Device } from '../core/device.js';
import { isFloat } from '../core/dtype.js';
import type { Shape, Tensor } from '../core/tensor.js';

export const describe = (shape: Shape): string => `[${shape.join(',')}]`;

/** @throws TypeError unless all are on one device, which it returns. */
export function sameDevice(op: string, first: Tensor, ...others: (Tensor | undefined)[]): Device {
  for (const other of others) {
    if (other && other.device !== first.device) {
      throw new TypeError(`${op}: tensors on two devices: ${first.device} and ${other.device}`);
    }
  }
  return first.device;
}

/** @throws TypeError unless every tensor is floating-point. */
export function floats(op: string, ...tensors: (Tensor | undefined)[]): void {
  for (const x of tensors) {
    if (x && !isFloat(x.dtype)) throw new TypeError(`${op}: takes floating-point tensors, got ${x.dtype}`);
  }
}

/** @throws TypeError unless the tensor is i32. */
export function integers(op: string, name: string, x: Tensor): void {
  if (x.dtype !== 'i32') throw new TypeError(`${op}: ${name} must be i32, got ${x.dtype}`);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

/** @throws RangeError unless both have one shape. */
export function equalShapes(op: string, a: Tensor, b: Tensor): void {
  if (!sameShape(a.shape, b.shape))
    throw new RangeError(`${op}: shapes differ: ${describe(a.shape)} and ${describe(b.shape)}`);
}

/** The axis counted from the first. @throws RangeError if there is no such axis. */
export function axisOf(op: string, x: Tensor, axis: number): number {
  const found = axis < 0 ? x.rank + axis : axis;
  if (!Number.isInteger(axis) || found < 0 || found >= x.rank) {
    throw new RangeError(`${op}: axis ${axis} of a tensor ${describe(x.shape)}`);
  }
  return found;
}
