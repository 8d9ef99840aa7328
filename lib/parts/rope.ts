// Rotary position embeddings, from a checkpoint's settings.
//
// The types and formulas are those of transformers' `rope_type`: default, linear, dynamic (NTK), llama3 (Llama 3.1), yarn
// (Peng et al. 2023), longrope (Ding et al. 2024) and proportional (Gemma 4). Frequencies are computed in double precision
// and rounded once.
import type { Tensor } from '../core/tensor.js';
import { lessEqual, where } from '../ops/elementwise.js';
import { rope as rotate } from '../ops/rope.js';
import { reshape } from '../ops/view.js';
import type { Pass } from './part.js';

/** How the angles of rotary embeddings come from positions. */
export interface Rope {
  /** Inverse frequencies, one per rotated pair, in radians per position. */
  readonly frequencies: Float32Array;
  /** What sequences of more than `beyond` tokens have instead. */
  readonly long?: { readonly frequencies: Float32Array; readonly beyond: number } | undefined;
  /** Cosine and sine are multiplied by this. */
  readonly factor: number;
  /** Pairs are channels `2i` and `2i + 1` instead of `i` and `i + rotary / 2`. */
  readonly interleaved: boolean;
}

export const ropeConstants = ({ frequencies, long }: Rope): Float32Array[] =>
  long ? [frequencies, long.frequencies] : [frequencies];

/** `x [tokens, heads, headDim]`, rotated by the positions of the pass. */
export function rotated(x: Tensor, rope: Rope, pass: Pass): Tensor {
  const { long, factor, interleaved } = rope;
  const { positions, reach } = pass.batch;
  const by = (frequencies: Float32Array): Tensor =>
    rotate(x, positions, pass.constant(frequencies), { factor, interleaved });
  if (!long) return by(rope.frequencies);
  const short = reshape(lessEqual(reach, long.beyond), [x.dim(0), 1, 1]);
  return where(short, by(rope.frequencies), by(long.frequencies));
}

export interface RopeSettings {
  rope_type?: string | undefined;
  rope_theta: number;
  partial_rotary_factor?: number | undefined;
  factor?: number | undefined;
  low_freq_factor?: number | undefined;
  high_freq_factor?: number | undefined;
  max_position_embeddings?: number | undefined;
  original_max_position_embeddings?: number | undefined;
  beta_fast?: number | undefined;
  beta_slow?: number | undefined;
  attention_factor?: number | undefined;
  mscale?: number | undefined;
  mscale_all_dim?: number | undefined;
  truncate?: boolean | undefined;
  short_factor?: readonly number[] | undefined;
  long_factor?: readonly number[] | undefined;
}

/** What the rule of a type is made from. */
interface Given {
  where: string;
  type: string;
  settings: RopeSettings;
  headDim: number;
  /** Channels that are rotated. */
  rotary: number;
  /** The frequencies of the default type. */
  plain: readonly number[];
}

type Rule = (given: Given) => { frequencies: readonly number[]; factor?: number; long?: Rope['long'] };

const rules: Readonly<Record<string, Rule>> = {
  default: ({ plain }) => ({ frequencies: plain }),
  linear(given) {
    const factor = need(given, 'factor');
    return { frequencies: given.plain.map((f) => f / factor) };
  },
  // The base grows with texts longer than the model's context, and no text is.
  dynamic: ({ plain }) => ({ frequencies: plain }),
  llama3,
  yarn,
  longrope,
  proportional({ settings, headDim }) {
    const { rope_theta: theta, factor = 1, partial_rotary_factor: share = 1 } = settings;
    const turned = Math.floor((share * headDim) / 2);
    const frequency = (i: number): number => (i < turned ? theta ** ((-2 * i) / headDim) / factor : 0);
    return { frequencies: Array.from({ length: headDim / 2 }, (_, i) => frequency(i)) };
  },
};

