// The config of a model in a GGUF file, as its Hugging Face folder would have it.
import type { Gguf } from '../files/gguf.js';
import { shown } from '../flow/fault.js';
import type { GgufKeys } from './architecture.js';
import { architectures } from './architectures/index.js';

/**
 * The model's `config.json`, in Hugging Face's keys.
 *
 * @throws Error that names the file, and the metadata key that is missing, wrong or not supported.
 */
export function ggufConfig(gguf: Gguf): Record<string, unknown> {
  const { path, metadata, tensors } = gguf;
  const name = metadata.get('general.architecture');
  const architecture = architectures.find((known) => known.gguf.name === name);
  if (!architecture) {
    const got = name === undefined ? 'it is missing' : `got ${shown(name)}`;
    const known = architectures.map((known) => known.gguf.name).join(', ');
    throw new Error(`${path}: general.architecture must be one of ${known}, ${got}`);
  }
  const key = (inside: string) => `${architecture.gguf.name}.${inside}`;
  const optional = (name: string): number | undefined => {
    const value = metadata.get(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw new Error(`${path}: ${name} must be a number, got ${shown(value)}`);
    }
    return value;
  };
  const size = (name: string, fallback?: number): number => {
    const value = optional(name) ?? fallback;
    if (value === undefined || !Number.isInteger(value) || value < 1) {
      throw new Error(
        `${path}: ${name} must be a positive integer, ${value === undefined ? 'but is missing' : `got ${value}`}`,
      );
    }
    return value;
  };
  const keys: GgufKeys = {
    gguf,
    number: (inside) => {
      const value = optional(key(inside));
      return value === undefined ? undefined : shortest(value);
    },
    size: (inside, fallback) => size(key(inside), fallback),
  };

  if ((optional(key('expert_count')) ?? 0) > 0) {
    throw new Error(`${path}: a mixture of experts (${key('expert_count')}), which is not supported`);
  }
  const hidden = size(key('embedding_length'));
  const heads = size(key('attention.head_count'));
  const headDim = size(key('attention.key_length'), hidden / heads);
  const rotary = size(key('rope.dimension_count'), headDim);
  if (rotary > headDim) {
    throw new Error(`${path}: ${key('rope.dimension_count')} is ${rotary}, more than the head size ${headDim}`);
  }
  if (size(key('attention.value_length'), headDim) !== headDim) {
    throw new Error(
      `${path}: ${key('attention.value_length')} must be ${headDim}, as ${key('attention.key_length')} is`,
    );
  }
  const eps = optional(key('attention.layer_norm_rms_epsilon'));
  // An architecture with LayerNorms asks for this key by itself.
  if (eps === undefined && !metadata.has(key('attention.layer_norm_epsilon')))
    throw new Error(`${path}: ${key('attention.layer_norm_rms_epsilon')} is missing`);
  const theta = shortest(optional(key('rope.freq_base')) ?? 10000);
  const tokens = metadata.get('tokenizer.ggml.tokens');

  return {
    model_type: architecture.types[0],
    vocab_size: size(key('vocab_size'), Array.isArray(tokens) ? tokens.length : undefined),
    hidden_size: hidden,
    intermediate_size: size(key('feed_forward_length')),
    num_hidden_layers: size(key('block_count')),
    num_attention_heads: heads,
    num_key_value_heads: size(key('attention.head_count_kv'), heads),
    head_dim: headDim,
    max_position_embeddings: size(key('context_length')),
    ...(eps === undefined ? {} : { rms_norm_eps: shortest(eps) }),
    rope_theta: theta,
    ...(rotary === headDim ? {} : { partial_rotary_factor: share(rotary, headDim) }),
    rope_scaling: ropeScaling(gguf, architecture.gguf.name, theta, headDim, optional),
    hidden_act: 'silu',
    attention_bias: tensors.has('blk.0.attn_q.bias') || tensors.has('blk.0.attn_qkv.bias'),
    mlp_bias: tensors.has('blk.0.ffn_up.bias'),
    tie_word_embeddings: !tensors.has('output.weight'),
    bos_token_id: optional('tokenizer.ggml.bos_token_id') ?? null,
    eos_token_id: endTokens(optional),
    pad_token_id: optional('tokenizer.ggml.padding_token_id') ?? null,
    ...architecture.gguf.config?.(keys),
  };
}

