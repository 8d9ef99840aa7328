// Forward passes that methods are made of: recorded for a backward pass, or without gradients.
import { noGrad } from '../../core/autograd.js';
import { type Tensor, tensor } from '../../core/tensor.js';
import type { Adapter } from '../../lora/adapter.js';
import { packed } from '../../models/decoder.js';
import type { Scored } from '../../ops/loss.js';
import { pacer } from '../pace.js';
import type { RunContext } from './method.js';

/** A packed batch on the device, with the target of each position (-1 where there is none). */
export interface Batch {
  input: ReturnType<typeof packed>;
  /** i32 `[tokens]` */
  targets: Tensor;
}

export function upload(
  { decoder: { device } }: RunContext,
  sequences: readonly Int32Array[],
  targets: Int32Array,
): Batch {
  const input = packed(
    sequences.map((ids) => Array.from(ids)),
    device,
  );
  return { input, targets: tensor(targets, { device }) };
}

/** The cross-entropy of each target under the trained weights, recorded for a backward pass. */
export function forward(context: RunContext, { input, targets }: Batch, seed: number, pause: Pause): Promise<Scored> {
  const { decoder, adapter, checkpointing } = context;
  const dropoutSeed = adapter && adapter.config.loraDropout > 0 ? seed : undefined;
  return decoder.losses(input, targets, { adapter, dropoutSeed, checkpointing }, pause);
}

/** The cross-entropy of each target under `adapter`, without gradients. */
export const read = (
  { decoder }: RunContext,
  { input, targets }: Batch,
  adapter: Adapter | undefined,
  pause: Pause,
): Promise<Scored> => decoder.losses(input, targets, { adapter }, pause, noGrad);

export type Pause = () => Promise<void>;

/** Awaited between two steps of a pass: lets the event loop run, and shares the device. */
export const pauseOf = ({ signal, turn }: RunContext): Pause => pacer(signal, turn);
