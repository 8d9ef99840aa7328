// Times attention by itself: causal, over one packed batch of equally long sequences.
import { backward, noGrad } from '../core/autograd.js';
import type { Device } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { scope } from '../core/scope.js';
import { tensor } from '../core/tensor.js';
import { attention } from '../ops/attention.js';
import { randn } from '../ops/random.js';
import { type Repeats, repeat, type Spread, seconds } from './measure.js';

export interface AttentionShape {
  sequences: number;
  seqLength: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  dtype: DType;
  device: Device;
}

/** GFLOP/s, counting only the scores that causality leaves. The backward pass computes five products, the forward two. */
export async function timeAttention(
  shape: AttentionShape,
  options: Repeats,
): Promise<{ forward: Spread; backward: Spread }> {
  const { sequences, seqLength, heads, kvHeads, headDim, dtype, device } = shape;
  const total = sequences * seqLength;
  const scale = headDim ** -0.5;
  const forwardFlops = 4 * sequences * heads * headDim * ((seqLength * (seqLength + 1)) / 2);
  return scope(async () => {
    const draw = (count: number, seed: number) => randn([total, count, headDim], { seed, dtype, device });
    const [q, k, v, grad] = [draw(heads, 1), draw(kvHeads, 2), draw(kvHeads, 3), draw(heads, 4)];
    const boundaries = tensor(
      Int32Array.from({ length: sequences + 1 }, (_, i) => i * seqLength),
      { device },
    );
    const forward = await repeat(options, async () => {
      const taken = await seconds(() => {
        scope(() => noGrad(() => void attention(q, k, v, { boundaries, scale })));
        return device.idle();
      });
      return forwardFlops / taken / 1e9;
    });
    for (const x of [q, k, v]) x.requiresGrad = true;
    const back = await repeat(options, () =>
      scope(async () => {
        const out = attention(q, k, v, { boundaries, scale });
        await device.idle();
        const taken = await seconds(() => {
          backward(out, grad);
          return device.idle();
        });
        for (const x of [q, k, v]) {
          x.grad?.dispose();
          x.grad = undefined;
        }
        return (2.5 * forwardFlops) / taken / 1e9;
      }),
    );
    return { forward, backward: back };
  });
}
