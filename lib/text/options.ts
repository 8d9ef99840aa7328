// The options of generation: validated at the call, completed from the model's own defaults.
import { z } from 'zod';
import { checkOptions, signalOption } from '../flow/options.js';
import { Adapter } from '../lora/adapter.js';

export interface GenerateOptions {
  /** Default 512, and never beyond the model's context. */
  maxNewTokens?: number;
  /** 0 always takes the likeliest token. Default: what generation_config.json says, else 0. */
  temperature?: number;
  /** Draws among this many likeliest tokens only; 0 is off. */
  topK?: number;
  /** Draws among the likeliest tokens that together reach this probability; 1 is off. */
  topP?: number;
  /** Drops tokens less likely than this share of the likeliest; 0 is off. */
  minP?: number;
  /** Divides the logits of tokens that were already there; 1 is off. */
  repetitionPenalty?: number;
  /** Taken off the logits of tokens that were produced already, once; 0 is off. */
  presencePenalty?: number;
  /** Taken off as often as the token was produced; 0 is off. */
  frequencyPenalty?: number;
  /** Added to the logits, by token. */
  logitBias?: ReadonlyMap<number, number>;
  /** The same seed, prompt and options give the same text. Default: a random one. */
  seed?: number;
  /** Ends the text before any of these. */
  stop?: string | readonly string[];
  /** Ends the text before any of these tokens. */
  stopTokens?: readonly number[];
  /** Keeps the stop string that ended the text in it. */
  includeStop?: boolean;
  /** Goes on after the model's end tokens. */
  ignoreEos?: boolean;
  signal?: AbortSignal;
  adapter?: Adapter;
}

const schema = z.strictObject({
  maxNewTokens: z.number().int().min(0).optional(),
  temperature: z.number().min(0).optional(),
  topK: z.number().int().min(0).optional(),
  topP: z.number().gt(0).max(1).optional(),
  minP: z.number().min(0).max(1).optional(),
  repetitionPenalty: z.number().positive().optional(),
  presencePenalty: z.number().optional(),
  frequencyPenalty: z.number().optional(),
  logitBias: z.map(z.number().int().min(0), z.number()).describe('a Map of token ids and numbers').optional(),
  seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
  stop: z
    .union([z.string().min(1), z.array(z.string().min(1))])
    .describe('a text or a list of texts, none of them empty')
    .optional(),
  stopTokens: z.array(z.number().int().min(0)).describe('a list of token ids').optional(),
  includeStop: z.boolean().optional(),
  ignoreEos: z.boolean().optional(),
  signal: signalOption.optional(),
  adapter: z.instanceof(Adapter).describe('an Adapter').optional(),
});

// What other libraries call these options.
const aliases: Readonly<Record<string, string>> = {
  npredict: 'maxNewTokens',
  maxlength: 'maxNewTokens',
  numpredict: 'maxNewTokens',
  repeatpenalty: 'repetitionPenalty',
  eostokenid: 'stop',
  dosample: 'temperature',
};

/** What generation_config.json may set. */
export interface GenerationDefaults {
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repetitionPenalty: number;
  endIds: readonly number[];
}

const number = z.number().nullish();
const generationConfig = z.looseObject({
  do_sample: z.boolean().nullish(),
  temperature: number,
  top_k: number,
  top_p: number,
  min_p: number,
  repetition_penalty: number,
  eos_token_id: z.union([z.number().int(), z.array(z.number().int())]).nullish(),
});

export const generationConfigSchema = generationConfig;

/** Sampling settings count only where the file asks to sample, as in transformers. */
export function generationDefaults(
  json: z.infer<typeof generationConfig>,
  endIds: readonly number[],
): GenerationDefaults {
  const sampled = json.do_sample === true;
  return {
    temperature: sampled ? (json.temperature ?? 1) : 0,
    topK: sampled ? (json.top_k ?? 50) : 0,
    topP: sampled ? (json.top_p ?? 1) : 1,
    minP: sampled ? (json.min_p ?? 0) : 0,
    repetitionPenalty: json.repetition_penalty ?? 1,
    endIds: [...new Set([...[json.eos_token_id ?? []].flat(), ...endIds])],
  };
}

export interface Settings extends Required<Omit<GenerateOptions, 'signal' | 'adapter' | 'stop'>> {
  stop: readonly string[];
  adapter: Adapter | undefined;
}

/** @throws TypeError or RangeError that names the option and what it must be. */
export function settingsOf(options: GenerateOptions, defaults: GenerationDefaults): Settings {
  const given = checkOptions('generate', schema, options, { aliases });
  const temperature = given.temperature ?? defaults.temperature;
  return {
    maxNewTokens: given.maxNewTokens ?? 512,
    temperature,
    topK: given.topK ?? defaults.topK,
    topP: given.topP ?? defaults.topP,
    minP: given.minP ?? defaults.minP,
    repetitionPenalty: given.repetitionPenalty ?? defaults.repetitionPenalty,
    presencePenalty: given.presencePenalty ?? 0,
    frequencyPenalty: given.frequencyPenalty ?? 0,
    logitBias: given.logitBias ?? new Map(),
    seed: given.seed ?? (temperature === 0 ? 0 : Math.floor(Math.random() * 2 ** 48)),
    stop: given.stop === undefined ? [] : [given.stop].flat(),
    stopTokens: given.stopTokens ?? [],
    includeStop: given.includeStop ?? false,
    ignoreEos: given.ignoreEos ?? false,
    adapter: options.adapter,
  };
}
