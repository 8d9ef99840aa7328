// What is peculiar to a GPU: transfers, graphs, several GPUs, running out of memory, faults in data.
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { compare } from '../../lib/check/case.js';
import { backward, noGrad } from '../../lib/core/autograd.js';
import { cudaCount, cudaInfo, device, memory, resetPeak, trimMemory } from '../../lib/core/device.js';
import { recordCalls } from '../../lib/core/recording.js';
import { empty, type Tensor, tensor } from '../../lib/core/tensor.js';
import { toDevice } from '../../lib/ops/copy.js';
import { add, mul } from '../../lib/ops/elementwise.js';
import { embedding } from '../../lib/ops/embedding.js';
import { groupedMatmul, groupedOuter } from '../../lib/ops/grouped.js';
import { loraGrouped } from '../../lib/ops/lora.js';
import { matmul } from '../../lib/ops/matmul.js';
import { pagedAttention } from '../../lib/ops/paged.js';
import { dropout, full, randn, uniform, zeros } from '../../lib/ops/random.js';
import { sum } from '../../lib/ops/reduce.js';
import { isEmulated } from '../device.js';

const numbers = async (x: { data(): Promise<ArrayLike<number>> }): Promise<number[]> => Array.from(await x.data());

describe('a GPU', () => {
  it('is found, named, and taken by default', () => {
    expect(cudaCount()).toBeGreaterThanOrEqual(1);
    expect(cudaInfo().capability).toMatch(/^\d+\.\d$/);
    expect(cudaInfo().bytes).toBeGreaterThan(0);
    expect(String(device())).toBe('cuda');
    expect(device('cuda')).toBe(device('cuda:0'));
    expect(() => device('cuda:99')).toThrow(`device 'cuda:99': this machine has ${cudaCount()} GPU`);
  });

  it('takes numbers from the CPU and gives them back, large and small, whatever is queued', async () => {
    for (const size of [0, 1, 1000, 3_000_001]) {
      const x = randn([size], { device: 'cpu', seed: size });
      const there = add(toDevice(x, 'cuda'), 1);
      expect(there.device).toBe(device('cuda'));
      const back = toDevice(there, 'cpu');
      const [got, want] = [await back.data(), await add(x, 1).data()];
      expect(Buffer.compare(Buffer.from(got.buffer), Buffer.from(want.buffer))).toBe(0);
    }
    expect(() => add(tensor([1], { device: 'cpu' }), tensor([1], { device: 'cuda' }))).toThrow(
      'add: tensors on two devices: cpu and cuda',
    );
  });

  it('lets gradients cross', async () => {
    const x = tensor([1, 2, 3], { device: 'cpu', requiresGrad: true });
    backward(sum(mul(toDevice(x, 'cuda'), 5)));
    expect(x.grad!.device).toBe(device('cpu'));
    expect(await numbers(x.grad!)).toEqual([5, 5, 5]);
  });

  it('replays a recording as a graph, with what its inputs hold by then', async () => {
    const x = tensor(
      [
        [1, 2],
        [3, 4],
      ],
      { device: 'cuda' },
    );
    const { recording, result } = recordCalls(() => add(matmul(x, x), 1));
    const product = ([a, b, c, d]: number[]): number[] => [
      a! * a! + b! * c! + 1,
      a! * b! + b! * d! + 1,
      c! * a! + d! * c! + 1,
      c! * b! + d! * d! + 1,
    ];
    expect(await numbers(result)).toEqual(product([1, 2, 3, 4]));
    const before = cudaInfo().graphLaunches;
    for (let i = 0; i < 20; i++) {
      const values = [i, 1, -i, 2];
      x.write(Float32Array.from(values));
      recording.replay();
      expect(await numbers(result)).toEqual(product(values));
    }
    expect(cudaInfo().graphLaunches - before).toBe(20);
    recording.dispose();
  });

  const ints = (values: readonly number[], shape = [values.length]): Tensor =>
    tensor(Int32Array.from(values), { shape, device: 'cuda' });

  it('finds the segments of adapters anew at each replay of loraGrouped', async () => {
    const [a, b] = [randn([3, 8, 24], { device: 'cuda', seed: 1 }), randn([3, 40, 8], { device: 'cuda', seed: 2 })];
    const [x, base] = [randn([6, 24], { device: 'cuda', seed: 3 }), zeros([6, 40], { device: 'cuda' })];
    const [ranks, scalings] = [ints([8, 8, 8]), tensor([1, 2, 0.5], { device: 'cuda' })];
    const sorted = (slots: readonly number[]): { order: number[]; segments: number[] } => ({
      order: [...slots.keys()].sort((s, t) => slots[s]! - slots[t]! || s - t),
      segments: [0, 1, 2, 3].map((slot) => slots.filter((s) => s < slot).length),
    });
    const group = (slots: readonly number[]) => {
      const { order, segments } = sorted(slots);
      return { a, b, ranks, scalings, order: ints(order), segments: ints(segments) };
    };
    const groups = group([0, 0, 0, 1, 1, 2]);
    const { recording, result } = recordCalls(() => loraGrouped(add(base, 0), x, groups));
    const before = cudaInfo().graphLaunches;
    for (const slots of [
      [2, 1, 0, 2, 1, 0],
      [-1, -1, 1, 1, 1, 1],
      [0, 0, 0, 0, 0, 2],
    ]) {
      const { order, segments } = sorted(slots);
      groups.order.write(Int32Array.from(order));
      groups.segments.write(Int32Array.from(segments));
      recording.replay();
      expect(await numbers(result)).toEqual(await numbers(loraGrouped(add(base, 0), x, group(slots))));
    }
    expect(cudaInfo().graphLaunches - before).toBe(3);
    recording.dispose();
  });

  // Few rows go to the matrix-vector kernels, many to tensor cores.
  it.each([6, 150])('finds the groups of %i rows again at each replay of groupedMatmul', async (rows) => {
    const draw = (shape: number[], seed: number): Tensor => randn(shape, { device: 'cuda', seed, dtype: 'bf16' });
    const [x, b] = [draw([rows, 40], 1), draw([4, 72, 40], 2)];
    const products = (segments: Tensor): Tensor[] => [
      groupedMatmul(x, b, segments, { transposeB: true }),
      groupedOuter(x, x, segments),
    ];
    const segments = ints([0, 1, 2, 3, rows]);
    const { recording, result } = recordCalls(() => noGrad(() => products(segments)));
    const before = cudaInfo().graphLaunches;
    for (const starts of [
      [0, 0, 0, 0, rows],
      [0, rows - 1, rows - 1, rows, rows],
      [0, 2, 4, 5, rows],
    ]) {
      segments.write(Int32Array.from(starts));
      recording.replay();
      const [got, want] = [result, noGrad(() => products(ints(starts)))];
      for (const i of [0, 1]) expect(await numbers(got[i]!)).toEqual(await numbers(want[i]!));
    }
    expect(cudaInfo().graphLaunches - before).toBe(3);
    recording.dispose();
  });

  it('finds the lengths of sequences anew at each replay of pagedAttention', async () => {
    const cache = (seed: number): Tensor => randn([8, 1, 16, 64], { device: 'cuda', seed, dtype: 'bf16' });
    const [kCache, vCache] = [cache(1), cache(2)];
    const q = randn([3, 2, 64], { device: 'cuda', seed: 3, dtype: 'bf16' });
    const tables = { blockTables: ints([0, 1, 2, 3, 4, 5], [3, 2]), boundaries: ints([0, 1, 2, 3]) };
    const attend = (lengths: Tensor): Tensor => pagedAttention(q, kCache, vCache, { ...tables, lengths });
    const lengths = ints([1, 2, 3]);
    const { recording, result } = recordCalls(() => noGrad(() => attend(lengths)));
    const before = cudaInfo().graphLaunches;
    for (const values of [
      [32, 1, 17],
      [16, 31, 2],
    ]) {
      lengths.write(Int32Array.from(values));
      recording.replay();
      expect(await numbers(result)).toEqual(await numbers(noGrad(() => attend(ints(values)))));
    }
    expect(cudaInfo().graphLaunches - before).toBe(2);
    recording.dispose();
  });

  it('sends more bytes at once than all its pinned slots hold', async () => {
    const values = Float32Array.from({ length: 10_000_001 }, (_, i) => i);
    const there = tensor(values, { device: 'cuda' });
    const back = (await there.data()) as Float32Array;
    expect(Buffer.compare(Buffer.from(back.buffer), Buffer.from(values.buffer))).toBe(0);
    there.dispose();
  });

  it.each(['f32', 'bf16', 'f16'] as const)('draws the same %s numbers as the CPU, to the last bit', async (dtype) => {
    for (const size of [1, 33, 5000]) {
      const draws = (device: string): Tensor[] => [
        uniform([size], { device, dtype, seed: 7, low: -1, high: 3 }),
        dropout(full([size], 1, { device, dtype }), { probability: 0.3, seed: 9 }),
      ];
      for (const [i, here] of draws('cpu').entries())
        expect(await draws('cuda')[i]!.data(), `draw ${i} of ${size}`).toEqual(await here.data());
      // Box-Muller's logarithm and cosine are the machine's own: a rounding of theirs, or of the format.
      const [want, got] = [
        await randn([size], { device: 'cpu', dtype, seed: 8 }).data(),
        await randn([size], { device: 'cuda', dtype, seed: 8 }).data(),
      ];
      const { worst, message } = compare(got, want, dtype, 1, 2);
      expect(worst, message).toBeLessThanOrEqual(1);
    }
  });

  it('runs a failed recording call by call, so that the failure reaches who waits', async () => {
    const x = empty([2 ** 31, 2 ** 10], { device: 'cuda' });
    const { recording, result } = recordCalls(() => sum(add(x, 1)));
    await expect(result.data()).rejects.toThrow('out of memory');
    recording.replay();
    await expect(result.data()).rejects.toThrow('out of memory');
    recording.dispose();
    await device('cuda')
      .idle()
      .catch(() => {});
  });

  // A graph keeps every call's temporaries; one after the other the calls share theirs.
  it.runIf(isEmulated)('runs a recording call by call where its graph has no room', () => {
    const script = `
      const { matmul, noGrad, randn, recordCalls } = require('helvetia/tensor');
      const [a, b] = [[16, 4097], [4097, 17]].map((shape, i) => randn(shape, { seed: i, device: 'cuda', dtype: 'bf16' }));
      const { recording, result } = recordCalls(() =>
        noGrad(() => {
          let out;
          for (let i = 0; i < 40; i++) out = matmul(a, b);
          return out;
        }),
      );
      (async () => {
        const first = await result.data();
        for (let i = 0; i < 2; i++) {
          recording.replay();
          console.log(first.every((value, at) => value !== 0), String(await result.data()) === String(first));
        }
      })();
    `;
    const { HELVETIA_SIMT_LAUNCHES: _, ...rest } = process.env;
    const env = { ...rest, NODE_OPTIONS: '', HELVETIA_SIMT_MEMORY: '3000000' };
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', env, timeout: 280_000 });
    expect(stdout, stderr).toBe('true true\ntrue true\n');
  });

  // setmaxnreg would wait for ever for registers that the block never had, which the software GPU reports.
  it.runIf(isEmulated)('multiplies without wgmma where nvcc gave its kernels other registers', () => {
    const script = `
      const { attention, matmul, randn, tensor } = require('helvetia/tensor');
      const draw = (shape, seed, device) => randn(shape, { seed, device, dtype: 'bf16' });
      const product = (device) => matmul(draw([130, 72], 1, device), draw([72, 136], 2, device));
      const attended = (device) => {
        const [q, k, v] = [1, 2, 3].map((seed) => draw([70, 2, 64], seed, device));
        return attention(q, k, v, { boundaries: tensor(Int32Array.of(0, 70), { device }) });
      };
      (async () => {
        for (const work of [product, attended]) {
          const [want, got] = [await work('cpu').data(), await work('cuda').data()];
          console.log(Math.max(...got.map((value, i) => Math.abs(value - want[i]))) < 0.2);
        }
      })();
    `;
    const { HELVETIA_SIMT_LAUNCHES: _, ...rest } = process.env;
    const env = { ...rest, NODE_OPTIONS: '', HELVETIA_SIMT_REGISTERS: '160' };
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', env, timeout: 280_000 });
    expect(stdout, stderr).toBe('true\ntrue\n');
  });

  it('rejects when memory runs out, with the sizes, and works on', async () => {
    const huge = empty([2 ** 40], { device: 'cuda' });
    await expect(sum(add(huge, 1)).item()).rejects.toThrow(
      /^add: out of memory: asked for 4398046511104 bytes while \d+ are in use$/,
    );
    await expect(huge.data()).rejects.toThrow('data: JavaScript has no room for the 4398046511104 bytes of a tensor');
    await expect(device('cuda').idle()).rejects.toThrow('out of memory');
    expect(await numbers(add(tensor([1], { device: 'cuda' }), 1))).toEqual([2]);
  });

  it('counts and frees its memory', async () => {
    trimMemory('cuda');
    resetPeak('cuda');
    const { used: before, pooled: kept } = memory('cuda');
    const count = (1 << 20) + Math.ceil(kept / 4); // more than is pooled, so that it gets a segment of its own
    const x = randn([count], { device: 'cuda', seed: 1 });
    await x.data();
    expect(memory('cuda').used - before).toBeGreaterThanOrEqual(4 * count);
    x.dispose();
    await device('cuda').idle();
    expect(memory('cuda').used).toBeLessThanOrEqual(before);
    expect(memory('cuda').pooled).toBeGreaterThanOrEqual(4 * count);
    trimMemory('cuda');
    expect(memory('cuda').pooled).toBeLessThanOrEqual(kept);
  });

  it('rejects at the await what kernels find in data, and works on', async () => {
    const table = tensor([[1], [2]], { device: 'cuda' });
    const ids = tensor(Int32Array.of(1, 7), { device: 'cuda' });
    await expect(embedding(table, ids).data()).rejects.toThrow(
      'embedding: id 7 (element 1) is outside the table of 2 rows',
    );
    expect(await numbers(embedding(table, tensor(Int32Array.of(1), { device: 'cuda' })))).toEqual([2]);
  });

  it.runIf(cudaCount() > 1)('has neighbours, each with memory and work of its own', async () => {
    const [first, second] = ['cuda:0', 'cuda:1'].map((name) => randn([100], { device: name, seed: 3 }));
    expect(String(second!.device)).toBe('cuda:1');
    expect(await numbers(second!)).toEqual(await numbers(first!));
    expect(await numbers(toDevice(add(first!, 1), 'cuda:1'))).toEqual(await numbers(add(second!, 1)));
    expect(() => add(first!, second!)).toThrow('add: tensors on two devices: cuda and cuda:1');
  });

  it.runIf(cudaCount() > 1)('sends numbers to a neighbour without a way through the host', async () => {
    const x = randn([33, 100], { device: 'cuda:0', seed: 4 });
    const before = cudaInfo(0).peerCopies;
    const there = toDevice(x, 'cuda:1');
    mul(there, 2); // an op of the neighbour's runs behind the copy
    expect(await numbers(add(there, 1))).toEqual(await numbers(add(x, 1)));
    expect(cudaInfo(0).peerCopies - before).toBe(1);
    const around = toDevice(toDevice(toDevice(there, 'cpu'), 'cuda:0'), 'cuda:1');
    expect(await numbers(around)).toEqual(await numbers(x));
  });

  it.runIf(cudaCount() > 1)('sends what an op writes in place before or after, in the order of the calls', async () => {
    const x = zeros([1000], { device: 'cuda:0' });
    const copies: Tensor[] = [];
    for (let i = 0; i < 20; i++) {
      x.write(new Float32Array(1000).fill(i));
      copies.push(toDevice(x, i % 2 ? 'cuda:1' : 'cpu'));
    }
    for (const [i, copy] of copies.entries()) expect(new Set(await numbers(copy))).toEqual(new Set([i]));
  });

  it.runIf(cudaCount() > 1)('sends failures on, and lets gradients cross', async () => {
    const lost = toDevice(sum(add(empty([2 ** 40], { device: 'cuda:0' }), 1)), 'cuda:1');
    await expect(mul(lost, 2).data()).rejects.toThrow(/^add: out of memory/);
    for (const name of ['cuda:0', 'cuda:1'])
      await device(name)
        .idle()
        .catch(() => {});
    const x = tensor([1, 2, 3], { device: 'cuda:0', requiresGrad: true });
    backward(sum(mul(toDevice(x, 'cuda:1'), 5)));
    expect(x.grad!.device).toBe(device('cuda:0'));
    expect(await numbers(x.grad!)).toEqual([5, 5, 5]);
  });

  it('waits in idle() for transfers to and from it', async () => {
    const x = toDevice(randn([1000], { device: 'cpu', seed: 5 }), 'cuda');
    const back = toDevice(x, 'cpu');
    x.dispose();
    await Promise.all([device('cuda').idle(), device('cpu').idle()]);
    expect(await numbers(back)).toEqual(await numbers(randn([1000], { device: 'cpu', seed: 5 })));
  });
});
