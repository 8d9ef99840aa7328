// Direct preference optimisation (DPO; Rafailov et al., 2023). For a pair of answers to one prompt, with log π(y) the sum
// of an answer's log-probabilities under the trained weights and log ref(y) under the reference, which is the adapter that
// the run began with, or the bare model:
//
//   reward(y) = beta · (log π(y) - log ref(y))
//   loss      = -log sigmoid(reward(chosen) - reward(rejected))
//
// The slope of the loss for each token's cross-entropy is beta · sigmoid(-margin), negated for the rejected answer. It is
// computed in double precision between the two passes: each micro-batch waits once for the device.
import { z } from 'zod';
import { backwardPaced } from '../../core/autograd.js';
import { scope } from '../../core/scope.js';
import { type TypedArray, tensor } from '../../core/tensor.js';
import { targetsOf } from '../data/batches.js';
import type { Example } from '../data/rows.js';
import { type DpoRow, encodePreference } from './dpo-rows.js';
import type { Method, Objective, Prepared, RunContext, Total, Totals } from './method.js';
import { forward, pauseOf, read, upload } from './passes.js';

export interface DpoOptions {
  /** With `method: 'dpo'`: strength of the penalty for moving away from the reference (DPO's β). Default 0.1. */
  beta?: number | undefined;
}

export interface DpoFigures {
  /** With `method: 'dpo'`: the pairs' mean margin of rewards. */
  rewardMargin: number;
  /** With `method: 'dpo'`: the share of the pairs whose margin is positive. */
  rewardAccuracy: number;
}

export interface Dpo {
  name: 'dpo';
  options: DpoOptions;
  figures: DpoFigures;
  row: DpoRow;
}

export const dpo: Method<Dpo> = {
  name: 'dpo',
  title: 'Preferences (DPO)',
  lossUnit: 'pair',
  // At the width of 7B models this is about TRL's 5e-6.
  auto: { learningRate: 1.25e-5 },
  rows: {
    help: {
      learned: 'the model learns to prefer one answer to another',
      forms: [
        '{"input": {"messages": […]}, "preferred_output": […], "non_preferred_output": […]}',
        '{"prompt": "…", "chosen": "…", "rejected": "…"}',
      ],
    },
    encode: encodePreference,
  },
  options: {
    beta: {
      default: 0.1,
      help: 'strength of the penalty for moving away from the reference',
      schema: z.number().positive().describe('a positive number'),
      wire: { name: 'beta', schema: z.number().positive().max(2) },
    },
  },
  figures: {
    rewardMargin: { label: 'reward margin', wire: { name: 'reward_margin' } },
    rewardAccuracy: {
      label: 'reward accuracy',
      wire: { name: 'reward_accuracy', resultColumns: ['train_reward_accuracy', 'valid_reward_accuracy'] },
    },
  },
  usesReference: true,
  resumeKey: ({ beta }) => ({ method: 'dpo', beta }),
  objective: preferences,
};

function preferences(context: RunContext, { beta }: { beta: number }): Objective<Dpo> {
  const prepare = (batch: readonly Example[], seed: number): Prepared<Dpo> => {
    const { targets, tokens } = targetsOf(batch);
    const sequences = batch.flatMap(({ ids, mark }) => [ids.subarray(0, mark), ids.subarray(mark)]);
    return {
      weight: batch.length,
      tokens,
      learn: (share) =>
        scope(async () => {
          const pause = pauseOf(context);
          const pairs = upload(context, sequences, targets);
          const reference = (await read(context, pairs, context.reference, pause)).losses.data();
          reference.catch(() => {}); // awaited below, unless the second pass fails before
          const { losses } = await forward(context, pairs, seed, pause);
          const { totals, slopes } = preferenceLoss(batch, ...(await Promise.all([losses.data(), reference])), beta);
          const seeds = tensor(
            slopes.map((slope) => slope * share),
            { device: losses.device },
          );
          await backwardPaced(losses, pause, seeds);
          return { totals: Promise.resolve(totals) };
        }),
      measure: async () => {
        const { reads } = await scope(async () => {
          const pause = pauseOf(context);
          const pairs = upload(context, sequences, targets);
          const { losses } = await read(context, pairs, context.adapter, pause);
          const { losses: reference } = await read(context, pairs, context.reference, pause);
          return { reads: Promise.all([losses.data(), reference.data()]) };
        });
        return preferenceLoss(batch, ...(await reads), beta).totals;
      },
    };
  };
  return { prepare };
}

/**
 * The totals of a batch of pairs, and the slope of the summed loss for the cross-entropy at each position. `losses` and
 * `reference` `[tokens]` hold that cross-entropy, 0 where there is no target.
 */
export function preferenceLoss(
  batch: readonly Example[],
  losses: TypedArray,
  reference: TypedArray,
  beta: number,
): { totals: Required<Totals<Dpo>>; slopes: Float32Array } {
  let [loss, margins, wins] = [0, 0, 0];
  const slopes = new Float32Array(losses.length);
  let start = 0;
  for (const { ids, mark } of batch) {
    const border = start + mark!;
    const end = start + ids.length;
    const reward = (from: number, to: number): number => {
      let sum = 0;
      for (let t = from; t < to; t++) sum += reference[t]! - losses[t]!;
      return beta * sum;
    };
    const margin = reward(start, border) - reward(border, end);
    loss += softplus(-margin);
    margins += margin;
    wins += margin > 0 ? 1 : 0;
    const slope = beta / (1 + Math.exp(margin));
    slopes.fill(slope, start, border).fill(-slope, border, end);
    start = end;
  }
  const total = (sum: number): Total => ({ sum, count: batch.length });
  return { totals: { loss: total(loss), rewardMargin: total(margins), rewardAccuracy: total(wins) }, slopes };
}

/** log(1 + e^x), which for a large x is x, not infinity. */
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
