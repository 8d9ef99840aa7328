// What a run minimises, and the usual case: the cross-entropy of the targets.
//
// An objective takes packed micro-batches and gives sums over them, so that the means of a step or of an evaluation do
// not depend on how rows were packed.
import { backwardPaced, noGrad } from '../autograd.js';
import type { Adapter } from '../lora/adapter.js';
import { type Decoder, packed } from '../models/decoder.js';
import { embedding } from '../ops/embedding.js';
import { full } from '../ops/random.js';
import { argmax } from '../ops/reduce.js';
import { scope } from '../scope.js';
import { type Tensor, type TypedArray, tensor } from '../tensor.js';
import { targetsOf } from './batches.js';
import { pacer, type Turn } from './pace.js';
import { type Example, sequencesOf } from './rows.js';

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
      const hits = this.#hits(targets);
      const at = tensor(targets, { device: decoder.device });
      const options = { adapter, dropoutSeed, checkpointing };
      const losses = await decoder.losses(inputOf(batch, decoder), at, options, pause, undefined, hits.see);
      const figures = figuresOf(losses.data(), targets, hits.count());
      figures.catch(() => {}); // looked at later, unless the run ends before
      await backwardPaced(losses, pause, full(losses.shape, share, { device: decoder.device }));
      // In an object: the scope, and with it all activations, would wait for the promise itself.
      return { figures };
    });
  }

  async measure(batch: readonly Example[]): Promise<Figures> {
    const { decoder, adapter, signal, turn } = this.passes;
    const { targets } = targetsOf(batch);
    const { figures } = await scope(async () => {
      const hits = this.#hits(targets);
      const at = tensor(targets, { device: decoder.device });
      const input = inputOf(batch, decoder);
      const losses = await decoder.losses(input, at, { adapter }, pacer(signal, turn), noGrad, hits.see);
      return { figures: figuresOf(losses.data(), targets, hits.count()) };
    });
    return figures;
  }

  #hits(targets: Int32Array): {
    see: ((hidden: Tensor) => void) | undefined;
    count: () => Promise<number> | undefined;
  } {
    let counting: Promise<number> | undefined;
    const see = (hidden: Tensor): void => {
      counting = noGrad(() => hitsOf(this.passes.decoder, hidden, targets));
      counting.catch(() => {});
    };
    return { see: this.tokenAccuracy ? see : undefined, count: () => counting };
  }
}

// Logits of so many positions lie in memory at once.
const rowsAtOnce = 256;

/** How many targets are the likeliest token. */
async function hitsOf(decoder: Decoder, hidden: Tensor, targets: Int32Array): Promise<number> {
  const { device } = decoder;
  const rows = Int32Array.from(targets.keys()).filter((t) => targets[t]! >= 0);
  const reads: Promise<TypedArray>[] = [];
  for (let start = 0; start < rows.length; start += rowsAtOnce) {
    const some = rows.subarray(start, start + rowsAtOnce);
    reads.push(
      scope(() => ({ read: argmax(decoder.logits(embedding(hidden, tensor(some, { device })))).data() })).read,
    );
  }
  const likeliest = (await Promise.all(reads)).flatMap((part) => [...part]);
  return likeliest.reduce((sum, id, i) => sum + (id === targets[rows[i]!] ? 1 : 0), 0);
}

async function figuresOf(
  losses: Promise<TypedArray>,
  targets: Int32Array,
  hits: Promise<number> | undefined,
): Promise<Figures> {
  const loss = sumOf(await losses, targets);
  return hits ? { loss, tokenAccuracy: await hits } : { loss };
}

// In double precision and in order, so that the figure does not depend on how rows were packed.
function sumOf(losses: TypedArray, targets: Int32Array): number {
  let sum = 0;
  for (let t = 0; t < targets.length; t++) if (targets[t]! >= 0) sum += losses[t]!;
  return sum;
}
