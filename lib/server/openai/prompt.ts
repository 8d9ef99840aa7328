// Texts and token ids as prompts, within the model's context and the server's limit.
//
// Encoding holds the event loop for a microsecond or two a character, so it is done in slices, each in a turn of its own,
// and ends where there are more tokens than may be.
import { z } from 'zod';
import type { Model } from '../../model.js';
import { encodeInTurns } from '../../text/tokenizer/encode-slices.js';
import type { EncodeOptions, Tokenizer } from '../../text/tokenizer/tokenizer.js';
import type { ServerContext } from '../context.js';
import { ApiError, badRequest } from '../http/errors.js';

export type PromptInput = string | string[] | number[] | number[][];

const isToken = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** The four forms of a prompt, at most `most` of them. Made by hand: a union would look at a long array once a form. */
export const promptInput = (most: number) =>
  z.custom<PromptInput>(
    (value) => {
      if (typeof value === 'string') return true;
      if (!Array.isArray(value) || value.length === 0) return false;
      if (value.every(isToken)) return true;
      if (value.length > most) return false;
      return (
        value.every((entry) => typeof entry === 'string') ||
        value.every((entry) => Array.isArray(entry) && entry.every(isToken))
      );
    },
    {
      error: ({ input }) =>
        Array.isArray(input) && input.length > most
          ? `has ${input.length} entries, expected at most ${most} texts, or one array of tokens`
          : 'expected a string, an array of strings, an array of tokens, or an array of arrays of tokens',
    },
  );

/** One prompt or several. */
export function inputsOf(input: PromptInput): (string | number[])[] {
  if (typeof input === 'string') return [input];
  return typeof input[0] === 'number' ? [input as number[]] : (input as string[] | number[][]);
}

/** One less than the context or the whole cache, so that there is room for an answer. */
export function mostTokens({ settings }: ServerContext, { engine }: Model): number {
  return Math.min(settings.limits.promptTokens, engine.capacity - 1);
}

/** A text or token ids, as they are. */
export async function plainPrompt(
  model: Model,
  prompt: string | readonly number[],
  param: string,
  most: number,
): Promise<readonly number[]> {
  if (typeof prompt === 'string') return nonEmpty(await encoded(model, prompt, param, most), param);
  if (prompt.length > most) throw tooLong(most, `${prompt.length} tokens`, param);
  checkTokens(model, prompt, param);
  return nonEmpty(prompt, param);
}

/** @throws ApiError 400 for a token that the model does not have. */
export function checkTokens({ decoder }: Model, tokens: readonly number[], param: string): void {
  const { vocabSize } = decoder.config;
  const wrong = tokens.find((id) => id >= vocabSize);
  if (wrong === undefined) return;
  throw badRequest(`'${param}': token ${wrong} is outside the model's vocabulary of ${vocabSize}.`, param);
}

/** @throws ApiError 400 for a model that takes token ids only. */
export function tokenizerOf(model: Model): Tokenizer {
  if (!model.hasTokenizer) throw badRequest('This model has no tokenizer: send token ids to /v1/completions.', 'model');
  return model.tokenizer;
}

/** @throws ApiError 400 as soon as there are more than `most`. */
export async function encoded(
  model: Model,
  text: string,
  param: string,
  most: number,
  options: EncodeOptions = {},
): Promise<number[]> {
  const ids = await encodeInTurns(tokenizerOf(model), text, options, most);
  if (ids.length > most) throw tooLong(most, `${ids.length} tokens or more`, param);
  return ids;
}

/** @throws ApiError 400 for a prompt without a token. */
export function nonEmpty<T extends readonly number[]>(ids: T, param: string): T {
  if (ids.length === 0) throw badRequest(`'${param}': is empty, expected one token at least.`, param);
  return ids;
}

/** The refusal of a prompt that is longer than `most` tokens. `given` begins with the number that it has. */
export function tooLong(most: number, given: string, param: string): ApiError {
  return new ApiError(
    400,
    `'${param}': has ${given}, more than the ${most} tokens that a prompt may have here. Please shorten it.`,
    { param, code: 'context_length_exceeded', tokens: { given: Number.parseInt(given, 10), most } },
  );
}
