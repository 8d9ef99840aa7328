// What the machine reaches at best, as a yardstick: measured through our own kernels, so the shares show what a whole
// model loses against them, not how good they are.
import { noGrad } from '../core/autograd.js';
import type { Device } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { scope } from '../core/scope.js';
import { cast } from '../ops/copy.js';
import { linear } from '../ops/matmul.js';
import { randn } from '../ops/random.js';
import { repeat, type Spread, seconds } from './measure.js';

export interface Reference {
  /** What was measured, in words. */
  name: string;
  value: number;
  unit: 'GFLOP/s' | 'GB/s';
}

/** The best of three square products: compute-bound, and small enough to take a fraction of a second. */
export async function bestProduct(dtype: DType, device: Device, signal?: AbortSignal): Promise<Reference> {
  let value = 0;
  for (const size of [384, 512, 768, 1024]) {
    const { max } = await timeProduct(size, dtype, device, { repeats: 5, warmup: 1, ...(signal ? { signal } : {}) });
    value = Math.max(value, max);
  }
  return { name: `best ${dtype} matrix product of sizes 384 to 1024`, value, unit: 'GFLOP/s' };
}

/** GFLOP/s of `[size, size] × [size, size]ᵀ`, the form of a linear layer. */
export async function timeProduct(
  size: number,
  dtype: DType,
  device: Device,
  repeats: { repeats: number; warmup: number; signal?: AbortSignal },
): Promise<Spread> {
  return scope(async () => {
    const x = randn([size, size], { seed: 1, dtype, device });
    const weight = randn([size, size], { seed: 2, dtype, device });
    await device.idle();
    const flops = 2 * size ** 3;
    // Small products are timed in a batch, so that waiting for the result weighs nothing.
    const times = Math.max(1, Math.round(1e9 / flops));
    return repeat(repeats, async () => {
      const taken = await seconds(() => {
        for (let i = 0; i < times; i++) scope(() => noGrad(() => void linear(x, weight)));
        return device.idle();
      });
      return (times * flops) / taken / 1e9;
    });
  });
}

/** Bytes read plus bytes written by a copy that no cache holds. */
export async function copyBandwidth(device: Device, signal?: AbortSignal): Promise<Reference> {
  const bytes = 256e6;
  return scope(async () => {
    const x = randn([bytes / 4], { seed: 1, device });
    await device.idle();
    const { max } = await repeat({ repeats: 5, warmup: 1, ...(signal ? { signal } : {}) }, async () => {
      const taken = await seconds(() => {
        scope(() => noGrad(() => void cast(x, 'f32', { copy: true })));
        return device.idle();
      });
      return (2 * bytes) / taken / 1e9;
    });
    return { name: 'copy of 256 MB, bytes read plus written', value: max, unit: 'GB/s' };
  });
}
