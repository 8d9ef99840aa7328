// The paged cache: the case list, agreement of decoding with attention over the whole sequence, wrong data, and misuse.
import { describe, expect, it } from 'vitest';
import { compare, seeded } from '../../lib/check/case.js';
import { cases } from '../../lib/check/paged.js';
import { noGrad } from '../../lib/core/autograd.js';
import { empty, type Tensor, tensor, viewOf } from '../../lib/core/tensor.js';
import { attention } from '../../lib/ops/attention.js';
import { cast } from '../../lib/ops/copy.js';
import { pagedAppend, pagedAttention } from '../../lib/ops/paged.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('paged', cases);

const device = testDevice;
const ints = (values: number[], shape = [values.length]): Tensor => tensor(Int32Array.from(values), { shape, device });

describe('paged cache', () => {
  it('decodes token by token to what attention gives at once', async () => {
    const random = seeded(3);
    const draw = (...shape: number[]): Tensor =>
      tensor(
        Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 2 * random() - 1),
        { shape, device },
      );
    const [q, k, v] = [draw(20, 4, 12), draw(20, 2, 12), draw(20, 2, 12)];
    const want = await attention(q, k, v, { boundaries: ints([0, 20]) }).data();
    const [kCache, vCache] = [empty([3, 2, 8, 12], { device }), empty([3, 2, 8, 12], { device })];
    const blocks = [2, 0, 1];
    const token = (x: Tensor, t: number): Tensor =>
      viewOf(x, [1, x.dim(1), 12], [x.dim(1) * 12, 12, 1], t * x.dim(1) * 12);
    const got: number[] = [];
    for (let t = 0; t < 20; t++) {
      pagedAppend(kCache, vCache, token(k, t), token(v, t), ints([blocks[Math.floor(t / 8)]! * 8 + (t % 8)]));
      const options = { blockTables: ints(blocks, [1, 3]), boundaries: ints([0, 1]), lengths: ints([t + 1]) };
      got.push(...(await pagedAttention(token(q, t), kCache, vCache, options).data()));
    }
    const difference = compare(got, want, 'f32', 32, 4);
    expect(difference.worst, difference.message).toBeLessThanOrEqual(1);
  });

  const cache = (): Tensor => tensor(new Float32Array(2 * 1 * 4 * 8), { shape: [2, 1, 4, 8], device });
  const rows = (count: number, heads = 1): Tensor =>
    tensor(new Float32Array(count * heads * 8), { shape: [count, heads, 8], device });
  const rowsOf = async (x: Tensor): Promise<number[][]> => {
    const data = await cast(x, 'f32').data();
    return Array.from({ length: x.dim(0) }, (_, i) => [...data.slice(8 * i, 8 * i + 8)]);
  };
  const tables = { blockTables: ints([0, 1], [1, 2]), boundaries: ints([0, 2]), lengths: ints([5]) };

  it('fails at the await when slots, lengths or tables leave the cache', async () => {
    const kCache = cache();
    pagedAppend(kCache, cache(), rows(1), rows(1), ints([8]));
    await expect(kCache.data()).rejects.toThrow('pagedAppend: slot 8 of a cache of 8');
    const attend = (change: object): Promise<unknown> =>
      pagedAttention(rows(2), cache(), cache(), { ...tables, ...change }).data();
    await expect(attend({ lengths: ints([9]) })).rejects.toThrow('sequence 0 has 9 keys, its block table room for 8');
    await expect(attend({ lengths: ints([1]) })).rejects.toThrow('sequence 0 has 2 new tokens and a length of 1');
    await expect(attend({ blockTables: ints([0, 2], [1, 2]) })).rejects.toThrow(
      'sequence 0 names block 2 of a cache of 2',
    );
    await expect(attend({ boundaries: ints([0, 3]) })).rejects.toThrow(
      'boundaries must rise from 0 to at most 2 tokens',
    );
  });

  it.each(['f32', 'bf16'] as const)(
    'gives zeros to tokens of no sequence, also where there is none (%s)',
    async (dtype) => {
      const ones = tensor(new Float32Array(3 * 8).fill(1), { shape: [3, 1, 8], dtype, device });
      const [k, v] = [0, 1].map(() =>
        tensor(new Float32Array(2 * 4 * 8).fill(1), { shape: [2, 1, 4, 8], dtype, device }),
      );
      const one = { blockTables: ints([0, 1], [1, 2]), boundaries: ints([0, 2]), lengths: ints([5]) };
      const [first, second, third] = await rowsOf(pagedAttention(ones, k!, v!, one));
      expect([first, second, third]).toEqual([Array(8).fill(1), Array(8).fill(1), Array(8).fill(0)]);
      const none = { blockTables: ints([], [0, 2]), boundaries: ints([0]), lengths: ints([]) };
      expect((await rowsOf(pagedAttention(ones, k!, v!, none))).flat()).toEqual(Array(24).fill(0));
    },
  );

  it('refuses a gradient, and works where none is recorded', () => {
    const q = rows(2);
    q.requiresGrad = true;
    const call = (): Tensor => pagedAttention(q, cache(), cache(), tables);
    expect(call).toThrow('pagedAttention: has no gradient: call it inside noGrad, or use attention');
    expect(noGrad(call).shape).toEqual([2, 1, 8]);
    expect(() => pagedAppend(cache(), cache(), q, rows(2), ints([0, 1]))).toThrow('pagedAppend: has no gradient');
  });

  it('refuses what does not fit', () => {
    const attend =
      (q: Tensor, change: object = {}) =>
      () =>
        pagedAttention(q, cache(), cache(), { ...tables, ...change });
    expect(attend(empty([2, 1, 4], { device }))).toThrow(
      new RangeError('pagedAttention: q must be [tokens, heads, 8] for caches of [2,1,4,8], got [2,1,4]'),
    );
    expect(attend(rows(2), { lengths: ints([1, 1]) })).toThrow(
      new RangeError(
        'pagedAttention: lengths, boundaries and blockTables must be [sequences], [sequences + 1] and [sequences, maxBlocks], got [2], [2] and [1,2]',
      ),
    );
    expect(() => pagedAppend(cache(), empty([2, 1, 4, 9], { device }), rows(1), rows(1), ints([0]))).toThrow(
      new RangeError(
        'pagedAppend: the caches must both be [blocks, kvHeads, blockSize, headDim], got [2,1,4,8] and [2,1,4,9]',
      ),
    );
    expect(() => pagedAppend(cache(), cache(), rows(1, 2), rows(1, 2), ints([0]))).toThrow(
      new RangeError('pagedAppend: k and v must be [tokens, 1, 8] for caches of [2,1,4,8], got [1,2,8] and [1,2,8]'),
    );
    expect(() => pagedAppend(cache(), cache(), rows(1), rows(1), ints([0, 1]))).toThrow(
      new RangeError('pagedAppend: slots must be [1] for a k of [1,1,8], got [2]'),
    );
  });
});
