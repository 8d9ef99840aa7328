// Mixture of experts: routing, rows sorted by expert, and the experts' results added up. Between these stand the experts'
// own products (grouped.ts). Everything is found on the device, and sums have a fixed order.
import { record, recordJoint } from '../core/autograd.js';
import type { DType } from '../core/dtype.js';
import { kernels } from '../core/native.js';
import { empty, type Tensor } from '../core/tensor.js';
import { describe, floats, integers, sameDevice, sameShape } from './checks.js';
import { cast, contiguous } from './copy.js';

/** How scores come of logits, and weights of scores. */
export interface Routing {
  /** Experts for each token. */
  chosen: number;
  score: 'softmax' | 'sigmoid';
  /** Weights are divided by `max(Σ chosen scores + epsilon, least)`. Default: they are the scores. */
  normalize?: { epsilon?: number | undefined; least?: number | undefined } | undefined;
  /** The weights are multiplied by this. Default 1. */
  scale?: number | undefined;
  /** Of `count` equal groups of experts, `kept` remain: those whose `best` largest scores have the greatest sum. */
  groups?: { count: number; kept: number; best: number } | undefined;
}

export interface Routed {
  /** f32 `[tokens, chosen]`, which have a gradient. */
  weights: Tensor;
  /** i32 `[tokens, chosen]` */
  experts: Tensor;
}

/** So many fit into the shared memory of a block of the GPU's kernel. */
const mostExperts = 1024;

/**
 * Chooses experts for each token: those of the largest score, `bias` f32 `[experts]` added, ties by number. `logits`
 * `[tokens, experts]`. Gradients reach the logits through the weights of the chosen; the choice has none.
 *
 * @throws RangeError if sizes do not match, for more than 1024 experts or more choices than experts.
 */
export function route(logits: Tensor, routing: Routing, bias?: Tensor): Routed {
  const device = sameDevice('route', logits, bias);
  floats('route', logits, bias);
  const { chosen: k, score, normalize, scale = 1, groups = { count: 1, kept: 1, best: 1 } } = routing;
  if (logits.rank !== 2) throw new RangeError(`route: logits must be [tokens,experts], got ${describe(logits.shape)}`);
  const [tokens, experts] = [logits.dim(0), logits.dim(1)];
  const { count, kept, best } = groups;
  const within = (n: number, most: number): boolean => Number.isInteger(n) && n >= 1 && n <= most;
  if (!within(experts, mostExperts)) throw new RangeError(`route: takes 1 to ${mostExperts} experts, got ${experts}`);
  if (!within(k, experts)) throw new RangeError(`route: must choose 1 to ${experts} experts, got ${k}`);
  const fits = experts % count === 0 && within(kept, count) && within(best, experts / count);
  if (!fits || (kept < count && k > (kept * experts) / count))
    throw new RangeError(
      `route: ${kept} of ${count} groups, by the best ${best}, do not fit ${k} of ${experts} experts`,
    );
  if (bias && !sameShape(bias.shape, [experts]))
    throw new RangeError(`route: bias must be [${experts}], got ${describe(bias.shape)}`);
  const weights = empty([tokens, k], { device });
  const chosen = empty([tokens, k], { dtype: 'i32', device });
  const rows = contiguous(logits);
  const settings = [
    score === 'sigmoid',
    normalize !== undefined,
    normalize?.epsilon ?? 0,
    normalize?.least ?? 0,
    scale,
  ] as const;
  const added = bias && contiguous(bias);
  kernels.route(weights.handle, chosen.handle, rows.handle, added?.handle ?? null, ...settings, count, kept, best);
  record(weights, [
    logits,
    (grad) => {
      const out = empty(logits.shape, { dtype: logits.dtype, device });
      kernels.routeBackward(out.handle, contiguous(grad).handle, rows.handle, chosen.handle, ...settings);
      return out;
    },
  ]);
  return { weights, experts: chosen };
}

