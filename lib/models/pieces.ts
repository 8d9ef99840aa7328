// Weights that a file has in pieces, such as a tensor for each expert: which of the two it has, and putting them together.
import type { Device } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { kernels } from '../core/native.js';
import { scope } from '../core/scope.js';
import { empty, type Shape, stridesOf, type Tensor, tensor, viewOf } from '../core/tensor.js';
import type { Weights } from '../files/weights.js';
import { fp4 } from '../formats/mx.js';
import { cast } from '../ops/copy.js';
import { mul } from '../ops/elementwise.js';
import { embedding } from '../ops/embedding.js';
import { reshape, select, transpose } from '../ops/view.js';
import type { Piece, Weight } from '../parts/part.js';

/** A tensor of a file. */
export type Stored = Pick<Piece, 'name' | 'shape'>;

/** The tensors to take a weight from, where the file does not have it whole; undefined where it does. */
export function piecesIn(
  file: Weights,
  whole: Stored,
  pieces: readonly Piece[] | undefined,
  packed?: readonly Piece[] | undefined,
): readonly Piece[] | undefined {
  if (packed?.[0] && file.tensors.has(packed[0].name)) return packed;
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
  for (const { name, part, from: source, exponents } of pieces) {
    const made = scope(() => {
      const x = tensorOf(name);
      if (exponents) {
        const whole = empty(shape, { dtype: dtype ?? 'bf16', device });
        unpackFp4(x, tensorOf(exponents.name), part(whole));
        return whole;
      }
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
  const { stored, transposed, pieces, saved = (name: string) => name } = weight;
  const name = saved(weight.name);
  const copied = (view: (x: Tensor) => Tensor) => (): Tensor =>
    scope(() => cast(view(x), x.dtype as DType, { copy: true }));
  if (pieces) return pieces.map(({ name, shape, part }) => ({ name: saved(name), shape, part: copied(part) }));
  if (transposed) return [{ name, shape: x.shape.toReversed(), part: copied(transpose) }];
  return [{ name, shape: stored ?? x.shape, part: () => viewOf(x, x.shape, x.strides) }];
}

/** By a byte: the number in its low half, and the one in its high half, which is the next one. */
const fp4Pairs = Float32Array.from({ length: 512 }, (_, i) => fp4[i % 2 === 0 ? (i >> 1) & 15 : i >> 5]!);
/** By a byte: 2^(byte - 127). */
const powers = Float32Array.from({ length: 256 }, (_, i) => 2 ** (i - 127));

/**
 * Unpacks `blocks [n, .., k / 32, 16]` of bytes with exponents `scales [n, .., k / 32]` into `to [n, .., k]`, one of the
 * first axis at a time, because numbers on the way take 32 bits each.
 */
function unpackFp4(blocks: Tensor, scales: Tensor, to: Tensor): void {
  const { device } = to;
  const pairs = tensor(fp4Pairs, { shape: [256, 2], device });
  const factors = tensor(powers, { shape: [256, 1], device });
  for (let i = 0; i < to.dim(0); i++) {
    scope(() => {
      const numbers = embedding(pairs, cast(select(blocks, 0, i), 'i32'));
      const factor = embedding(factors, cast(select(scales, 0, i), 'i32'));
      const values = mul(reshape(numbers, [factor.size, 32]), reshape(factor, [factor.size, 1]));
      const into = select(to, 0, i);
      kernels.copy(into.handle, viewOf(values, into.shape, stridesOf(into.shape)).handle);
    });
  }
}
