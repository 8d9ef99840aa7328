// A conversation as a prompt: checked, planned, written by the model's chat template and encoded, in one call for every
// route that takes one.
import { ownTurn } from '../../flow/pause.js';
import type { Model } from '../../model.js';
import { refuseEncoder } from '../../models/kind.js';
import type { AnswerBeginning, AnswerPlan } from '../../text/calls/tools.js';
import type { Asker } from '../../text/chat/render-apart.js';
import { type ChatMessage, TemplateError, type TemplateOptions } from '../../text/template.js';
import { badRequest } from '../http/errors.js';
import { type AnswerFields, planAnswer } from './chat-answer.js';
import { type ChatBody, templateMessages } from './chat-request.js';
import { encoded, nonEmpty, tokenizerOf, tooLong } from './prompt.js';

// No real text has longer tokens on average: one that cannot fit isn't written by the template, let alone encoded.
const mostCharactersPerToken = 32;

/** The fields of a request that its prompt is made of. */
export type Conversation = AnswerFields & Pick<ChatBody, 'messages' | 'chat_template_kwargs'>;

export interface PromptLimits {
  /** Tokens that the prompt may have. */
  most: number;
  /** Whether the prompt ends with what begins an answer; true by default. */
  addGenerationPrompt?: boolean;
  /** Whether the prompt ends within the last message, behind its text. */
  continued?: boolean;
}

/** @throws ApiError 400 for messages, tools or a choice of them that the model cannot take. */
export async function preparePrompt(
  model: Model,
  conversation: Conversation,
  { most, addGenerationPrompt = true, continued = false }: PromptLimits,
  asker: Asker,
): Promise<{ prompt: number[]; answer: AnswerPlan; after: AnswerBeginning }> {
  refuseEncoder('chat', model.decoder.config);
  const messages = templateMessages(conversation.messages);
  checkLength(messages, most);
  const tokenizer = tokenizerOf(model);
  const answer = await planAnswer(model, conversation);
  // In a turn before the one that hands them over: both take a while where a tool's description is long.
  const written = answer.messages(continued ? withEndMark(messages) : messages);
  await ownTurn();
  const whole = await rendered(model, written, asker, {
    tools: answer.templateTools,
    addGenerationPrompt,
    variables: { ...answer.variables, ...tokenizer.literal(conversation.chat_template_kwargs ?? {}) },
  });
  const options = { addSpecialTokens: false, literals: !tokenizer.controlTokensInMessages };
  const text = continued ? upToEndMark(whole) : whole;
  const last = messages.at(-1)?.content;
  return {
    prompt: nonEmpty(await encoded(model, text, 'messages', most, options), 'messages'),
    answer,
    after: { prompt: text, ...(continued && typeof last === 'string' ? { continued: last } : {}) },
  };
}

/** @throws ApiError 400 for messages that cannot fit, before anything is made of them. */
function checkLength(messages: readonly ChatMessage[], most: number): void {
  let characters = 0;
  for (const { content, tool_calls: calls } of messages) {
    characters += typeof content === 'string' ? content.length : 0;
    for (const call of calls ?? []) characters += String(call.function.arguments).length;
  }
  if (messages.length > most) throw tooLong(most, `${messages.length} messages`, 'messages');
  if (characters > most * mostCharactersPerToken) throw tooLong(most, `${characters} characters`, 'messages');
}

async function rendered(
  model: Model,
  messages: readonly ChatMessage[],
  asker: Asker,
  options: TemplateOptions,
): Promise<string> {
  try {
    return await tokenizerOf(model).renderChat(messages, options, asker);
  } catch (error) {
    if (error instanceof TemplateError) throw badRequest(`'messages': ${error.message}.`, 'messages');
    throw error;
  }
}

/** A noncharacter of Unicode behind the last message's text: the prompt ends where the template has put it. */
const endMark = '\ufdd1';

/** @throws ApiError 400 where the last message is not the assistant's, or has no text. */
function withEndMark(messages: readonly ChatMessage[]): ChatMessage[] {
  const last = messages.at(-1);
  if (last?.role !== 'assistant' || typeof last.content !== 'string' || last.content === '') {
    throw badRequest(
      "'continue_final_message': the last message must be the assistant's, with text.",
      'continue_final_message',
    );
  }
  return [...messages.slice(0, -1), { ...last, content: last.content + endMark }];
}

/** @throws ApiError 400 where the template does not write the last message. */
function upToEndMark(text: string): string {
  const at = text.lastIndexOf(endMark);
  if (at >= 0) return text.slice(0, at);
  throw badRequest(
    "'continue_final_message': the model's chat template does not write the last message.",
    'continue_final_message',
  );
}
