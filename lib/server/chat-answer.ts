// How an answer to a chat request is constrained and read: the request's words for what lib/text/tools.ts plans, and its
// events as OpenAI's deltas.

import type { Model } from '../model.js';
import type { TokenMask } from '../text/mask.js';
import type { ChatMessage } from '../text/template.js';
import { type AnswerOptions, planAnswer as plan, type ToolChoice, type ToolEvent } from '../text/tools.js';
import type { ChatBody } from './chat-request.js';
import { badRequest } from './errors.js';
import { tokenizerOf } from './prompt.js';

export interface ToolCallDelta {
  index: number;
  id?: string;
  type?: 'function';
  function?: { name?: string; arguments?: string };
}

export interface Delta {
  content?: string;
  tool_calls?: ToolCallDelta[];
}

/** Turns the text of one choice into deltas as it comes. */
export interface AnswerReader {
  /** `token` is what brought the text: some control tokens begin calls and have no text. */
  push(text: string, token: number): Delta[];
  end(): Delta[];
}

export interface AnswerPlan {
  /** What the chat template is shown. */
  templateTools: readonly unknown[] | undefined;
  /** Messages as the template wants them. */
  messages(messages: readonly ChatMessage[]): readonly ChatMessage[];
  /** One for each choice. */
  mask: (() => TokenMask) | undefined;
  reader(): AnswerReader;
  /** Parts of the request that were relaxed. */
  warnings: readonly string[];
}

/** @throws ApiError 400 where tool_choice asks for what is not among the tools. */
export async function planAnswer(model: Model, body: ChatBody): Promise<AnswerPlan> {
  const tools = body.tools ?? [];
  const choice = toolChoiceOf(body.tool_choice);
  if (tools.length === 0 && choice && choice.mode !== 'none') {
    throw badRequest("'tool_choice': is only allowed when 'tools' are given.", 'tool_choice');
  }
  const options: AnswerOptions = {
    tools,
    ...(choice ? { toolChoice: choice } : {}),
    parallel: body.parallel_tool_calls ?? true,
    format: formatOf(body.response_format),
  };
  try {
    const answer = await plan(tokenizerOf(model), model.defaults.endIds, options);
    return {
      ...answer,
      reader: () => {
        const reader = answer.reader();
        return {
          push: (text, token) => reader.push(text, token).map(deltaOf),
          end: () => reader.end().map(deltaOf),
        };
      },
    };
  } catch (error) {
    if (error instanceof RangeError) throw badRequest(`'tool_choice': ${error.message}.`, 'tool_choice');
    throw error;
  }
}

function toolChoiceOf(choice: ChatBody['tool_choice']): ToolChoice | undefined {
  if (choice === null || choice === undefined) return undefined;
  if (typeof choice === 'string') return { mode: choice };
  if (choice.type === 'function') return { mode: 'required', only: [choice.function.name] };
  const { mode, tools } = choice.allowed_tools;
  return { mode, only: tools.map((tool) => tool.function.name) };
}

function formatOf(format: ChatBody['response_format']): NonNullable<AnswerOptions['format']> {
  if (format?.type === 'json_object') return { type: 'json' };
  if (format?.type !== 'json_schema') return { type: 'text' };
  const { schema } = format.json_schema;
  return schema ? { type: 'schema', schema } : { type: 'json' };
}

function deltaOf(event: ToolEvent): Delta {
  switch (event.type) {
    case 'text':
      return { content: event.text };
    case 'call': {
      const { index, id, name } = event;
      return { tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] };
    }
    case 'arguments':
      return { tool_calls: [{ index: event.index, function: { arguments: event.text } }] };
  }
}
