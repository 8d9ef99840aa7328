// Prompts as token ids, within the model's context and the server's limit.
import type { Model } from '../model.js';
import { type ChatMessage, TemplateError, type TemplateOptions } from '../text/template.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { ServerContext } from './context.js';
import { type ApiError, badRequest } from './errors.js';

// Encoding holds the event loop, so a text that cannot fit isn't encoded: no real text has longer tokens on average.
const mostCharactersPerToken = 64;

/** A conversation through the model's chat template. */
export function chatPrompt(
  context: ServerContext,
  model: Model,
  messages: readonly ChatMessage[],
  options: TemplateOptions,
): number[] {
  let text: string;
  try {
    text = tokenizerOf(model).applyChatTemplate(messages, options);
  } catch (error) {
    if (error instanceof TemplateError) throw badRequest(`'messages': ${error.message}.`, 'messages');
    throw error;
  }
  return encoded(context, model, text, 'messages', false);
}

/** A text or token ids, as they are. */
export function plainPrompt(
  context: ServerContext,
  model: Model,
  prompt: string | number[],
  param: string,
  addSpecialTokens = true,
): number[] {
  if (typeof prompt === 'string') return encoded(context, model, prompt, param, addSpecialTokens);
  const { vocabSize } = model.decoder.config;
  const wrong = prompt.find((id) => id >= vocabSize);
  if (wrong !== undefined) {
    throw badRequest(`'${param}': token ${wrong} is outside the model's vocabulary of ${vocabSize}.`, param);
  }
  return checked(context, model, prompt, param);
}

/** @throws ApiError 400 for a model that takes token ids only. */
export function tokenizerOf(model: Model): Tokenizer {
  if (!model.hasTokenizer) throw badRequest('This model has no tokenizer: send token ids to /v1/completions.', 'model');
  return model.tokenizer;
}

function encoded(
  context: ServerContext,
  model: Model,
  text: string,
  param: string,
  addSpecialTokens: boolean,
): number[] {
  const most = mostTokens(context, model);
  if (text.length > most * mostCharactersPerToken) throw tooLong(most, `${text.length} characters`, param);
  return checked(context, model, tokenizerOf(model).encode(text, { addSpecialTokens }), param);
}

function checked(context: ServerContext, model: Model, ids: number[], param: string): number[] {
  if (ids.length === 0) throw badRequest(`'${param}': is empty, expected one token at least.`, param);
  const most = mostTokens(context, model);
  if (ids.length > most) throw tooLong(most, `${ids.length} tokens`, param);
  return ids;
}

/** One less than the context or the whole cache, so that there is room for an answer. */
function mostTokens(context: ServerContext, model: Model): number {
  return Math.min(context.settings.limits.promptTokens, model.engine.capacity - 1);
}

function tooLong(most: number, given: string, param: string): ApiError {
  return badRequest(
    `'${param}': has ${given}, more than the ${most} tokens that a prompt may have here. Please shorten it.`,
    param,
    'context_length_exceeded',
  );
}
