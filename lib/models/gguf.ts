// The config of a model in a GGUF file, as its Hugging Face folder would have it.
import type { Gguf } from '../files/gguf.js';
import { shown } from '../flow/fault.js';
import type { GgufKeys, LayerKind } from './architecture.js';
import { architectures } from './architectures/index.js';
import { checkBound } from './bounds.js';
import { isReranker } from './gguf-pooling.js';

/**
 * The model's `config.json`, in Hugging Face's keys.
 *
 * @throws Error that names the file, and the metadata key that is missing, wrong or not supported.
 */
export function ggufConfig(gguf: Gguf): Record<string, unknown> {
  const { path, metadata, tensors } = gguf;
  const name = metadata.get('general.architecture');
  const forms = architectures.flatMap(({ types, gguf }) => gguf.map((form) => ({ type: types[0], ...form })));
  const keys = keysOf(gguf, String(name));
  const mixture = (keys.number('expert_count') ?? 0) > 0;
  const form = forms.find(
    (known) => known.name === name && [mixture, 'maybe'].includes(known.experts ?? false) && (known.is?.(keys) ?? true),
  );
  if (!form && mixture)
    throw new Error(
      `${path}: ${name}.expert_count says a mixture of experts, which is not supported for ${shown(name)}`,
    );
  if (!form) {
    const got = name === undefined ? 'it is missing' : `got ${shown(name)}`;
    const known = [...new Set(forms.map((known) => known.name))].join(', ');
    throw new Error(`${path}: general.architecture must be one of ${known}, ${got}`);
  }
  const { number, size } = keys;
  const key = (inside: string): string => `${name}.${inside}`;
  const common = (inside: string, fallback?: number): number =>
    form.perLayer ? keys.sizes(inside, fallback)[0]! : keys.sizeOfAll(inside, fallback);
  const hidden = size('embedding_length');
  const heads = size('attention.head_count');
  const headDim = size('attention.key_length', hidden / heads);
  const rotary = size('rope.dimension_count', headDim);
  if (rotary > headDim) {
    throw new Error(`${path}: ${key('rope.dimension_count')} is ${rotary}, more than the head size ${headDim}`);
  }
  if (!form.ownValueLength && size('attention.value_length', headDim) !== headDim) {
    throw new Error(
      `${path}: ${key('attention.value_length')} must be ${headDim}, as ${key('attention.key_length')} is`,
    );
  }
  const eps = number('attention.layer_norm_rms_epsilon');
  // An architecture with LayerNorms asks for this key by itself.
  if (eps === undefined && number('attention.layer_norm_epsilon') === undefined)
    throw new Error(`${path}: ${key('attention.layer_norm_rms_epsilon')} is missing`);
  const theta = number('rope.freq_base') ?? 10000;
  const tokens = metadata.get('tokenizer.ggml.tokens');
  const special = (kind: string): number | null => numberAt(gguf, `tokenizer.ggml.${kind}_token_id`) ?? null;

  const labels = isReranker(gguf) ? labelsOf(gguf, key('classifier.output_labels')) : undefined;
  const shared = {
    model_type: form.type,
    vocab_size: size('vocab_size', Array.isArray(tokens) ? tokens.length : undefined),
    hidden_size: hidden,
    intermediate_size: common('feed_forward_length'),
    num_hidden_layers: size('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: common('attention.head_count_kv', heads),
    head_dim: headDim,
    max_position_embeddings: size('context_length'),
    ...(eps === undefined ? {} : { rms_norm_eps: eps }),
    rope_theta: theta,
    rope_scaling: ropeScaling(gguf, keys, rotary),
    ...(rotary === headDim ? {} : { partial_rotary_factor: shareOf(rotary, headDim) }),
    hidden_act: 'silu',
    attention_bias: tensors.has('blk.0.attn_q.bias') || tensors.has('blk.0.attn_qkv.bias'),
    mlp_bias: tensors.has('blk.0.ffn_up.bias'),
    tie_word_embeddings: !tensors.has('output.weight'),
    bos_token_id: special('bos'),
    eos_token_id: endTokens(special),
    pad_token_id: special('padding'),
    ...(labels ? { architectures: ['ForSequenceClassification'], id2label: { ...labels } } : {}),
  };
  return { ...shared, ...form.config?.(keys, shared) };
}

/** The labels of a reranker's scores; one where the file names none. @throws Error that names the file and the key. */
function labelsOf({ path, metadata }: Gguf, key: string): string[] {
  const given: unknown = metadata.get(key) ?? ['LABEL_0'];
  if (Array.isArray(given) && given.every((label): label is string => typeof label === 'string')) return given;
  throw new Error(`${path}: ${key} must be a list of texts, got ${shown(given)}`);
}

/** @throws Error that names the file and the key, if it is not a finite number. */
function numberAt({ path, metadata }: Gguf, key: string): number | undefined {
  const value = metadata.get(key);
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new Error(`${path}: ${key} must be a number, got ${shown(value)}`);
  }
  return shortest(value);
}

