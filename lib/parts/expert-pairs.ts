// Adapters beside routers and experts, which are parameters and no linear layers: one adapter's pairs, or several adapters'
// at once, each for its own tokens.
import type { DType } from '../core/dtype.js';
import type { Steps } from '../core/steps.js';
import type { Tensor } from '../core/tensor.js';
import { add, minimum, mul } from '../ops/binary.js';
import { cast, gather } from '../ops/copy.js';
import { type ExpertOrder, sortByExpert } from '../ops/experts.js';
import { groupedMatmulSteps } from '../ops/grouped.js';
import { type LoraGroups, loraGrouped, loraLinearPath } from '../ops/lora.js';
import { reshape, slice } from '../ops/view.js';
import { type LowRank, stackedPair } from './low-rank.js';
import type { Pass, Weight } from './part.js';

/** The rows of `rowsByExpert`. */
interface ExpertRows extends ExpertOrder {
  /** i32 `[tokens, chosen]`: what the order was made of. */
  readonly chosen: Tensor;
  /** The same rows by adapter and expert, once a pair has asked for it. */
  adapted?: Pick<LoraGroups, 'order' | 'segments'>;
}

/** Sorts choices `[tokens, chosen]` i32 by expert. */
export const expertRows = (chosen: Tensor, experts: number): ExpertRows => ({
  ...sortByExpert(chosen, experts),
  chosen,
});

/** The adapter's pair for a parameter, or several adapters' pairs, if any. */
function pairOf({ parameter }: Weight, { adapter }: Pass): LowRank | LoraGroups | undefined {
  if (!adapter || parameter === undefined) return undefined;
  return 'groups' in adapter ? adapter.groups.get(parameter) : adapter.pairs.get(parameter);
}

/** `out [tokens, out]` with what adapters add to the product of `x [tokens, in]` and a matrix; in place for several. */
export function withPair(out: Tensor, x: Tensor, weight: Weight, pass: Pass): Tensor {
  const pair = pairOf(weight, pass);
  if (!pair) return out;
  return 'order' in pair ? loraGrouped(out, x, pair) : add(out, loraLinearPath(x, pair.a, pair.b, pair.scaling));
}

/** The same of the experts' matrices: `out [rows, out]`, `x [rows, in]`. */
export function* withExpertPairs(out: Tensor, x: Tensor, weight: Weight, rows: ExpertRows, pass: Pass): Steps<Tensor> {
  const pair = pairOf(weight, pass);
  if (!pair) return out;
  yield;
  const { adapter } = pass;
  if ('order' in pair) {
    if (adapter && 'slots' in adapter) rows.adapted ??= adaptedRows(rows, pair, adapter.slots);
    return loraGrouped(out, x, { ...pair, ...rows.adapted });
  }
  const stacked = stackedPair(pair);
  // All in the rows' format, because a GPU's tensor cores take operands of one format only.
  const [a, b] = [stacked.a, stacked.b].map((side) => cast(side, x.dtype as DType)) as [Tensor, Tensor];
  const { segments } = rows;
  const hidden = yield* groupedMatmulSteps(x, a, segments, { transposeB: true });
  return yield* groupedMatmulSteps(hidden, b, segments, { transposeB: true, residual: out, scale: pair.scaling });
}

/** The rows of each expert in each slot, `slot · experts + expert`; rows of tokens without an adapter are in none. */
function adaptedRows(
  { places, segments, chosen }: ExpertRows,
  { a }: LoraGroups,
  slots: Tensor,
): Pick<LoraGroups, 'order' | 'segments'> {
  const experts = segments.size - 1;
  const [tokens, k] = chosen.shape as [number, number];
  // Tokens without an adapter come behind all slots that there are pairs for.
  const keys = add(mul(reshape(minimum(slots, a.dim(0) / experts), [tokens, 1]), experts), chosen);
  const sorted = sortByExpert(reshape(keys, [tokens * k, 1]), a.dim(0) + experts);
  return {
    order: gather(reshape(places, [tokens * k]), 0, sorted.rows),
    segments: slice(sorted.segments, 0, 0, a.dim(0) + 1),
  };
}
