// Fields that say how a model reasons, as OpenAI, OpenRouter, vLLM, llama.cpp, Qwen and DeepSeek have them.
import { z } from 'zod';
import { type Effort, efforts, type ReasoningOptions } from '../../text/reasoning/switches.js';
import { badRequest } from '../http/errors.js';

const tokens = z.number().int().min(0);
// Clients send levels that newer models have.
const effort = z.string().max(32);

export const reasoningFields = {
  reasoning_effort: effort.nullish(),
  reasoning: z
    .looseObject({
      effort: effort.nullish(),
      max_tokens: tokens.nullish(),
      enabled: z.boolean().nullish(),
      exclude: z.boolean().nullish(),
    })
    .nullish(),
  thinking: z
    .looseObject({
      type: z.enum(['enabled', 'adaptive', 'auto', 'disabled']).nullish(),
      budget_tokens: tokens.nullish(),
    })
    .nullish(),
  enable_thinking: z.boolean().nullish(),
  thinking_token_budget: tokens.nullish(),
  thinking_budget_tokens: z.number().int().min(-1).nullish(),
  thinking_budget: z.number().int().min(-1).nullish(),
  include_reasoning: z.boolean().nullish(),
};

export type ReasoningBody = z.infer<z.ZodObject<typeof reasoningFields>>;

const higher: Readonly<Record<string, Effort>> = { off: 'none', auto: 'medium', ultra: 'max', maximum: 'max' };

/** @throws ApiError 400 for a level that is none. */
export function effortOf(given: string | null | undefined, param: string): Effort | undefined {
  if (given === null || given === undefined || given === '') return undefined;
  const level = efforts.find((one) => one === given) ?? (Object.hasOwn(higher, given) ? higher[given] : undefined);
  if (level !== undefined) return level;
  throw badRequest(`'${param}': expected one of ${efforts.map((one) => `'${one}'`).join(', ')}.`, param);
}

/** @throws ApiError 400 for a level of effort that is none. */
export function reasoningOptions(body: ReasoningBody): ReasoningOptions {
  const { reasoning, thinking } = body;
  const effort = effortOf(body.reasoning_effort, 'reasoning_effort') ?? effortOf(reasoning?.effort, 'reasoning.effort');
  const type = thinking?.type;
  const switched = type === 'enabled' ? true : type === 'disabled' ? false : undefined;
  const enabled = body.enable_thinking ?? reasoning?.enabled ?? switched;
  const budget =
    body.thinking_token_budget ??
    unlimited(body.thinking_budget_tokens) ??
    unlimited(body.thinking_budget) ??
    reasoning?.max_tokens ??
    thinking?.budget_tokens;
  return {
    ...(typeof enabled === 'boolean' ? { enabled } : {}),
    ...(effort === undefined ? {} : { effort }),
    ...(typeof budget === 'number' ? { budget } : {}),
  };
}

/** -1 sets no limit. */
const unlimited = (budget: number | null | undefined): number | undefined =>
  typeof budget === 'number' && budget >= 0 ? budget : undefined;

/** Whether the answer shows its reasoning. */
export const showsReasoning = ({ include_reasoning: included, reasoning }: ReasoningBody): boolean =>
  included !== false && reasoning?.exclude !== true;
