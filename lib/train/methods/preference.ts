// Direct preference optimisation (Rafailov et al., 2023). For a pair of answers to one prompt, with log π the sum of
// an answer's log-probabilities and the reference being the weights that
// the run began with: the adapter that is trained on, or none:
//
//   reward(y) = beta · (log π(y) - log reference(y))
//   loss      = -log sigmoid(reward(preferred) - reward(other))
//
// So the slope of the loss for each token's cross-entropy is beta · sigmoid(-margin), negated for the other answer. It
// is worked out here in double precision, between the two passes: the device is waited for once in each micro-batch.
import { backwardPaced, noGrad } from '../../core/autograd.js';
import { scope } from '../../core/scope.js';
import { type TypedArray, tensor } from '../../core/tensor.js';
import { targetsOf } from '../data/batches.js';
import type { Example } from '../data/rows.js';
import { pacer } from '../pace.js';
import { type Figures, inputOf, type Objective, type Passes } from './objective.js';

/** The loss of preference pairs. */
export class Preference implements Objective {
  constructor(
    private readonly passes: Passes,
    private readonly beta: number,
  ) {}

  weight(batch: readonly Example[]): number {
    return batch.length;
  }

  learn(
    batch: readonly Example[],
    share: number,
    dropoutSeed: number | undefined,
  ): Promise<{ figures: Promise<Figures> }> {
    const { decoder, adapter, reference: start, checkpointing, signal, turn } = this.passes;
    const { device } = decoder;
    const pause = pacer(signal, turn);
    return scope(async () => {
      const input = inputOf(batch, decoder);
      const targets = tensor(targetsOf(batch).targets, { device });
      const reference = (await decoder.losses(input, targets, { adapter: start }, pause, noGrad)).losses.data();
      reference.catch(() => {}); // looked at later, unless the second pass fails before
      const { losses } = await decoder.losses(input, targets, { adapter, dropoutSeed, checkpointing }, pause);
      const { figures, slopes } = preferenceLoss(batch, ...(await Promise.all([losses.data(), reference])), this.beta);
      const seeds = slopes.map((slope) => slope * share);
      await backwardPaced(losses, pause, tensor(seeds, { device }));
      return { figures: Promise.resolve(figures) };
    });
  }

  async measure(batch: readonly Example[]): Promise<Figures> {
    const { decoder, adapter, reference: start, signal, turn } = this.passes;
    const pause = pacer(signal, turn);
    const { reads } = await scope(async () => {
      const input = inputOf(batch, decoder);
      const targets = tensor(targetsOf(batch).targets, { device: decoder.device });
      const { losses } = await decoder.losses(input, targets, { adapter }, pause, noGrad);
      const { losses: reference } = await decoder.losses(input, targets, { adapter: start }, pause, noGrad);
      return { reads: Promise.all([losses.data(), reference.data()]) };
    });
    return preferenceLoss(batch, ...(await reads), this.beta).figures;
  }
}

/**
 * Sums over the batch, and the slope of the summed loss for the cross-entropy at each position. `losses` and
 * `reference` hold that cross-entropy, 0 where there is no target.
 */
export function preferenceLoss(
  batch: readonly Example[],
  losses: TypedArray,
  reference: TypedArray,
  beta: number,
): { figures: Required<Omit<Figures, 'tokenAccuracy'>>; slopes: Float32Array } {
  const figures = { loss: 0, rewardMargin: 0, rewardAccuracy: 0 };
  const slopes = new Float32Array(losses.length);
  let start = 0;
  for (const { ids, split } of batch) {
    const border = start + split!;
    const end = start + ids.length;
    const reward = (from: number, to: number): number => {
      let sum = 0;
      for (let t = from; t < to; t++) sum += reference[t]! - losses[t]!;
      return beta * sum;
    };
    const margin = reward(start, border) - reward(border, end);
    figures.loss += softplus(-margin);
    figures.rewardMargin += margin;
    figures.rewardAccuracy += margin > 0 ? 1 : 0;
    const slope = beta / (1 + Math.exp(margin));
    slopes.fill(slope, start, border).fill(-slope, border, end);
    start = end;
  }
  return { figures, slopes };
}

/** log(1 + e^x), which for a large x is x, not infinity. */
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
