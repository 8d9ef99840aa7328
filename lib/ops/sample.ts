// Choosing tokens by logits, on the device.
import type { Device } from '../core/device.js';
import { kernels } from '../core/native.js';
import { empty, type Tensor, tensor } from '../core/tensor.js';
import { describe, floats, integers, sameDevice, sameShape } from './checks.js';
import { contiguous } from './copy.js';

export interface SamplingOptions {
  /** Divides the logits; 0 takes the largest logit. Default 1. */
  temperature?: number;
  /** Only the `topK` largest logits, and ties with the last of them. 0 (the default) is all. */
  topK?: number;
  /** Only the shortest list of the most likely tokens that holds this share of the probability. Default 1, all. */
  topP?: number;
  /** Only tokens at least this share as likely as the most likely one. Default 0, all. */
  minP?: number;
  /** A whole number. Each seed is a sequence of random numbers of its own. */
  seed?: number;
  /** Which number of the seed's sequence to use: the count of tokens already chosen. Default 0. */
  step?: number;
}

/** The options of every row, as `sample` takes them again and again. */
export interface SamplingTensors {
  /** f32 `[rows, 4]`: temperature, top-k, top-p, min-p. */
  options: Tensor;
  /** i32 `[rows, 2]`: the seed's low and high half. */
  seeds: Tensor;
  /** i32 `[rows]`. */
  steps: Tensor;
}

function checked({
  temperature = 1,
  topK = 0,
  topP = 1,
  minP = 0,
  seed = 0,
  step = 0,
}: SamplingOptions): Required<SamplingOptions> {
  if (!(temperature >= 0 && temperature < Infinity))
    throw new RangeError(`sample: the temperature ${temperature} is not 0 or above`);
  if (!Number.isInteger(topK) || topK < 0) throw new RangeError(`sample: topK ${topK} is not a count`);
  if (!(topP >= 0 && topP <= 1)) throw new RangeError(`sample: topP ${topP} is outside [0, 1]`);
  if (!(minP >= 0 && minP <= 1)) throw new RangeError(`sample: minP ${minP} is outside [0, 1]`);
  if (!Number.isSafeInteger(seed)) throw new RangeError(`sample: the seed ${seed} is not a whole number`);
  if (!Number.isInteger(step) || step < 0 || step >= 2 ** 31)
    throw new RangeError(`sample: the step ${step} is not a count`);
  return { temperature, topK, topP, minP, seed, step };
}

/** Puts one set of options per row into tensors. @throws RangeError for an option outside its range. */
export function samplingTensors(rows: readonly SamplingOptions[], device?: Device): SamplingTensors {
  const all = rows.map(checked);
  const place = device ? { device } : {};
  return {
    options: tensor(Float32Array.from(all.flatMap((o) => [o.temperature, o.topK, o.topP, o.minP])), {
      shape: [all.length, 4],
      ...place,
    }),
    seeds: tensor(Int32Array.from(all.flatMap((o) => [o.seed | 0, Math.floor(o.seed / 2 ** 32) | 0])), {
      shape: [all.length, 2],
      ...place,
    }),
    steps: tensor(
      Int32Array.from(all, (o) => o.step),
      { shape: [all.length], ...place },
    ),
  };
}

/**
 * One token per row of `logits` `[rows, vocab]`, as i32 `[rows]`. Temperature, top-k, top-p and min-p act in that order,
 * as Hugging Face's do. The same logits, options, seed and step give the same token.
 *
 * `options` are for all rows, one per row, or tensors made by `samplingTensors`. A row that holds NaN gives -1, and one that
 * is -infinity everywhere gives -2: the other rows have their tokens all the same.
 *
 * @throws RangeError if an option is outside its range, or if the numbers of rows differ.
 */
export function sample(
  logits: Tensor,
  options: SamplingOptions | readonly SamplingOptions[] | SamplingTensors = {},
): Tensor {
  floats('sample', logits);
  if (logits.rank !== 2 || logits.shape[1] === 0) {
    throw new RangeError(`sample: the logits must be [rows, vocab], got ${describe(logits.shape)}`);
  }
  const rows = logits.shape[0]!;
  const given = 'steps' in options;
  const list = Array.isArray(options) ? options : new Array<SamplingOptions>(rows).fill(options as SamplingOptions);
  const tensors = given ? options : samplingTensors(list, logits.device);
  checkTensors(tensors, rows);
  const device = sameDevice('sample', logits, tensors.options, tensors.seeds, tensors.steps);
  const tokens = empty([rows], { dtype: 'i32', device });
  kernels.sample(tokens.handle, logits.handle, tensors.options.handle, tensors.seeds.handle, tensors.steps.handle);
  if (!given) for (const x of [tensors.options, tensors.seeds, tensors.steps]) x.dispose();
  return tokens;
}

function checkTensors({ options, seeds, steps }: SamplingTensors, rows: number): void {
  const wanted = [
    ['options', options, 'f32', [rows, 4]],
    ['seeds', seeds, 'i32', [rows, 2]],
    ['steps', steps, 'i32', [rows]],
  ] as const;
  for (const [name, x, dtype, shape] of wanted) {
    if (!sameShape(x.shape, shape))
      throw new RangeError(`sample: ${name} must be ${describe(shape)}, got ${describe(x.shape)}`);
    if (x.dtype !== dtype || !x.contiguous)
      throw new TypeError(`sample: ${name} must be ${dtype} side by side, got ${x.dtype}`);
  }
}

/**
 * The repetition penalty (Keskar et al., CTRL, 2019), in place: the logit of every token in a row of `tokens`
 * `[rows, count]` (i32, below 0 is padding) is divided by the row's penalty if positive, else multiplied by it, once.
 *
 * A token outside the logits fails at the `await`.
 */
export function penalize(logits: Tensor, tokens: Tensor, penalties: Tensor): Tensor {
  floats('penalize', logits);
  integers('penalize', 'tokens', tokens);
  sameDevice('penalize', logits, tokens, penalties);
  if (penalties.dtype !== 'f32') throw new TypeError(`penalize: penalties must be f32, got ${penalties.dtype}`);
  const rows = logits.shape[0]!;
  if (logits.rank !== 2 || tokens.rank !== 2 || tokens.shape[0] !== rows || !sameShape(penalties.shape, [rows])) {
    throw new RangeError(
      `penalize: [rows, vocab], [rows, count] and [rows] do not fit ${[logits, tokens, penalties].map((x) => describe(x.shape)).join(', ')}`,
    );
  }
  kernels.penalize(logits.handle, contiguous(tokens).handle, contiguous(penalties).handle);
  return logits;
}