function keysOf(gguf: Gguf, architecture: string): GgufKeys {
  const { path, metadata } = gguf;
  const number = (inside: string): number | undefined => {
    const key = `${architecture}.${inside}`;
    const value = numberAt(gguf, key);
    checkBound(path, key, value);
    return value;
  };
  const size = (inside: string, fallback?: number): number => {
    const value = number(inside) ?? fallback;
    if (value === undefined || !Number.isInteger(value) || value < 1) {
      const got = value === undefined ? 'but is missing' : `got ${value}`;
      throw new Error(`${path}: ${architecture}.${inside} must be a positive integer, ${got}`);
    }
    return value;
  };
  const sizeOfAll = (inside: string, fallback?: number): number => {
    const key = `${architecture}.${inside}`;
    const list = metadata.get(key);
    if (!ArrayBuffer.isView(list)) return size(inside, fallback);
    const [first, ...others] = new Set(
      Array.from(list as Iterable<number | bigint>, Number).filter((value) => value !== 0),
    );
    if (first === undefined || !Number.isInteger(first) || first < 1 || others.length > 0)
      throw new Error(`${path}: ${key} must be a positive integer, or 0, and the same in all layers that have it`);
    checkBound(path, key, first);
    return first;
  };
  const sizes = (inside: string, fallback?: number): number[] => {
    const key = `${architecture}.${inside}`;
    const count = size('block_count');
    const given = metadata.get(key);
    const listed = typeof given === 'object' ? [...given].map(Number) : undefined;
    if (!listed) return Array.from({ length: count }, () => size(inside, fallback));
    if (listed.length !== count || listed.some((value) => !Number.isInteger(value) || value < 1)) {
      throw new Error(`${path}: ${key} must be a positive integer, or ${count} of them, got ${shown(given)}`);
    }
    for (const value of listed) checkBound(path, key, value);
    return listed;
  };
  const kinds = (period: number): LayerKind[] => {
    const key = `${architecture}.attention.sliding_window_pattern`;
    const given = metadata.get(key) ?? period;
    const byPeriod = (every: number): boolean[] =>
      Array.from({ length: size('block_count') }, (_, i) => (i + 1) % every !== 0);
    const flags = typeof given === 'number' ? byPeriod(given) : given;
    if (!Array.isArray(flags) || flags.some((flag) => typeof flag !== 'boolean')) {
      throw new Error(`${path}: ${key} must be a period or a list of truth values, got ${shown(given)}`);
    }
    return flags.map((flag) => (flag ? 'sliding_attention' : 'full_attention'));
  };
  return { gguf, number, size, sizeOfAll, sizes, kinds };
}

/** The factor of which `floor(factor · whole)` is `part`, although their quotient may be rounded down. */
function shareOf(part: number, whole: number): number {
  const share = part / whole;
  return Math.floor(share * whole) === part ? share : (part + 0.5) / whole;
}

