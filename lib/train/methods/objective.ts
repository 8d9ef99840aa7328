// What a run minimises, and the usual case: the cross-entropy of the targets.
//
// An objective takes packed micro-batches and gives sums over them, so that the means of a step or of an evaluation do
// not depend on how rows were packed.
import { backwardPaced, noGrad } from '../../core/autograd.js';
import { scope } from '../../core/scope.js';
import { type TypedArray, tensor } from '../../core/tensor.js';
import type { Adapter } from '../../lora/adapter.js';
import { type Decoder, packed } from '../../models/decoder.js';
import type { Scored } from '../../ops/loss.js';
import { full } from '../../ops/random.js';
import { targetsOf } from '../data/batches.js';
import { type Example, sequencesOf } from '../data/rows.js';
import { pacer, type Turn } from '../pace.js';

/** What a micro-batch gave, as sums; or means of such, each beside its like. */
export interface Figures {
  /** Nats. */
  loss: number;
  /** Targets that were the model's likeliest token. */
  tokenAccuracy?: number;
  /** How much more the preferred answer gained over the reference than the other one, times `beta`. */
  rewardMargin?: number;
  /** Pairs whose margin is positive. */
  rewardAccuracy?: number;
}

/** Sums of several micro-batches as means over `weight`. */
export function meanOf(sums: readonly Figures[], weight: number): Figures {
  const total: Figures = { loss: 0 };
  for (const part of sums) {
    for (const [name, value] of Object.entries(part) as [keyof Figures, number][]) {
      total[name] = (total[name] ?? 0) + value;
    }
  }
  for (const name of Object.keys(total) as (keyof Figures)[]) total[name] = total[name]! / weight;
  return total;
}

export interface Objective {
  /** What the batch's losses are averaged over: the number of its targets, or of its pairs. */
  weight(batch: readonly Example[]): number;
  /** Queues the forward and the backward pass; each loss counts `share`. The figures come when the device has them. */
  learn(
    batch: readonly Example[],
    share: number,
    dropoutSeed: number | undefined,
  ): Promise<{ figures: Promise<Figures> }>;
  /** The figures alone. */
  measure(batch: readonly Example[]): Promise<Figures>;
}

/** The model, and how its passes run. */
export interface Passes {
  decoder: Decoder;
  adapter: Adapter | undefined;
  /** The weights that preferences are measured against. */
  reference: Adapter | undefined;
  checkpointing: boolean;
  signal: AbortSignal;
  turn: Turn | undefined;
}

export const inputOf = (batch: readonly Example[], { device }: Decoder): ReturnType<typeof packed> =>
  packed(
    batch.flatMap(sequencesOf).map((ids) => Array.from(ids)),
    device,
  );

/** The cross-entropy of each target. */
export class Supervised implements Objective {
  constructor(
    private readonly passes: Passes,
    private readonly tokenAccuracy: boolean,
  ) {}

  weight(batch: readonly Example[]): number {
    return targetsOf(batch).count;
  }

  learn(
    batch: readonly Example[],
    share: number,
    dropoutSeed: number | undefined,
  ): Promise<{ figures: Promise<Figures> }> {
    const { decoder, adapter, checkpointing, signal, turn } = this.passes;
    const pause = pacer(signal, turn);
    return scope(async () => {
      const { targets } = targetsOf(batch);
      const at = tensor(targets, { device: decoder.device });
      const scored = await decoder.losses(inputOf(batch, decoder), at, { adapter, dropoutSeed, checkpointing }, pause);
      const figures = this.#figures(scored, targets);
      figures.catch(() => {}); // looked at later, unless the run ends before
      await backwardPaced(scored.losses, pause, full(scored.losses.shape, share, { device: decoder.device }));
      // In an object: the scope, and with it all activations, would wait for the promise itself.
      return { figures };
    });
  }

  async measure(batch: readonly Example[]): Promise<Figures> {
    const { decoder, adapter, signal, turn } = this.passes;
    const { targets } = targetsOf(batch);
    const { figures } = await scope(async () => {
      const at = tensor(targets, { device: decoder.device });
      const scored = await decoder.losses(inputOf(batch, decoder), at, { adapter }, pacer(signal, turn), noGrad);
      return { figures: this.#figures(scored, targets) };
    });
    return figures;
  }

  async #figures({ losses, likeliest }: Scored, targets: Int32Array): Promise<Figures> {
    const reads = [losses, ...(this.tokenAccuracy ? [likeliest] : [])].map((x) => x.data());
    const [values, chosen] = await Promise.all(reads);
    const loss = sumOf(values!, targets);
    return chosen ? { loss, tokenAccuracy: targets.filter((id, t) => id >= 0 && id === chosen[t]).length } : { loss };
  }
}

// In double precision and in order, so that the figure does not depend on how rows were packed.
function sumOf(losses: TypedArray, targets: Int32Array): number {
  let sum = 0;
  for (let t = 0; t < targets.length; t++) if (targets[t]! >= 0) sum += losses[t]!;
  return sum;
}
