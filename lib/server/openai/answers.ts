// What answers of chat and completions have in common: ids, times, fingerprints, usage.
import { createHash } from 'node:crypto';
import { cpuInfo } from '../../core/device.js';
import type { Generated } from '../../text/generate.js';
import type { Resolved } from '../served.js';

export const unixSeconds = (): number => Math.floor(Date.now() / 1000);

/** Differs where the same seed may give another text: other weights, another format, other instructions. */
export function systemFingerprint({ served }: Resolved): string {
  const { device, dtype } = served.model.decoder;
  const what = [served.id, dtype, String(device), cpuInfo().path].join('\n');
  return `fp_${createHash('sha256').update(what).digest('hex').slice(0, 10)}`;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number; audio_tokens: number };
  completion_tokens_details: {
    reasoning_tokens: number;
    audio_tokens: number;
    accepted_prediction_tokens: number;
    rejected_prediction_tokens: number;
  };
}

/** Of several choices for each of some prompts: a prompt counts once. */
export function usageOf(prompts: readonly (readonly Generated[])[], reasoningTokens = 0): Usage {
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const promptTokens = sum(prompts.map(([first]) => first?.usage.promptTokens ?? 0));
  const cachedTokens = sum(prompts.map(([first]) => first?.usage.cachedTokens ?? 0));
  const completionTokens = sum(prompts.flat().map(({ usage }) => usage.completionTokens));
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: reasoningTokens,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}

/** A call's arguments for an API that has them as an object; those that were cut off are none. */
export function argumentsObject(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
