// Cases of adamw and squaredNorm. Both read lists of tensors; adamw's results are what it wrote in place.
import type { DType } from '../core/dtype.js';
import type { Shape } from '../core/tensor.js';
import { type AdamWStep, adamw, squaredNorm } from '../ops/adamw.js';
import { type Case, defineCase, type Numbers, numbers } from './case.js';

const squares = (x: Numbers): number => x.data.reduce((sum, value) => sum + value * value, 0);

function norm(first: Shape, second: Shape, dtype: DType): Case {
  return defineCase({
    name: `squaredNorm f32 [${first}] and ${dtype} [${second}]`,
    inputs: { first: { shape: first }, second: { shape: second, dtype } },
    run: ({ first, second }) => squaredNorm([first, second]),
    reference: ({ first, second }) => numbers([1], [squares(first) + squares(second)]),
  });
}

type Step = Required<Omit<AdamWStep, 'norm' | 'maxNorm'>> & { maxNorm?: number };

function step(first: Shape, second: Shape, options: Step, dtype: DType = 'f32', gradient: DType = dtype): Case {
  const clip = options.maxNorm ? `, norm at most ${options.maxNorm}` : '';
  return defineCase({
    name: `adamw ${dtype} [${first}] and [${second}], ${gradient} gradients, step ${options.step}, decay ${options.weightDecay}${clip}`,
    inputs: {
      p: { shape: first, dtype },
      m: { shape: first, values: 'uniform' },
      v: { shape: first, values: 'positive' },
      g: { shape: first, dtype: gradient },
      p2: { shape: second, dtype },
      m2: { shape: second, values: 'uniform' },
      v2: { shape: second, values: 'positive' },
      g2: { shape: second, dtype: gradient },
    },
    run: ({ p, m, v, g, p2, m2, v2, g2 }) => {
      const { maxNorm, ...rest } = options;
      const clipping = maxNorm ? { norm: squaredNorm([g, g2]), maxNorm } : {};
      adamw([p, p2], [m, m2], [v, v2], [g, g2], { ...rest, ...clipping });
      return [p, m, v, p2, m2, v2];
    },
    reference: ({ p, m, v, g, p2, m2, v2, g2 }) => {
      const total = Math.sqrt(squares(g) + squares(g2));
      const factor = options.maxNorm ? Math.min(1, options.maxNorm / (total + 1e-6)) : 1;
      return [...stepped(p, m, v, g, factor, options), ...stepped(p2, m2, v2, g2, factor, options)];
    },
    slack: 8, // a dozen roundings lie between the gradient and the parameter
  });
}

function stepped(p: Numbers, m: Numbers, v: Numbers, g: Numbers, factor: number, options: Step): Numbers[] {
  const {
    learningRate,
    betas: [beta1, beta2],
    eps,
    weightDecay,
    step,
  } = options;
  const [outP, outM, outV] = [numbers(p.shape), numbers(p.shape), numbers(p.shape)];
  for (let i = 0; i < p.data.length; i++) {
    const gradient = g.data[i]! * factor;
    outM.data[i] = beta1 * m.data[i]! + (1 - beta1) * gradient;
    outV.data[i] = beta2 * v.data[i]! + (1 - beta2) * gradient ** 2;
    const root = Math.sqrt(outV.data[i]!) / Math.sqrt(1 - beta2 ** step);
    const move = (learningRate / (1 - beta1 ** step)) * (outM.data[i]! / (root + eps));
    outP.data[i] = p.data[i]! * (1 - learningRate * weightDecay) - move;
  }
  return [outP, outM, outV];
}

const defaults: Step = { learningRate: 0.01, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, step: 1 };

// A thread's piece has 16384 elements, cut into rows of 1024.
export const cases: Case[] = [
  norm([0], [1], 'f32'),
  norm([3, 5], [7], 'bf16'),
  norm([16385], [33, 1000], 'f16'),
  step([1], [0, 3], defaults),
  step([3, 7], [17], { ...defaults, step: 3, weightDecay: 0.1 }),
  step([1025], [16400], { ...defaults, step: 10, weightDecay: 0.01, maxNorm: 1 }),
  step([40], [33], { ...defaults, betas: [0.5, 0.9], eps: 0.1, step: 2, maxNorm: 1000 }),
  step([100], [31], { ...defaults, step: 7, maxNorm: 0.5 }, 'f32', 'bf16'),
  step([100], [31], { ...defaults, step: 7, weightDecay: 0.1 }, 'bf16'),
];