// The product with the whole is rounded down again, and must give the part.
const share = (part: number, whole: number): number =>
  Math.floor((part / whole) * whole) === part ? part / whole : (part + 0.5) / whole;

type Optional = (name: string) => number | undefined;

// A model may end its text, its turn or its message, each with a token of its own.
function endTokens(optional: Optional): number | number[] | null {
  const kinds = ['eos', 'eot', 'eom'].map((kind) => optional(`tokenizer.ggml.${kind}_token_id`));
  const ids = [...new Set(kinds.filter((id) => id !== undefined))];
  return ids.length > 1 ? ids : (ids[0] ?? null);
}

function ropeScaling(
  gguf: Gguf,
  architecture: string,
  theta: number,
  headDim: number,
  optional: Optional,
): Record<string, unknown> | null {
  const { path, metadata } = gguf;
  if (gguf.tensors.has('rope_freqs.weight')) return llama3Scaling(gguf, theta, headDim);
  const key = `${architecture}.rope.scaling`;
  // Files from before 2024 have only the linear factor, by its old name.
  const old = optional(`${architecture}.rope.scale_linear`);
  const type = metadata.get(`${key}.type`) ?? (old === undefined || old === 1 ? 'none' : 'linear');
  if (type === 'none') return null;
  const factor = optional(`${key}.factor`) ?? old;
  if (factor === undefined || !(factor > 0)) {
    throw new Error(`${path}: ${key}.factor must be a positive number, got ${shown(factor)}`);
  }
  if (type === 'linear') return { rope_type: 'linear', factor: shortest(factor) };
  if (type === 'yarn') {
    const original = optional(`${key}.original_context_length`);
    // llama.cpp multiplies this into YaRN's own factor, Hugging Face's key replaces that.
    const extra = optional(`${key}.attn_factor`);
    const given = {
      attention_factor: extra === undefined ? undefined : extra * (1 + 0.1 * Math.log(factor)),
      beta_fast: optional(`${key}.yarn_beta_fast`),
      beta_slow: optional(`${key}.yarn_beta_slow`),
      original_max_position_embeddings: original ?? optional(`${architecture}.context_length`),
    };
    const known = Object.entries(given).filter(([, value]) => value !== undefined);
    return { rope_type: 'yarn', factor: shortest(factor), ...Object.fromEntries(known) };
  }
  throw new Error(`${path}: ${key}.type must be one of none, linear, yarn, got ${shown(type)}`);
}

// The converter writes Llama 3's rule as one divisor per frequency and forgets its four parameters. All models that
// Meta published share three of them, and the fourth, the factor, is the largest divisor; a file whose divisors these
// don't give again has another rule.
function llama3Scaling(gguf: Gguf, theta: number, headDim: number): Record<string, unknown> {
  const { path } = gguf;
  const info = gguf.tensors.get('rope_freqs.weight');
  const half = headDim / 2;
  if (info?.dtype !== 'f32' || info.bytes !== half * 4) {
    throw new Error(`${path}: tensor "rope_freqs.weight" must be F32 [${half}], got ${info?.dtype} [${info?.shape}]`);
  }
  const divisors = new Float32Array(new Uint8Array(gguf.read('rope_freqs.weight')).buffer);
  const scaling = {
    rope_type: 'llama3',
    factor: shortest(divisors.reduce((a, b) => Math.max(a, b), 1)),
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  };
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = scaling;
  const follows = divisors.every((divisor, i) => {
    const turns = original / (2 * Math.PI * theta ** ((2 * i) / headDim));
    const blend = Math.min(1, Math.max(0, (turns - low) / (high - low)));
    const expected = 1 / ((1 - blend) / factor + blend);
    return Math.abs(divisor - expected) <= 1e-3 * expected;
  });
  if (!follows) {
    throw new Error(`${path}: tensor "rope_freqs.weight" doesn't follow Llama 3's rule, and no other is supported`);
  }
  return scaling;
}

// The file has f32; its shortest decimal is the number that the model's author wrote.
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}
