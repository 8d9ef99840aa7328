// Supervised fine-tuning: the cross-entropy of each target, after text, chats or completions.
import { backwardPaced } from '../../core/autograd.js';
import { scope } from '../../core/scope.js';
import type { TypedArray } from '../../core/tensor.js';
import type { Scored } from '../../ops/loss.js';
import { full } from '../../ops/random.js';
import { targetsOf } from '../data/batches.js';
import { type Example, encodeRow, type Row } from '../data/rows.js';
import type { Method, Objective, Prepared, RunContext, Totals } from './method.js';
import { forward, pauseOf, read, upload } from './passes.js';

export interface SupervisedFigures {
  /** Share of the targets that were the likeliest token, where `tokenAccuracy` asked for it. */
  tokenAccuracy: number;
}

export interface Supervised {
  name: 'supervised';
  options: object;
  figures: SupervisedFigures;
  row: Row;
}

export const supervised: Method<Supervised> = {
  name: 'supervised',
  title: 'Supervised',
  lossUnit: 'token',
  // Half of Tinker's 5e-4, which ruins small models in batches of one row; TRL and Unsloth take 2e-4.
  auto: { learningRate: 2.5e-4 },
  rows: {
    help: {
      learned: 'of a conversation or a prompt with its completion, only the answers are learned',
      forms: [
        '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", …}]}',
        '{"prompt": "…", "completion": "…"}',
        '{"text": "…"}',
        '{"input_ids": […], "labels": […]}',
      ],
    },
    encode: encodeRow,
  },
  options: {},
  figures: {
    tokenAccuracy: {
      label: 'token accuracy',
      wire: {
        name: 'mean_token_accuracy',
        inCheckpoints: true,
        resultColumns: ['train_accuracy', 'valid_mean_token_accuracy'],
      },
    },
  },
  usesReference: false,
  // Empty, as checkpoints of the first versions name no method.
  resumeKey: () => ({}),
  objective: crossEntropy,
};

function crossEntropy(context: RunContext): Objective<Supervised> {
  const prepare = (batch: readonly Example[], seed: number): Prepared<Supervised> => {
    const { targets, count, tokens } = targetsOf(batch);
    const sequences = batch.map(({ ids }) => ids);
    const totalsOf = async ({ losses, likeliest }: Scored): Promise<Totals<Supervised>> => {
      const reads = [losses, ...(context.tokenAccuracy ? [likeliest] : [])].map((x) => x.data());
      const [values, chosen] = await Promise.all(reads);
      const loss = { sum: sumOf(values!, targets), count };
      if (!chosen) return { loss };
      const hits = targets.filter((id, t) => id >= 0 && id === chosen[t]).length;
      return { loss, tokenAccuracy: { sum: hits, count } };
    };
    return {
      weight: count,
      tokens,
      learn: (share) =>
        scope(async () => {
          const pause = pauseOf(context);
          const scored = await forward(context, upload(context, sequences, targets), seed, pause);
          const totals = totalsOf(scored);
          totals.catch(() => {}); // awaited by the loop, unless the run ends before
          const { losses } = scored;
          await backwardPaced(losses, pause, full(losses.shape, share, { device: losses.device }));
          // In an object: the scope, and with it all activations, would wait for the promise itself.
          return { totals };
        }),
      measure: async () => {
        const { totals } = await scope(async () => {
          const rows = upload(context, sequences, targets);
          return { totals: totalsOf(await read(context, rows, context.adapter, pauseOf(context))) };
        });
        return totals;
      },
    };
  };
  return { prepare };
}

// In double precision and in order, so that the figure does not depend on how rows were packed.
function sumOf(losses: TypedArray, targets: Int32Array): number {
  let sum = 0;
  for (let t = 0; t < targets.length; t++) if (targets[t]! >= 0) sum += losses[t]!;
  return sum;
}
