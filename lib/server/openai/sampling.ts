// The sampling parameters that chat and completions share: OpenAI's, and the usual extensions of open-weight servers.
import { z } from 'zod';
import type { Model } from '../../model.js';
import { leastTokens } from '../../text/least-tokens.js';
import type { TokenMask } from '../../text/mask.js';
import type { GenerateOptions } from '../../text/options.js';
import { badRequest } from '../http/errors.js';
import { record } from '../http/sized.js';
import { constraintFields } from './constraints.js';
import type { Sequence } from './generation.js';

const maxSequences = 128;

// More than OpenAI's four, as vLLM and llama.cpp take them.
const mostStops = 64;
const isStop = (value: unknown): value is string => typeof value === 'string' && value !== '';

const stopStrings = z.custom<string | string[]>(
  (value) => isStop(value) || (Array.isArray(value) && value.length <= mostStops && value.every(isStop)),
  {
    error: ({ input }) =>
      Array.isArray(input) && input.length > mostStops
        ? `has ${input.length} entries, expected at most ${mostStops} stop strings`
        : 'expected a stop string or an array of them, none of them empty',
  },
);

export const samplingFields = {
  /** The only model that is served needs no name. */
  model: z.string().min(1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  logit_bias: record(z.number().min(-100).max(100), 1024).nullish(),
  /** Of 64 bits, of which JSON keeps the upper 53. */
  seed: z
    .number()
    .min(-(2 ** 63))
    .max(2 ** 64)
    .refine(Number.isInteger, 'expected a whole number')
    .nullish(),
  stop: stopStrings.nullish(),
  n: z.number().int().min(1).max(maxSequences).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  top_k: z.number().int().min(-1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().positive().max(10).nullish(),
  ignore_eos: z.boolean().nullish(),
  ...constraintFields,
};

type SamplingBody = z.infer<z.ZodObject<typeof samplingFields>>;

/** @throws ApiError 400 for a biased token that is not in the vocabulary. */
export function samplingOptions(body: SamplingBody, { decoder, defaults }: Model): GenerateOptions {
  const { temperature, top_p, top_k, min_p, repetition_penalty, seed, stop, ignore_eos } = body;
  const logitBias = biasOf(body.logit_bias ?? {}, decoder.config.vocabSize);
  return {
    // OpenAI's default is 1; a model that says how it wants to be sampled is sampled so.
    temperature: temperature ?? (defaults.temperature || 1),
    // 0 is allowed on the wire, and takes the likeliest token alone.
    ...(typeof top_p === 'number' ? { topP: Math.max(top_p, 1e-6) } : {}),
    ...(typeof top_k === 'number' ? { topK: Math.max(top_k, 0) } : {}),
    ...(typeof min_p === 'number' ? { minP: min_p } : {}),
    ...(typeof repetition_penalty === 'number' ? { repetitionPenalty: repetition_penalty } : {}),
    ...(body.presence_penalty ? { presencePenalty: body.presence_penalty } : {}),
    ...(body.frequency_penalty ? { frequencyPenalty: body.frequency_penalty } : {}),
    ...(logitBias.size > 0 ? { logitBias } : {}),
    ...(typeof seed === 'number' ? { seed: wholeSeed(seed) } : {}),
    ...(stop && stop.length > 0 ? { stop } : {}),
    ...(body.stop_token_ids?.length ? { stopTokens: body.stop_token_ids } : {}),
    ...(body.include_stop_str_in_output ? { includeStop: true } : {}),
    ...(ignore_eos ? { ignoreEos: true } : {}),
  };
}

/** The mask of one text, which ends after `min_tokens` at the earliest. */
export function maskOf(body: SamplingBody, { decoder, defaults }: Model, mask: TokenMask | undefined) {
  if (!body.min_tokens) return mask;
  const ends = [...(body.ignore_eos ? [] : defaults.endIds), ...(body.stop_token_ids ?? [])];
  return leastTokens(body.min_tokens, ends, decoder.config.vocabSize, mask);
}

/** The seed of choice `index`: each choice of a request draws on its own. */
export const seedOf = (seed: number | undefined, index: number): { seed?: number } =>
  seed === undefined ? {} : { seed: (seed + index) % Number.MAX_SAFE_INTEGER };

/** Folded into what a double holds exactly. */
function wholeSeed(seed: number): number {
  const folded = seed % Number.MAX_SAFE_INTEGER;
  return folded < 0 ? folded + Number.MAX_SAFE_INTEGER : folded;
}

/** @throws ApiError 400 for more sequences at once than the engine could ever hold. */
export function checkSequences(count: number, { engine }: Model, param: string): void {
  const { maxBatch, maxQueued } = engine.settings;
  const most = Math.min(maxSequences, maxBatch + maxQueued);
  if (count > most) throw badRequest(`'${param}': asks for ${count} texts at once, at most ${most} go.`, param);
}

/** @throws ApiError 400 for prompts that have more tokens together than the engine could ever hold. One alone goes. */
export function checkTokensTogether(sequences: readonly Sequence[], { engine }: Model, param: string): void {
  const tokens = sequences.reduce((sum, { prompt }) => sum + prompt.length, 0);
  const { maxQueuedTokens: most } = engine.settings;
  if (sequences.length < 2 || tokens <= most) return;
  const asked = `asks for ${sequences.length} texts at once, whose prompts have ${tokens} tokens together`;
  throw badRequest(`'${param}': ${asked}, at most ${most} go.`, param);
}

function biasOf(bias: Readonly<Record<string, number>>, vocabSize: number): Map<number, number> {
  const entries = Object.entries(bias).map(([key, value]): [number, number] => {
    const token = Number(key);
    if (!/^\d+$/.test(key) || token >= vocabSize) {
      throw badRequest(
        `'logit_bias': ${JSON.stringify(key.slice(0, 32))} is no token of this model, whose tokens are 0 to ${vocabSize - 1}.`,
        'logit_bias',
      );
    }
    return [token, value];
  });
  return new Map(entries);
}
