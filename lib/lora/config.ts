// LoRA settings: PEFT's adapter_config.json, read and written with every classic key.
import { z } from 'zod';
import { check } from '../files/json.js';
import { checkOptions } from '../flow/options.js';

/** What a caller may choose for a new adapter. The names are PEFT's. */
export interface LoraOptions {
  /** Rank of the pair. Default 8. */
  r?: number | undefined;
  /** The product is scaled by alpha / r, or alpha / √r with `rslora`. Default 2 r. */
  alpha?: number | undefined;
  /** The probability that an input element of the pair is left out in training. Default 0. */
  dropout?: number | undefined;
  /** `'all-linear'` (default: every linear layer but the output), a regular expression for whole paths, or path endings. */
  targetModules?: string | readonly string[] | undefined;
  rslora?: boolean | undefined;
  /** Ranks of chosen modules: a regular expression for the end of a path, and its rank. */
  rankPattern?: Record<string, number> | undefined;
  alphaPattern?: Record<string, number> | undefined;
}

export interface LoraConfig {
  r: number;
  loraAlpha: number;
  loraDropout: number;
  targetModules: string | readonly string[];
  excludeModules: string | readonly string[] | undefined;
  useRslora: boolean;
  rankPattern: Readonly<Record<string, number>>;
  alphaPattern: Readonly<Record<string, number>>;
  baseModel: string | undefined;
}

const positive = z.number().int().positive();
const pattern = z.record(z.string(), positive);
const numbers = z.record(z.string(), z.number().positive());
const modules = z.union([z.string(), z.array(z.string())]).describe('a string or a list of strings');

const lora = z.strictObject({
  r: positive.optional(),
  alpha: z.number().positive().optional(),
  dropout: z.number().min(0).lt(1).optional(),
  targetModules: modules.optional(),
  rslora: z.boolean().optional(),
  rankPattern: pattern.optional(),
  alphaPattern: numbers.optional(),
});

// What PEFT and others call these options.
const aliases: Readonly<Record<string, string>> = { rank: 'r', scale: 'alpha' };

/** @throws TypeError or RangeError that names the option. */
export function loraConfig(options: LoraOptions, baseModel?: string): LoraConfig {
  const given = checkOptions('lora', lora, options, { aliases });
  const r = given.r ?? 8;
  return {
    r,
    loraAlpha: given.alpha ?? 2 * r,
    loraDropout: given.dropout ?? 0,
    targetModules: given.targetModules ?? 'all-linear',
    excludeModules: undefined,
    useRslora: given.rslora ?? false,
    rankPattern: given.rankPattern ?? {},
    alphaPattern: given.alphaPattern ?? {},
    baseModel,
  };
}

// Settings that change what an adapter computes, and that this library does not compute. A value not listed is refused.
const neutral: Record<string, readonly unknown[]> = {
  use_dora: [false],
  use_qalora: [false],
  use_bdlora: [null, false],
  lora_bias: [false],
  bias: ['none'],
  fan_in_fan_out: [false],
  modules_to_save: [null],
  layer_replication: [null],
  layers_to_transform: [null],
  target_parameters: [null],
  trainable_token_indices: [null],
  alora_invocation_tokens: [null],
  arrow_config: [null],
  kasa_config: [null],
  velora_config: [null],
  monteclora_config: [null],
};

const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0;

const stored = z.looseObject({
  peft_type: z.string(),
  r: positive.nullish(),
  lora_alpha: z.number().nullish(),
  lora_dropout: z.number().nullish(),
  target_modules: modules.nullish(),
  exclude_modules: modules.nullish(),
  use_rslora: z.boolean().nullish(),
  rank_pattern: pattern.nullish(),
  alpha_pattern: numbers.nullish(),
  base_model_name_or_path: z.string().nullish(),
});

/**
 * The settings in an adapter_config.json.
 *
 * @throws Error that names the file and the field: a wrong value, or a feature that is not supported.
 */
export function readPeftConfig(file: string, json: Record<string, unknown>): LoraConfig {
  const given = check(file, stored, json);
  if (given.peft_type !== 'LORA')
    throw new Error(`${file}: field 'peft_type' must be "LORA", got "${given.peft_type}"`);
  for (const [field, allowed] of Object.entries(neutral)) {
    const value = json[field];
    if (value !== undefined && !allowed.includes(value) && !isEmpty(value)) {
      throw new Error(`${file}: field '${field}' is ${JSON.stringify(value)}, which is not supported`);
    }
  }
  return {
    r: given.r ?? 8,
    loraAlpha: given.lora_alpha ?? 8,
    loraDropout: given.lora_dropout ?? 0,
    targetModules: given.target_modules ?? [],
    excludeModules: given.exclude_modules ?? undefined,
    useRslora: given.use_rslora ?? false,
    rankPattern: given.rank_pattern ?? {},
    alphaPattern: given.alpha_pattern ?? {},
    baseModel: given.base_model_name_or_path ?? undefined,
  };
}

/** The adapter_config.json of these settings, as PEFT writes it: every classic key, sorted. */
export function peftConfig(config: LoraConfig): Record<string, unknown> {
  return {
    alora_invocation_tokens: null,
    alpha_pattern: config.alphaPattern,
    arrow_config: null,
    auto_mapping: null,
    base_model_name_or_path: config.baseModel ?? null,
    bias: 'none',
    corda_config: null,
    ensure_weight_tying: false,
    eva_config: null,
    exclude_modules: config.excludeModules ?? null,
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layer_replication: null,
    layers_pattern: null,
    layers_to_transform: null,
    loftq_config: {},
    lora_alpha: config.loraAlpha,
    lora_bias: false,
    lora_dropout: config.loraDropout,
    megatron_config: null,
    megatron_core: 'megatron.core',
    modules_to_save: null,
    peft_type: 'LORA',
    qalora_group_size: 16,
    r: config.r,
    rank_pattern: config.rankPattern,
    revision: null,
    target_modules: config.targetModules,
    target_parameters: null,
    task_type: 'CAUSAL_LM',
    trainable_token_indices: null,
    use_dora: false,
    use_qalora: false,
    use_rslora: config.useRslora,
  };
}

/** Whether a module is meant: a list matches path endings, a string is a regular expression for the whole path. */
export function matches(modules: string | readonly string[], path: string): boolean {
  if (modules === 'all-linear') return true; // callers pass linear layers only, the output projection left out
  if (typeof modules === 'string') return new RegExp(`^(?:${modules})$`).test(path);
  return modules.some((ending) => path === ending || path.endsWith(`.${ending}`));
}

/** The value of the first pattern that fits the end of the path, as PEFT looks it up. */
function patternValue(patterns: Readonly<Record<string, number>>, path: string): number | undefined {
  for (const [key, value] of Object.entries(patterns)) {
    if (new RegExp(`^(?:.*\\.)?(?:${key})$`).test(path)) return value;
  }
  return undefined;
}

/** The rank of one module's pair and the factor of its product. */
export function rankAndScaling(config: LoraConfig, path: string): { r: number; scaling: number } {
  const r = patternValue(config.rankPattern, path) ?? config.r;
  const alpha = patternValue(config.alphaPattern, path) ?? config.loraAlpha;
  return { r, scaling: alpha / (config.useRslora ? Math.sqrt(r) : r) };
}
