// Products with a matrix for each group of rows: the case list, independence of the batch, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/grouped.js';
import { type Tensor, tensor } from '../../lib/core/tensor.js';
import { concat } from '../../lib/ops/copy.js';
import { groupedMatmul, groupedOuter } from '../../lib/ops/grouped.js';
import { randn, zeros } from '../../lib/ops/random.js';
import { slice } from '../../lib/ops/view.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('grouped', cases);

const device = testDevice;
const ints = (...values: number[]) => tensor(Int32Array.from(values), { device });

describe('groupedMatmul', () => {
  // A GPU takes other kernels for other numbers of rows.
  it.runIf(testDevice === 'cpu')('gives a row the same numbers in any company, to the last bit', async () => {
    const b = randn([3, 200, 70], { device, seed: 1 });
    const x = randn([90, 70], { device, seed: 2 });
    const all = await groupedMatmul(x, b, ints(0, 40, 40, 90), { transposeB: true }).data();
    for (const row of [0, 39, 40, 89]) {
      const alone = row < 40 ? ints(0, 1, 1, 1) : ints(0, 0, 0, 1);
      const one = await groupedMatmul(slice(x, 0, row, row + 1), b, alone, { transposeB: true }).data();
      expect(one).toEqual(all.slice(row * 200, (row + 1) * 200));
    }
  });

  it.each([
    ['f32', 90],
    ['bf16', 90],
    ['bf16', 9],
  ] as const)(
    'gives %s rows the same numbers whichever groups they share with, to the last bit, %i rows',
    async (dtype, rows) => {
      const draw = (shape: number[], seed: number): Tensor => randn(shape, { device, seed, dtype });
      const [x, first, second, third] = [draw([rows, 72], 1), ...[2, 3, 4].map((seed) => draw([1, 200, 72], seed))];
      const product = (x: Tensor, matrices: Tensor[], ...starts: number[]) =>
        groupedMatmul(x, concat(matrices), ints(...starts), { transposeB: true }).data();
      const half = Math.floor(rows / 2);
      const all = await product(x!, [first!, second!, third!], 0, half, half, rows);
      const turned = concat([slice(x!, 0, half, rows), slice(x!, 0, 0, half)]);
      const other = await product(turned, [third!, second!, first!], 0, rows - half, rows - half, rows);
      expect(other.slice(0, (rows - half) * 200)).toEqual(all.slice(half * 200));
      expect(other.slice((rows - half) * 200)).toEqual(all.slice(0, half * 200));
      const fewer = await product(x!, [first!, second!, third!], 0, 2, half, rows);
      expect(fewer.slice(0, 2 * 200)).toEqual(all.slice(0, 2 * 200));
    },
  );

  it.each([
    ['bf16', 4],
    ['bf16', 90],
    ['f32', 90],
  ] as const)('does not read the matrix of a group without rows, %s of %i rows', async (dtype, rows) => {
    const matrices = Float32Array.from({ length: 3 * 72 * 40 }, (_, i) =>
      Math.floor(i / 2880) === 1 ? Number.NaN : 1,
    );
    const b = tensor(matrices, { shape: [3, 72, 40], device, dtype });
    const x = randn([rows, 40], { device, seed: 2, dtype });
    const out = await groupedMatmul(x, b, ints(0, 2, 2, rows), { transposeB: true }).data();
    expect(out.every(Number.isFinite)).toBe(true);
  });

  it('refuses what does not fit, and segments that are wrong at the await', async () => {
    const [x, b] = [zeros([4, 8], { device }), zeros([2, 6, 8], { device })];
    expect(() => groupedMatmul(x, b, ints(0, 2, 4))).toThrow(
      new RangeError('groupedMatmul: x [rows,k] and b [groups,k,n] do not fit: [4,8] and [2,6,8]'),
    );
    expect(() => groupedMatmul(x, b, ints(0, 4), { transposeB: true })).toThrow(
      new RangeError('groupedMatmul: segments must be [3] for 2 groups, got [2]'),
    );
    const options = { transposeB: true };
    expect(() => groupedMatmul(x, b, ints(0, 2, 4), { ...options, bias: zeros([6], { device }) })).toThrow(
      'bias must be [2,6], got [6]',
    );
    expect(() => groupedMatmul(x, b, ints(0, 2, 4), { ...options, residual: zeros([6, 4], { device }) })).toThrow(
      'residual must be [4,6], got [6,4]',
    );
    expect(() => groupedMatmul(x, b, zeros([3], { device }), options)).toThrow(TypeError);
    expect(() => groupedOuter(x, zeros([3, 2], { device }), ints(0, 4))).toThrow('do not fit: [4,8], [3,2], [2]');
    await expect(groupedMatmul(x, b, ints(0, 3, 2), options).data()).rejects.toThrow('group 1 has the rows 3 to 2');
    await expect(groupedMatmul(x, b, ints(0, 2, 3), options).data()).rejects.toThrow(
      'the groups have the rows 0 to 3, not all from 0 to 4',
    );
    await expect(groupedOuter(x, x, ints(1, 2, 4)).data()).rejects.toThrow('not all from 0 to 4');
  });
});
