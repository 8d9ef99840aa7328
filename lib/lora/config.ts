// LoRA settings: PEFT's adapter_config.json, read and written with every classic key.
import { z } from 'zod';
import { check } from '../files/json.js';
import { shown } from '../flow/fault.js';
import { checkOptions } from '../flow/options.js';
import { type FieldFault, type LoraConfig, LoraModules } from './modules.js';

export type { LoraConfig } from './modules.js';

/** What a caller may choose for a new adapter. The names are PEFT's. */
export interface LoraOptions {
  /** Rank of the pair. Default 16. */
  r?: number | undefined;
  /** The product is scaled by alpha / r, or alpha / √r with `rslora`. Default 32, or 8 with `rslora`, which at rank 16 is the same. */
  alpha?: number | undefined;
  /** The probability that an input element of the pair is left out in training. Default 0. */
  dropout?: number | undefined;
  /** `'all-linear'` (default: every linear layer but the output), a regular expression for whole paths, or path endings. */
  targetModules?: string | readonly string[] | undefined;
  /**
   * Endings of the paths of parameters that are no linear layer's weight, such as `mlp.experts.gate_up_proj` of a mixture of
   * experts. Default none.
   */
  targetParameters?: readonly string[] | undefined;
  rslora?: boolean | undefined;
  /** Ranks of chosen modules: a regular expression for the end of a path, and its rank. */
  rankPattern?: Record<string, number> | undefined;
  alphaPattern?: Record<string, number> | undefined;
}

/**
 * A fresh adapter's rank and alpha. With a fixed alpha the best learning rate hardly depends on the rank ("LoRA Without
 * Regret", Thinking Machines 2025, which takes 32); rank 16 has room for the few megabits that some thousand rows say.
 */
export const defaultLora = { r: 16, alpha: 32 } as const;

/** The same scale at the default rank, as rsLoRA divides by √r instead of r. */
const rsloraAlpha = defaultLora.alpha / Math.sqrt(defaultLora.r);

const positive = z.number().int().positive();
const pattern = z.record(z.string(), positive);
const numbers = z.record(z.string(), z.number().positive());
const modules = z.union([z.string(), z.array(z.string())]).describe('a string or a list of strings');

const lora = z.strictObject({
  r: positive.optional(),
  alpha: z.number().positive().optional(),
  dropout: z.number().min(0).lt(1).optional(),
  targetModules: modules.optional(),
  targetParameters: z.array(z.string()).optional(),
  rslora: z.boolean().optional(),
  rankPattern: pattern.optional(),
  alphaPattern: numbers.optional(),
});

// What PEFT and others call these options.
const aliases: Readonly<Record<string, string>> = { rank: 'r', scale: 'alpha' };

/** @throws TypeError or RangeError that names the option, also where its regular expression is none. */
export function loraConfig(options: LoraOptions, baseModel?: string): LoraConfig {
  const given = checkOptions('lora', lora, options, { aliases });
  const { r = defaultLora.r, rslora = false } = given;
  const config: LoraConfig = {
    r,
    loraAlpha: given.alpha ?? (rslora ? rsloraAlpha : defaultLora.alpha),
    loraDropout: given.dropout ?? 0,
    targetModules: given.targetModules ?? 'all-linear',
    ...(given.targetParameters?.length ? { targetParameters: given.targetParameters } : {}),
    excludeModules: undefined,
    layersToTransform: undefined,
    layersPattern: undefined,
    useRslora: rslora,
    rankPattern: given.rankPattern ?? {},
    alphaPattern: given.alphaPattern ?? {},
    baseModel,
  };
  new LoraModules(config); // its expressions are checked
  return config;
}

// Settings that change what an adapter computes, and that this library does not compute. A value not listed is refused.
const neutral: Record<string, readonly unknown[]> = {
  lora_bias: [false],
  bias: ['none'],
  modules_to_save: [null],
  layer_replication: [null],
  trainable_token_indices: [null],
  alora_invocation_tokens: [null],
  arrow_config: [null],
  kasa_config: [null],
  velora_config: [null],
  monteclora_config: [null],
};
// Ways to begin that leave the base's weights as they are; others, such as PiSSA, train over a changed base.
const beginnings: readonly unknown[] = [undefined, null, true, false, 'gaussian', 'eva', 'orthogonal'];

const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0;

const index = z.number().int().min(0);

const stored = z.looseObject({
  peft_type: z.string(),
  r: positive.nullish(),
  lora_alpha: z.number().nullish(),
  lora_dropout: z.number().nullish(),
  target_modules: modules.nullish(),
  target_parameters: z.array(z.string()).nullish(),
  exclude_modules: modules.nullish(),
  layers_to_transform: z
    .union([index, z.array(index)])
    .describe('a layer number or a list of them')
    .nullish(),
  layers_pattern: modules.nullish(),
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
  for (const [field, value] of Object.entries(json)) {
    const isSwitch = field.startsWith('use_') && field !== 'use_rslora';
    const allowed = neutral[field] ?? (isSwitch ? [false, null] : undefined);
    if (allowed && !allowed.includes(value) && !isEmpty(value)) throw unsupported(file, field, value);
  }
  if (!beginnings.includes(json.init_lora_weights)) {
    throw new Error(
      `${file}: field 'init_lora_weights' is ${shown(json.init_lora_weights)}, which changes the base model's weights: save the adapter with PEFT's path_initial_model_for_weight_conversion`,
    );
  }
  const layers = given.layers_to_transform ?? [];
  const holders = given.layers_pattern ?? [];
  const config: LoraConfig = {
    r: given.r ?? 8,
    loraAlpha: given.lora_alpha ?? 8,
    loraDropout: given.lora_dropout ?? 0,
    targetModules: given.target_modules ?? [],
    ...(given.target_parameters?.length ? { targetParameters: given.target_parameters } : {}),
    excludeModules: given.exclude_modules ?? undefined,
    layersToTransform: typeof layers === 'number' ? [layers] : layers.length > 0 ? layers : undefined,
    layersPattern: typeof holders === 'string' ? [holders] : holders.length > 0 ? holders : undefined,
    useRslora: given.use_rslora ?? false,
    rankPattern: given.rank_pattern ?? {},
    alphaPattern: given.alpha_pattern ?? {},
    baseModel: given.base_model_name_or_path ?? undefined,
  };
  const { targetModules, layersToTransform, layersPattern } = config;
  if (layersToTransform && typeof targetModules === 'string')
    throw new Error(`${file}: field 'layers_to_transform' needs a list of names in 'target_modules'`);
  if (layersPattern && !layersToTransform)
    throw new Error(`${file}: field 'layers_pattern' needs 'layers_to_transform'`);
  new LoraModules(config, peftFault(file)); // its expressions are checked
  return config;
}

const unsupported = (file: string, field: string, value: unknown): Error =>
  new Error(`${file}: field '${field}' is ${shown(value)}, which is not supported`);

/** Names fields as the file does: `target_modules`. */
export const peftFault =
  (file: string): FieldFault =>
  (field, words) =>
    new Error(`${file}: field '${field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}' ${words}`);

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
    fan_in_fan_out: config.fanInFanOut ?? false,
    inference_mode: true,
    init_lora_weights: true,
    layer_replication: null,
    layers_pattern: config.layersPattern ?? null,
    layers_to_transform: config.layersToTransform ?? null,
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
    target_parameters: config.targetParameters ?? null,
    task_type: 'CAUSAL_LM',
    trainable_token_indices: null,
    use_dora: false,
    use_qalora: false,
    use_rslora: config.useRslora,
  };
}