// A model may end its text, its turn or its message, each with a token of its own.
function endTokens(special: (kind: string) => number | null): number | number[] | null {
  const ids = [...new Set(['eos', 'eot', 'eom'].map(special).filter((id) => id !== null))];
  return ids.length > 1 ? ids : (ids[0] ?? null);
}

/** In Hugging Face's keys; null where nothing is scaled. */
function ropeScaling(gguf: Gguf, keys: GgufKeys, rotary: number): Record<string, unknown> | null {
  const { path, metadata, tensors } = gguf;
  const { number, size } = keys;
  const divisors = (name: string): number[] => divisorsOf(gguf, name, rotary / 2);
  const context = size('context_length');
  const original = number('rope.scaling.original_context_length') ?? context;
  // llama.cpp multiplies this into a rule's own factor of cosine and sine.
  const extra = number('rope.scaling.attn_factor');
  // Two lists of divisors, for short and for long texts, or one for all: Llama 3's rule is written so, but not its name.
  const [short, long] = tensors.has('rope_freqs.weight')
    ? ['rope_freqs.weight', 'rope_freqs.weight']
    : ['rope_factors_short.weight', 'rope_factors_long.weight'];
  if (tensors.has(short) || tensors.has(long)) {
    return {
      rope_type: 'longrope',
      short_factor: divisors(short),
      long_factor: divisors(long),
      original_max_position_embeddings: original,
      attention_factor: extra ?? 1,
    };
  }
  // Files from before 2024 have only the linear factor, by its old name.
  const old = number('rope.scale_linear');
  const key = `${metadata.get('general.architecture')}.rope.scaling`;
  const type = metadata.get(`${key}.type`) ?? (old === undefined || old === 1 ? 'none' : 'linear');
  if (extra !== undefined && extra !== 1 && type !== 'yarn') {
    throw new Error(`${path}: ${key}.attn_factor is ${extra}, which is supported with yarn and rope factors alone`);
  }
  if (type === 'none') return null;
  const factor = number('rope.scaling.factor') ?? old;
  if (factor === undefined || !(factor > 0)) {
    throw new Error(`${path}: ${key}.factor must be a positive number, got ${shown(factor)}`);
  }
  if (type === 'linear') return { rope_type: 'linear', factor };
  if (type !== 'yarn') throw new Error(`${path}: ${key}.type must be one of none, linear, yarn, got ${shown(type)}`);
  const yarn = {
    attention_factor:
      extra === undefined ? number('rope.scaling.yarn_attn_factor') : extra * (1 + 0.1 * Math.log(factor)),
    beta_fast: number('rope.scaling.yarn_beta_fast'),
    beta_slow: number('rope.scaling.yarn_beta_slow'),
    original_max_position_embeddings: original,
  };
  const known = Object.entries(yarn).filter(([, value]) => value !== undefined);
  return { rope_type: 'yarn', factor, ...Object.fromEntries(known) };
}

/** @throws Error that names the file and the tensor, if it does not hold one number above 0 for each rotated pair. */
function divisorsOf(gguf: Gguf, name: string, pairs: number): number[] {
  const { path } = gguf;
  const info = gguf.tensors.get(name);
  if (info?.dtype !== 'f32' || info.bytes !== pairs * 4) {
    const got = info ? `${info.dtype} [${info.shape}]` : 'none';
    throw new Error(`${path}: tensor "${name}" must be F32 [${pairs}], got ${got}`);
  }
  const divisors = [...new Float32Array(new Uint8Array(gguf.read(name)).buffer)];
  if (!divisors.every((divisor) => divisor > 0)) {
    throw new Error(`${path}: tensor "${name}" must hold numbers above 0`);
  }
  return divisors.map(shortest);
}

// The file has f32; its shortest decimal is the number that the model's author wrote.
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}