/** @throws Error that names `where` and the field, for a type that is not known or a setting that is missing. */
export function ropeFrequencies(where: string, settings: RopeSettings, headDim: number): Rope {
  const type = settings.rope_type ?? 'default';
  const rule = Object.hasOwn(rules, type) ? rules[type] : undefined;
  if (!rule) {
    const known = Object.keys(rules).join(', ');
    throw new Error(`${where}: rope type '${type}' is not supported; supported: ${known}`);
  }
  const share = settings.partial_rotary_factor ?? 1;
  const rotary = Math.floor(headDim * share);
  if (rotary > headDim || (rotary % 2 !== 0 && type !== 'proportional')) {
    throw new Error(
      `${where}: partial_rotary_factor (${share}) must be a part of the head size ${headDim} that is even, got ${rotary} channels`,
    );
  }
  const plain = Array.from({ length: rotary / 2 }, (_, i) => settings.rope_theta ** ((-2 * i) / rotary));
  const { frequencies, factor = 1, long } = rule({ where, type, settings, headDim, rotary, plain });
  return { frequencies: Float32Array.from(frequencies), long, factor, interleaved: false };
}

function need({ where, type, settings }: Given, field: keyof RopeSettings): number {
  const value = settings[field];
  if (typeof value !== 'number') throw new Error(`${where}: rope type '${type}' needs the number '${field}'`);
  return value;
}

// Long waves are slowed by `factor`, short ones stay, and those between are blended.
function llama3(given: Given): { frequencies: number[] } {
  const [factor, low, high] = [need(given, 'factor'), need(given, 'low_freq_factor'), need(given, 'high_freq_factor')];
  const original = need(given, 'original_max_position_embeddings');
  const frequencies = given.plain.map((f) => {
    const wavelength = (2 * Math.PI) / f;
    if (wavelength > original / low) return f / factor;
    if (wavelength < original / high) return f;
    const share = (original / wavelength - low) / (high - low);
    return ((1 - share) * f) / factor + share * f;
  });
  return { frequencies };
}

function yarn(given: Given): { frequencies: number[]; factor: number } {
  const { plain, settings, rotary } = given;
  const original = need(given, 'original_max_position_embeddings');
  const factor = settings.factor ?? need(given, 'max_position_embeddings') / original;
  // The index of the pair that turns `n` times over the original context.
  const pairOf = (n: number): number =>
    (rotary * Math.log(original / (2 * Math.PI * n))) / (2 * Math.log(settings.rope_theta));
  let low = pairOf(settings.beta_fast || 32);
  let high = pairOf(settings.beta_slow || 1);
  if (settings.truncate ?? true) {
    low = Math.floor(low);
    high = Math.ceil(high);
  }
  low = Math.max(low, 0);
  high = Math.min(high, rotary - 1);
  const frequencies = plain.map((f, i) => {
    const ramp = Math.min(Math.max((i - low) / (high === low ? 0.001 : high - low), 0), 1);
    return (f / factor) * ramp + f * (1 - ramp);
  });
  const gain = (m: number): number => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
  const { mscale, mscale_all_dim: all } = settings;
  return { frequencies, factor: settings.attention_factor ?? (mscale && all ? gain(mscale) / gain(all) : gain(1)) };
}

// One divisor for each pair, from the list for texts within the original context or from the one for longer texts.
function longrope(given: Given): ReturnType<Rule> {
  const { where, plain, settings } = given;
  const by = (field: 'short_factor' | 'long_factor'): number[] => {
    const divisors = settings[field];
    if (divisors?.length !== plain.length || !divisors.every((divisor) => divisor > 0)) {
      throw new Error(`${where}: rope type 'longrope' needs '${field}', ${plain.length} numbers above 0`);
    }
    return plain.map((f, i) => f / divisors[i]!);
  };
  const [short, long] = [by('short_factor'), by('long_factor')];
  const original = need(given, 'original_max_position_embeddings');
  const factor = settings.factor ?? need(given, 'max_position_embeddings') / original;
  const gain = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  const reaches = (settings.max_position_embeddings ?? Number.POSITIVE_INFINITY) > original;
  const differs = reaches && long.some((f, i) => f !== short[i]);
  return {
    frequencies: short,
    factor: settings.attention_factor ?? gain,
    ...(differs ? { long: { frequencies: Float32Array.from(long), beyond: original } } : {}),
  };
}
