// Cases of dequantize, for each block format of the catalogue, on random blocks.
import type { BlockDType, DType } from '../core/dtype.js';
import { empty, type Tensor } from '../core/tensor.js';
import { blockDTypes, blockFormat } from '../formats/index.js';
import { dequantize } from '../ops/quant.js';
import { type Case, defineCase, type Numbers, numbers, seeded } from './case.js';

/**
 * Random blocks, and the numbers that they stand for. Any bytes are blocks; drawn again are those with a number that is
 * not finite, or whose largest is far from 1, so that all floating-point formats hold them.
 */
export function drawBlocks(dtype: BlockDType, shape: number[], seed = 1): { bytes: Uint8Array; values: Numbers } {
  const { blockElements, blockBytes, unpack } = blockFormat(dtype);
  const values = numbers(shape);
  const bytes = new Uint8Array((values.data.length / blockElements) * blockBytes);
  const random = seeded(seed);
  for (let block = 0; block < bytes.length / blockBytes; block++) {
    const at = new DataView(bytes.buffer, block * blockBytes, blockBytes);
    let drawn: number[];
    let largest: number;
    do {
      for (let i = 0; i < blockBytes; i++) at.setUint8(i, Math.floor(random() * 256));
      drawn = unpack(at);
      largest = drawn.reduce((most, x) => Math.max(most, Math.abs(x)), 0); // NaN where one is
    } while (!(largest > 2 ** -6 && largest < 2 ** 10));
    values.data.set(drawn.map(Math.fround), block * blockElements);
  }
  return { bytes, values };
}

/** A tensor of blocks. */
export function blockTensor(dtype: BlockDType, shape: number[], bytes: Uint8Array, device: Tensor['device']): Tensor {
  const out = empty(shape, { dtype, device });
  if (bytes.length > 0) out.write(bytes);
  return out;
}

function unpacking(from: BlockDType, shape: number[], to: DType): Case {
  const { bytes, values } = drawBlocks(from, shape);
  return defineCase({
    name: `dequantize ${from} [${shape}] to ${to}`,
    // The kernel's input is no format that a case can draw; this one says where to make it.
    inputs: { place: { shape: [1] } },
    run: ({ place }) => dequantize(blockTensor(from, shape, bytes, place.device), to),
    reference: () => values,
  });
}

export const cases: Case[] = blockDTypes.flatMap((from) => {
  const { blockElements } = blockFormat(from);
  const of = (rows: number, blocks: number, to: DType): Case => unpacking(from, [rows, blocks * blockElements], to);
  return [
    unpacking(from, [blockElements], 'f32'),
    of(0, 1, 'f32'),
    of(3, 3, 'f32'),
    of(7, 5, 'bf16'),
    of(5, 2, 'f16'),
    of(300, 8, 'f32'),
  ];
});
