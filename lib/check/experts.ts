// Cases of routing, of sorting by expert, and of adding up experts' results.
import type { DType } from '../core/dtype.js';
import { combineExperts, type ExpertOrder, type Routing, route, rowsByExpert, sortByExpert } from '../ops/experts.js';
import { type Case, defineCase, type Numbers, numbers, seeded } from './case.js';

function scoresOf(row: readonly number[], score: Routing['score']): number[] {
  if (score === 'sigmoid') return row.map((z) => 1 / (1 + Math.exp(-z)));
  const most = Math.max(...row);
  const powers = row.map((z) => Math.exp(z - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / sum);
}

/** The places of the largest numbers, ties by place. */
const largest = (values: readonly number[], count: number): number[] =>
  [...values.keys()].sort((i, j) => values[j]! - values[i]! || i - j).slice(0, count);

function routed(logits: Numbers, routing: Routing, bias: Numbers | undefined): [Numbers, Numbers] {
  const [tokens, experts] = logits.shape as [number, number];
  const { chosen: k, score, normalize, scale = 1, groups } = routing;
  const [weights, places] = [numbers([tokens, k]), numbers([tokens, k])];
  for (let t = 0; t < tokens; t++) {
    const scores = scoresOf([...logits.data.slice(t * experts, (t + 1) * experts)], score);
    let choice = scores.map((s, i) => s + (bias?.data[i] ?? 0));
    if (groups) {
      const size = experts / groups.count;
      const of = (g: number): number[] => choice.slice(g * size, (g + 1) * size);
      const sums = Array.from({ length: groups.count }, (_, g) =>
        largest(of(g), groups.best).reduce((sum, i) => sum + of(g)[i]!, 0),
      );
      const kept = largest(sums, groups.kept);
      choice = choice.map((value, i) => (kept.includes(Math.floor(i / size)) ? value : Number.NEGATIVE_INFINITY));
    }
    const which = largest(choice, k);
    const sum = which.reduce((total, i) => total + scores[i]!, 0);
    const divisor = normalize ? Math.max(sum + (normalize.epsilon ?? 0), normalize.least ?? 0) : 1;
    which.forEach((i, c) => {
      weights.data[t * k + c] = (scale * scores[i]!) / divisor;
      places.data[t * k + c] = i;
    });
  }
  return [weights, places];
}

function routing(
  name: string,
  tokens: number,
  experts: number,
  settings: Routing,
  more: { bias?: boolean; dtype?: DType } = {},
): Case {
  const { bias = false, dtype = 'f32' } = more;
  return defineCase({
    name: `route ${name} ${dtype} [${tokens},${experts}] to ${settings.chosen}`,
    inputs: {
      logits: { shape: [tokens, experts], dtype },
      // As large as the scores, so that it changes the choice.
      bias: { shape: [experts], values: 'uniform' },
    },
    run: (inputs) => {
      const { weights, experts: chosen } = route(inputs.logits, settings, bias ? inputs.bias : undefined);
      return [weights, chosen];
    },
    reference: (inputs) => routed(inputs.logits, settings, bias ? inputs.bias : undefined),
    gradients: ['logits'],
    terms: experts,
  });
}

/** Choices of `k` experts for each token, no expert twice; the first of them only for some. */
function choices(tokens: number, experts: number, k: number): number[] {
  const random = seeded(tokens * 1000 + experts);
  return Array.from({ length: tokens }, () =>
    largest(
      Array.from({ length: experts }, () => random()),
      k,
    ),
  ).flat();
}

function sorted(
  chosen: readonly number[],
  k: number,
  experts: number,
): { rows: number[]; places: number[]; segments: number[] } {
  const order = [...chosen.keys()].sort((i, j) => chosen[i]! - chosen[j]! || i - j);
  const places = new Array<number>(chosen.length);
  order.forEach((choice, row) => {
    places[choice] = row;
  });
  const segments = Array.from({ length: experts + 1 }, (_, e) => chosen.filter((expert) => expert < e).length);
  return { rows: order.map((choice) => Math.floor(choice / k)), places, segments };
}

function sorting(chosen: readonly number[], k: number, experts: number): Case {
  const tokens = chosen.length / k;
  return defineCase({
    name: `sortByExpert [${tokens},${k}] of ${experts}`,
    inputs: { chosen: { shape: [tokens, k], dtype: 'i32', values: chosen } },
    run: (inputs) => {
      const { rows, places, segments } = sortByExpert(inputs.chosen, experts);
      return [rows, places, segments];
    },
    reference: () => {
      const { rows, places, segments } = sorted(chosen, k, experts);
      return [numbers([chosen.length], rows), numbers([tokens, k], places), numbers([experts + 1], segments)];
    },
  });
}

interface Mixture {
  tokens: number;
  experts: number;
  k: number;
  dim: number;
  dtype?: DType;
}

const chosenInput = ({ tokens, experts, k }: Mixture) =>
  ({ shape: [tokens, k], dtype: 'i32', values: choices(tokens, experts, k) }) as const;

function gathering(mixture: Mixture): Case {
  const { tokens, experts, k, dim, dtype = 'f32' } = mixture;
  return defineCase({
    name: `rowsByExpert ${dtype} [${tokens},${dim}], ${k} of ${experts}`,
    inputs: { x: { shape: [tokens, dim], dtype }, chosen: chosenInput(mixture) },
    run: ({ x, chosen }) => rowsByExpert(x, sortByExpert(chosen, experts)),
    reference: ({ x, chosen }) => {
      const { rows } = sorted([...chosen.data], k, experts);
      return numbers(
        [rows.length, dim],
        rows.flatMap((t) => [...x.data.slice(t * dim, (t + 1) * dim)]),
      );
    },
    gradients: ['x'],
    terms: k,
  });
}

function combining(mixture: Mixture, residual = false): Case {
  const { tokens, experts, k, dim, dtype = 'f32' } = mixture;
  return defineCase({
    name: `combineExperts ${dtype} [${tokens},${dim}], ${k} of ${experts}${residual ? ', residual' : ''}`,
    inputs: {
      x: { shape: [tokens * k, dim], dtype },
      weights: { shape: [tokens, k], values: 'positive' },
      residual: { shape: [tokens, dim], dtype },
      chosen: chosenInput(mixture),
    },
    run: (inputs) => {
      const order: ExpertOrder = sortByExpert(inputs.chosen, experts);
      return combineExperts(inputs.x, inputs.weights, order, residual ? inputs.residual : undefined);
    },
    reference: (inputs) => {
      const { places } = sorted([...inputs.chosen.data], k, experts);
      const out = numbers([tokens, dim], residual ? inputs.residual.data : undefined);
      places.forEach((row, choice) => {
        const t = Math.floor(choice / k);
        for (let i = 0; i < dim; i++)
          out.data[t * dim + i]! += inputs.weights.data[choice]! * inputs.x.data[row * dim + i]!;
      });
      return out;
    },
    gradients: ['x', 'weights', ...(residual ? (['residual'] as const) : [])],
    terms: k * dim,
  });
}

export const cases: Case[] = [
  routing('softmax', 3, 1, { chosen: 1, score: 'softmax' }),
  routing('softmax', 0, 8, { chosen: 2, score: 'softmax' }),
  routing('softmax', 9, 8, { chosen: 2, score: 'softmax' }),
  routing('softmax', 5, 130, { chosen: 8, score: 'softmax', normalize: {} }),
  routing('softmax', 70, 16, { chosen: 4, score: 'softmax', normalize: {}, scale: 2.5 }, { dtype: 'bf16' }),
  routing(
    'softmax over a least sum',
    20,
    12,
    { chosen: 2, score: 'softmax', normalize: { least: 0.4 } },
    { bias: true },
  ),
  routing('sigmoid', 6, 40, { chosen: 3, score: 'sigmoid', scale: 1.5 }, { bias: true }),
  routing('sigmoid', 7, 33, { chosen: 6, score: 'sigmoid', normalize: { epsilon: 0.125 }, scale: 2 }, { bias: true }),
  routing(
    'sigmoid in groups',
    11,
    48,
    { chosen: 4, score: 'sigmoid', normalize: {}, groups: { count: 6, kept: 2, best: 2 } },
    { bias: true },
  ),
  routing('softmax in groups', 8, 20, { chosen: 3, score: 'softmax', groups: { count: 4, kept: 3, best: 1 } }),
  sorting([], 2, 3),
  sorting([0], 1, 1),
  sorting([4, 1, 1, 0, 4, 3], 2, 6),
  sorting(choices(600, 60, 6), 6, 60),
  gathering({ tokens: 1, experts: 2, k: 1, dim: 5 }),
  gathering({ tokens: 20, experts: 9, k: 3, dim: 33 }),
  gathering({ tokens: 12, experts: 16, k: 4, dim: 40, dtype: 'bf16' }),
  combining({ tokens: 1, experts: 2, k: 1, dim: 5 }),
  combining({ tokens: 20, experts: 9, k: 3, dim: 33 }, true),
  combining({ tokens: 12, experts: 16, k: 4, dim: 40, dtype: 'bf16' }),
  combining({ tokens: 6, experts: 5, k: 5, dim: 1030, dtype: 'f16' }, true),
];
