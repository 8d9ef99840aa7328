// Inverse frequencies of rotary position embeddings, from a checkpoint's settings.
//
// The types and formulas are those of transformers' `rope_type`: default, linear, llama3 (Llama 3.1) and yarn (Peng et
// al. 2023). Frequencies are computed in double precision and rounded once.

/** How the angles of rotary embeddings come from positions. */
export interface Rope {
  /** Inverse frequencies, one per rotated pair, in radians per position. */
  readonly frequencies: Float32Array;
  /** Cosine and sine are multiplied by this. */
  readonly factor: number;
  /** Pairs are channels `2i` and `2i + 1` instead of `i` and `i + rotary / 2`. */
  readonly interleaved: boolean;
}

export interface RopeSettings {
  rope_type?: string | undefined;
  rope_theta: number;
  partial_rotary_factor?: number | undefined;
  factor?: number | undefined;
  low_freq_factor?: number | undefined;
  high_freq_factor?: number | undefined;
  original_max_position_embeddings?: number | undefined;
  beta_fast?: number | undefined;
  beta_slow?: number | undefined;
  attention_factor?: number | undefined;
  mscale?: number | undefined;
  mscale_all_dim?: number | undefined;
  truncate?: boolean | undefined;
}

const supported = ['default', 'linear', 'llama3', 'yarn'];

/** @throws Error that names `where` and the field, for a type that is not known or a setting that is missing. */
export function ropeFrequencies(where: string, settings: RopeSettings, headDim: number): Rope {
  const type = settings.rope_type ?? 'default';
  const rotary = Math.floor(headDim * (settings.partial_rotary_factor ?? 1));
  const plain = Array.from({ length: rotary / 2 }, (_, i) => settings.rope_theta ** ((-2 * i) / rotary));
  const need = (field: keyof RopeSettings): number => {
    const value = settings[field];
    if (typeof value !== 'number') throw new Error(`${where}: rope type '${type}' needs the number '${field}'`);
    return value;
  };
  const made = (frequencies: number[], factor = 1): Rope => ({
    frequencies: Float32Array.from(frequencies),
    factor,
    interleaved: false,
  });

  switch (type) {
    case 'default':
      return made(plain);
    case 'linear':
      return made(plain.map((f) => f / need('factor')));
    case 'llama3':
      return made(
        llama3(
          plain,
          need('factor'),
          need('low_freq_factor'),
          need('high_freq_factor'),
          need('original_max_position_embeddings'),
        ),
      );
    case 'yarn':
      return yarn(plain, settings, need('factor'), need('original_max_position_embeddings'), rotary, made);
    default:
      throw new Error(`${where}: rope type '${type}' is not supported; supported: ${supported.join(', ')}`);
  }
}

// Long waves are slowed by `factor`, short ones stay, and those between are blended.
function llama3(plain: number[], factor: number, low: number, high: number, original: number): number[] {
  return plain.map((f) => {
    const wavelength = (2 * Math.PI) / f;
    if (wavelength > original / low) return f / factor;
    if (wavelength < original / high) return f;
    const share = (original / wavelength - low) / (high - low);
    return ((1 - share) * f) / factor + share * f;
  });
}

function yarn(
  plain: number[],
  settings: RopeSettings,
  factor: number,
  original: number,
  rotary: number,
  made: (frequencies: number[], factor: number) => Rope,
): Rope {
  // The index of the pair that turns `n` times over the original context.
  const pairOf = (n: number): number =>
    (rotary * Math.log(original / (2 * Math.PI * n))) / (2 * Math.log(settings.rope_theta));
  let low = pairOf(settings.beta_fast ?? 32);
  let high = pairOf(settings.beta_slow ?? 1);
  if (settings.truncate ?? true) {
    low = Math.floor(low);
    high = Math.ceil(high);
  }
  low = Math.max(low, 0);
  high = Math.min(high, rotary - 1);
  const frequencies = plain.map((f, i) => {
    const ramp = Math.min(Math.max((i - low) / Math.max(high - low, 0.001), 0), 1);
    return (f / factor) * ramp + f * (1 - ramp);
  });
  const gain = (m: number): number => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
  const { mscale, mscale_all_dim: all } = settings;
  return made(frequencies, settings.attention_factor ?? (mscale && all ? gain(mscale) / gain(all) : gain(1)));
}
