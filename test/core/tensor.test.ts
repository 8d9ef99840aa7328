// Tensors, scopes and failures: what holds whatever the op.
import { describe, expect, it } from 'vitest';
import { device, memory, resetPeak } from '../../lib/core/device.js';
import { kernels } from '../../lib/core/native.js';
import { recordCalls } from '../../lib/core/recording.js';
import { keep, scope } from '../../lib/core/scope.js';
import { empty, type Nested, tensor } from '../../lib/core/tensor.js';
import { add, mul } from '../../lib/ops/elementwise.js';
import { embedding } from '../../lib/ops/embedding.js';
import { matmul } from '../../lib/ops/matmul.js';
import { randn } from '../../lib/ops/random.js';
import { testDevice } from '../device.js';

const settle = (): Promise<void> => device(testDevice).idle();

describe('tensor', () => {
  it('takes nested arrays, typed arrays and numbers, and gives them back', async () => {
    expect([
      ...(await tensor([
        [1, 2],
        [3, 4],
      ]).data()),
    ]).toEqual([1, 2, 3, 4]);
    expect(tensor([[1, 2, 3]]).shape).toEqual([1, 3]);
    expect(tensor(5).shape).toEqual([]);
    expect(await tensor(5).item()).toBe(5);
    expect(tensor([]).shape).toEqual([0]);
    expect(await tensor(Int32Array.of(-7, 8)).data()).toEqual(Int32Array.of(-7, 8));
    expect([...(await tensor([true, false], { dtype: 'bool' }).data())]).toEqual([1, 0]);
    expect([...(await tensor([1.5, -2.25], { dtype: 'bf16' }).data())]).toEqual([1.5, -2.25]);
    expect([...(await tensor([1 / 3], { dtype: 'f16' }).data())]).toEqual([0.333251953125]);
  });

  it('refuses what is not a tensor', () => {
    expect(() => tensor([[1, 2], [3]])).toThrow('tensor: the nested arrays are ragged at depth 1');
    const endless: Nested[] = [];
    endless.push(endless);
    expect(() => tensor(endless)).toThrow('tensor: at most 6 axes');
    expect(() => tensor(new Float32Array(3), { shape: [2, 2] })).toThrow('tensor: 3 numbers for the shape [2,2]');
    expect(() => empty([2, -1])).toThrow('empty: [2,-1] is not a shape');
    expect(() => empty([1, 1, 1, 1, 1, 1, 1])).toThrow('at most 6 axes');
    expect(() => tensor([1], { device: 'tpu' })).toThrow("device 'tpu' is not known");
  });

  it('says so when it is used after dispose()', () => {
    const x = tensor([1, 2]);
    x.dispose();
    x.dispose();
    expect(() => add(x, x)).toThrow('a tensor [2] was used after dispose()');
  });

  it('may be disposed of while calls that read it are queued', async () => {
    const a = randn([300, 300], { seed: 1 });
    const product = matmul(a, a);
    a.dispose();
    const first = (await product.data())[0]!;
    expect(Number.isFinite(first)).toBe(true);
  });

  it('throws for a wrong shape at the call, with both shapes', () => {
    expect(() => matmul(tensor([[1, 2, 3]]), tensor([[1, 2, 3]]))).toThrow(
      /matmul: inner sizes differ: \[1,3\] × \[1,3\]/,
    );
  });
});

describe('a failing call', () => {
  // On a GPU what a kernel finds in data is told once, to whoever waits next: see test/cuda.
  it.runIf(testDevice === 'cpu')(
    'rejects at the await, by its kernel, for whoever depends on it and nobody else',
    async () => {
      const table = tensor([
        [1, 2],
        [3, 4],
      ]);
      const wrong = embedding(table, tensor(Int32Array.of(0, 9)));
      const after = mul(add(wrong, 1), 2);
      const other = add(table, 1);
      await expect(after.data()).rejects.toThrow(/^embedding: .*9/);
      expect([...(await other.data())]).toEqual([2, 3, 4, 5]);
      await expect(settle()).rejects.toThrow(/^embedding: /);
      await settle(); // told once
    },
  );

  it('for want of memory names the sizes, and the device goes on', async () => {
    const huge = empty([2 ** 24, 2 ** 20]);
    kernels.fill(huge.handle, 0);
    await expect(huge.item().catch(() => huge.device.idle())).rejects.toThrow(
      /^fill: out of memory: asked for \d+ bytes/,
    );
    expect(await add(tensor([1]), 1).item()).toBe(2);
  });
});

describe('scope', () => {
  it('frees what was made inside, but not what is returned or kept', async () => {
    let inside = tensor([0]);
    let kept = inside;
    const out = scope(() => {
      inside = add(tensor([1]), 1);
      kept = keep(tensor([3]));
      return { nested: [mul(inside, 2)] };
    });
    expect(inside.disposed).toBe(true);
    expect(kept.disposed).toBe(false);
    expect(await out.nested[0]!.item()).toBe(4);
  });

  it('follows asynchronous calls, and does not mix concurrent ones', async () => {
    const run = (n: number): Promise<ReturnType<typeof tensor>[]> =>
      scope(async () => {
        const a = tensor([n]);
        await a.data();
        const b = add(a, 1);
        await b.data();
        const inner = scope(() => add(b, 1));
        return [a, b, inner].slice(1);
      });
    const results = await Promise.all([run(1), run(10)]);
    expect(await Promise.all(results.flat().map((x) => x.item()))).toEqual([2, 3, 11, 12]);
  });

  it('frees when the body throws', () => {
    let inside = tensor([0]);
    expect(() =>
      scope(() => {
        inside = tensor([1]);
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(inside.disposed).toBe(true);
  });

  it('leaves the bytes in use where they were', async () => {
    await settle();
    const before = memory().used;
    for (let i = 0; i < 100; i++) scope(() => matmul(randn([64, 64], { seed: i }), randn([64, 64], { seed: i })).size);
    await settle();
    expect(memory().used).toBeLessThanOrEqual(before); // less where the collector freed an earlier test's tensors
  });

  it('holds no more than the order of the calls needs, however far JavaScript runs ahead', async () => {
    await settle();
    resetPeak();
    const before = memory().peak;
    let x = randn([256, 256], { seed: 1 });
    for (let i = 0; i < 200; i++) {
      const next = add(x, 1);
      x.dispose();
      x = next;
    }
    await x.data();
    // 200 tensors of 256 KiB were made; an input and an output are alive at a time.
    expect(memory().peak - before).toBeLessThanOrEqual(3 * 256 * 1024);
    x.dispose();
  });
});

describe('recording', () => {
  it('runs the same calls again on new inputs', async () => {
    const x = tensor([1, 2]);
    const { recording, result } = recordCalls(() => add(mul(x, 3), 1));
    expect([...(await result.data())]).toEqual([4, 7]);
    x.write(Float32Array.of(10, 20));
    recording.replay();
    expect([...(await result.data())]).toEqual([31, 61]);
    recording.dispose();
    expect(() => recording.replay()).toThrow('replay: the recording was disposed of');
  });

  it('refuses a second one inside', () => {
    expect(() => recordCalls(() => recordCalls(() => 1))).toThrow('another recording is open');
    expect(recordCalls(() => 1).result).toBe(1);
  });
});
