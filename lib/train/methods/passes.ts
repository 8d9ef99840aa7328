// The passes of a model that methods are made of: with gradients, or only read.
import { noGrad } from '../../core/autograd.js';
import { type Tensor, tensor } from '../../core/tensor.js';
import type { Adapter } from '../../lora/adapter.js';
import { type Decoder, packed } from '../../models/decoder.js';
import type { Scored } from '../../ops/loss.js';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js';
import { pacer, type Turn } from '../pace.js';

/** The model, and how its passes run. */
export interface Passes {
  readonly decoder: Decoder;
  readonly tokenizer: Tokenizer | undefined;
  readonly adapter: Adapter | undefined;
  /** A frozen copy of the adapter that the run began with. Undefined: the model without any adapter. */
  readonly reference: Adapter | undefined;
  /** Whether activations are computed again in the backward pass. */
  readonly checkpointing: boolean;
  /** Whether to report the share of targets that were the likeliest token, for a method that can. */
  readonly tokenAccuracy: boolean;
  readonly signal: AbortSignal;
  readonly turn: Turn | undefined;
}

/** Sequences end to end on the device, with the target of each position (-1 where there is none). */
export interface Batch {
  input: ReturnType<typeof packed>;
  /** i32 `[tokens]` */
  targets: Tensor;
}

export function upload({ decoder: { device } }: Passes, sequences: readonly Int32Array[], targets: Int32Array): Batch {
  const input = packed(
    sequences.map((ids) => Array.from(ids)),
    device,
  );
  return { input, targets: tensor(targets, { device }) };
}

/** The cross-entropy of each target under the trained weights, recorded for a backward pass. */
export function forward(passes: Passes, { input, targets }: Batch, seed: number, pause: Pause): Promise<Scored> {
  const { decoder, adapter, checkpointing } = passes;
  const dropoutSeed = adapter && adapter.config.loraDropout > 0 ? seed : undefined;
  return decoder.losses(input, targets, { adapter, dropoutSeed, checkpointing }, pause);
}

/** The cross-entropy of each target under `adapter`, without gradients. */
export const read = (
  { decoder }: Passes,
  { input, targets }: Batch,
  adapter: Adapter | undefined,
  pause: Pause,
): Promise<Scored> => decoder.losses(input, targets, { adapter }, pause, noGrad);

export type Pause = () => Promise<void>;

/** What a micro-batch awaits between two steps of its passes. */
export const pauseOf = ({ signal, turn }: Passes): Pause => pacer(signal, turn);
