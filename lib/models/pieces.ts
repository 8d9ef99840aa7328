// Weights that a file has in pieces, such as a tensor for each expert: which of the two it has, and putting them together.
import type { Device } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { kernels } from '../core/native.js';
import { scope } from '../core/scope.js';
import { empty, type Shape, stridesOf, type Tensor, viewOf } from '../core/tensor.js';
import type { Weights } from '../files/weights.js';
import { cast } from '../ops/copy.js';
import { transpose } from '../ops/view.js';
import type { Piece, Weight } from '../parts/part.js';

/** A tensor of a file. */
export type Stored = Pick<Piece, 'name' | 'shape'>;

/** The tensors to take a weight from, where the file does not have it whole; undefined where it does. */
export function piecesIn(
  file: Weights,
  whole: Stored,
  pieces: readonly Piece[] | undefined,
): readonly Piece[] | undefined {
  const info = file.tensors.get(whole.name);
  return info?.shape.length === whole.shape.length ? undefined : pieces;
}

/** Puts a weight together on the device, one piece after the other: beside the weight there is room for one. */
export function gatherPieces(
  shape: Shape,
  pieces: readonly Piece[],
  tensorOf: (name: string) => Tensor,
  { dtype, device }: { dtype?: DType | undefined; device: Device },
): Tensor {
  let out: Tensor | undefined;
  for (const { name, part, from: source } of pieces) {
    const made = scope(() => {
      const x = tensorOf(name);
      const whole = out ?? empty(shape, { dtype: dtype ?? (x.dtype as DType), device });
      using into = part(whole);
      using from = source ? source(x) : viewOf(x, into.shape, stridesOf(into.shape));
      kernels.copy(into.handle, from.handle);
      return out ? undefined : whole;
    });
    out ??= made;
  }
  return out!;
}

/** The tensors that a checkpoint has of the weight `x`, with how to get each: a tensor that the caller disposes of. */
export function storedParts(weight: Weight, x: Tensor): (Stored & { part(): Tensor })[] {
  const { name, stored, transposed, pieces } = weight;
  const copied = (view: (x: Tensor) => Tensor) => (): Tensor =>
    scope(() => cast(view(x), x.dtype as DType, { copy: true }));
  if (pieces) return pieces.map(({ name, shape, part }) => ({ name, shape, part: copied(part) }));
  if (transposed) return [{ name, shape: x.shape.toReversed(), part: copied(transpose) }];
  return [{ name, shape: stored ?? x.shape, part: () => viewOf(x, x.shape, x.strides) }];
}
