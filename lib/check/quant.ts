// Cases of dequantize, on blocks written here byte by byte.
import { type BlockDType, bytesOf, type DType } from '../core/dtype.js';
import { empty, type Tensor } from '../core/tensor.js';
import { dequantize } from '../ops/quant.js';
import { type Case, defineCase, type Numbers, numbers, seeded } from './case.js';

/** Half precision's bits of a number that it holds exactly, at least 2^-14. */
function halfBits(value: number): number {
  const exponent = Math.floor(Math.log2(Math.abs(value)));
  return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | ((Math.abs(value) / 2 ** exponent - 1) * 1024);
}

/** Random blocks, and the numbers that they stand for. */
export function drawBlocks(dtype: BlockDType, shape: number[], seed = 1): { bytes: Uint8Array; values: Numbers } {
  const values = numbers(shape);
  const blocks = values.data.length / 32;
  const size = bytesOf(dtype, 32);
  const bytes = new Uint8Array(blocks * size);
  const random = seeded(seed);
  const number = (): number =>
    (1024 + Math.floor(random() * 1024)) * 2 ** -Math.floor(10 + random() * 8) * (random() < 0.3 ? -1 : 1);
  for (let block = 0; block < blocks; block++) {
    const at = new DataView(bytes.buffer, block * size, size);
    const scale = number();
    const minimum = dtype === 'q4_1' ? number() : 0;
    at.setUint16(0, halfBits(scale), true);
    if (dtype === 'q4_1') at.setUint16(2, halfBits(minimum), true);
    const first = dtype === 'q4_1' ? 4 : 2;
    for (let i = first; i < size; i++) at.setUint8(i, Math.floor(random() * 256));
    for (let i = 0; i < 32; i++) {
      const byte = at.getUint8(first + (i % 16));
      const q =
        dtype === 'q8_0' ? at.getInt8(first + i) : (i < 16 ? byte & 15 : byte >> 4) - (dtype === 'q4_0' ? 8 : 0);
      values.data[block * 32 + i] = Math.fround(scale * q + minimum);
    }
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

export const cases: Case[] = (['q8_0', 'q4_0', 'q4_1'] as const).flatMap((from) => [
  unpacking(from, [0, 32], 'f32'),
  unpacking(from, [32], 'f32'),
  unpacking(from, [3, 96], 'f32'),
  unpacking(from, [7, 160], 'bf16'),
  unpacking(from, [5, 64], 'f16'),
  unpacking(from, [300, 256], 'f32'),
]);