/** A row for each choice of a token, sorted by expert; rows of one expert in the order of their tokens. */
export interface ExpertOrder {
  /** i32 `[tokens · chosen]`: the token of each row. */
  rows: Tensor;
  /** i32 `[tokens, chosen]`: the row of each choice. */
  places: Tensor;
  /** i32 `[experts + 1]`: where each expert's rows begin, and the end of the last. */
  segments: Tensor;
}

/**
 * Sorts choices `[tokens, chosen]` i32 by expert.
 *
 * @throws TypeError if they are not i32. One outside the experts fails at the `await`.
 */
export function sortByExpert(chosen: Tensor, experts: number): ExpertOrder {
  integers('sortByExpert', 'chosen', chosen);
  if (chosen.rank !== 2) throw new RangeError(`sortByExpert: chosen must be [tokens,k], got ${describe(chosen.shape)}`);
  if (!Number.isInteger(experts) || experts < 1)
    throw new RangeError(`sortByExpert: experts must be a whole number above 0, got ${experts}`);
  const made = (shape: number[]): Tensor => empty(shape, { dtype: 'i32', device: chosen.device });
  const order = { rows: made([chosen.size]), places: made([...chosen.shape]), segments: made([experts + 1]) };
  kernels.sortByExpert(order.rows.handle, order.places.handle, order.segments.handle, contiguous(chosen).handle);
  return order;
}

/** `x [tokens, dim]` in the order of the experts' rows: `[rows, dim]`. */
export function rowsByExpert(x: Tensor, order: ExpertOrder): Tensor {
  floats('rowsByExpert', x);
  const { rows, places } = order;
  const device = sameDevice('rowsByExpert', x, rows);
  if (x.rank !== 2 || x.dim(0) !== places.dim(0))
    throw new RangeError(`rowsByExpert: x must be [${places.dim(0)},dim], got ${describe(x.shape)}`);
  const out = empty([rows.size, x.dim(1)], { dtype: x.dtype, device });
  kernels.embedding(out.handle, contiguous(x).handle, rows.handle);
  return record(out, [
    x,
    (grad) => {
      const dx = empty(x.shape, { dtype: x.dtype, device });
      kernels.combineExperts(dx.handle, contiguous(grad).handle, null, places.handle, null);
      return dx;
    },
  ]);
}

/**
 * `Σ_c weights[t, c] · x[places[t, c]] + residual`: `x [rows, dim]` sorted by expert, `weights [tokens, chosen]` →
 * `[tokens, dim]`, in f32 and in the choices' order.
 *
 * @throws RangeError if the sizes do not match.
 */
export function combineExperts(x: Tensor, weights: Tensor, order: ExpertOrder, residual?: Tensor): Tensor {
  const { places } = order;
  const device = sameDevice('combineExperts', x, weights, places, residual);
  floats('combineExperts', x, weights, residual);
  const fits = x.rank === 2 && x.dim(0) === places.size && sameShape(weights.shape, places.shape);
  const shape = [places.dim(0), x.dim(-1)];
  if (!fits || (residual && !sameShape(residual.shape, shape))) {
    const shapes = [x, weights, ...(residual ? [residual] : [])].map((t) => describe(t.shape)).join(', ');
    throw new RangeError(
      `combineExperts: x [rows,dim], weights ${describe(places.shape)} and a residual [tokens,dim] do not fit: ${shapes}`,
    );
  }
  const [rows, shares] = [contiguous(x), contiguous(weights)];
  const added = residual && contiguous(residual);
  const out = empty(shape, { dtype: residual?.dtype ?? x.dtype, device });
  kernels.combineExperts(out.handle, rows.handle, shares.handle, places.handle, added?.handle ?? null);
  return recordJoint(out, [x, weights, ...(residual ? [residual] : [])], (grad) => {
    const dx = empty(x.shape, { dtype: x.dtype, device });
    const dweights = empty(weights.shape, { device });
    kernels.combineExpertsBackward(
      dx.handle,
      dweights.handle,
      contiguous(grad).handle,
      rows.handle,
      shares.handle,
      places.handle,
    );
    return [dx, cast(dweights, weights.dtype as DType), residual && cast(grad, residual.dtype as DType)];
  });
}
