// Prompts as token ids, within the model's context and the server's limit.
//
// Encoding holds the event loop for a microsecond or two a character, so it is done in slices, each in a turn of its own,
// and ends where there are more tokens than may be.
import { z } from 'zod';
import { ownTurn } from '../../flow/pause.js';
import type { Model } from '../../model.js';
import type { Asker } from '../../text/chat/render-apart.js';
import { type ChatMessage, TemplateError, type TemplateOptions } from '../../text/chat/template.js';
import { encodeSlices } from '../../text/tokenizer/encode-slices.js';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js';
import type { ServerContext } from '../context.js';
import { type ApiError, badRequest } from '../http/errors.js';

// No real text has longer tokens on average: one that cannot fit isn't written by the template, let alone encoded.
const mostCharactersPerToken = 32;

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

/** @throws ApiError 400 for messages that cannot fit, before anything is made of them. */
export function checkLength(messages: readonly ChatMessage[], most: number): void {
  let characters = 0;
  for (const { content, tool_calls: calls } of messages) {
    characters += typeof content === 'string' ? content.length : 0;
    for (const call of calls ?? []) characters += String(call.function.arguments).length;
  }
  if (messages.length > most) throw tooLong(most, `${messages.length} messages`, 'messages');
  if (characters > most * mostCharactersPerToken) throw tooLong(most, `${characters} characters`, 'messages');
}

/** A conversation through the model's chat template. */
export async function chatPrompt(
  model: Model,
  messages: readonly ChatMessage[],
  options: TemplateOptions,
  most: number,
  asker: Asker,
): Promise<number[]> {
  await ownTurn();
  let text: string;
  try {
    text = await tokenizerOf(model).renderChat(messages, options, asker);
  } catch (error) {
    if (error instanceof TemplateError) throw badRequest(`'messages': ${error.message}.`, 'messages');
    throw error;
  }
  return nonEmpty(await encoded(model, text, 'messages', most, false), 'messages');
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
  addSpecialTokens = true,
): Promise<number[]> {
  const ids: number[] = [];
  const slices = encodeSlices(tokenizerOf(model), text, { addSpecialTokens });
  for (;;) {
    await ownTurn();
    const { done, value } = slices.next();
    if (done) return ids;
    for (const id of value) ids.push(id);
    if (ids.length > most) throw tooLong(most, `${ids.length} tokens or more`, param);
  }
}

function nonEmpty<T extends readonly number[]>(ids: T, param: string): T {
  if (ids.length === 0) throw badRequest(`'${param}': is empty, expected one token at least.`, param);
  return ids;
}

function tooLong(most: number, given: string, param: string): ApiError {
  return badRequest(
    `'${param}': has ${given}, more than the ${most} tokens that a prompt may have here. Please shorten it.`,
    param,
    'context_length_exceeded',
  );
}
