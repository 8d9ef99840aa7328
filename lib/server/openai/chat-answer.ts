// Translates a request's fields into the options of lib/text/calls/tools.ts, and its events into OpenAI's deltas.

import type { Model } from '../../model.js';
import {
  type AnswerOptions,
  type AnswerPlan,
  planAnswer as plan,
  type ToolChoice,
  type ToolEvent,
} from '../../text/calls/tools.js';
import { compileJsonSchema } from '../../text/grammar/index.js';
import { badRequest } from '../http/errors.js';
import type { ChatBody } from './chat-request.js';
import { type ConstraintBody, textFormatOf } from './constraints.js';
import { tokenizerOf } from './prompt.js';
import { type ReasoningBody, reasoningOptions } from './reasoning.js';

export interface ToolCallDelta {
  index: number;
  id?: string;
  type?: 'function';
  function?: { name?: string; arguments?: string };
}

export interface Delta {
  content?: string;
  /** The same under both names that clients read. */
  reasoning_content?: string;
  reasoning?: string;
  tool_calls?: ToolCallDelta[];
}

/** The fields of a request that say what its answer may be. */
export type AnswerFields = Pick<ChatBody, 'tools' | 'tool_choice' | 'parallel_tool_calls' | 'response_format'> &
  ConstraintBody &
  ReasoningBody;

/** @throws ApiError 400 where tool_choice names a function that is not among the tools. */
export async function planAnswer(model: Model, body: AnswerFields): Promise<AnswerPlan> {
  const tools = body.tools ?? [];
  const choice = toolChoiceOf(body.tool_choice);
  if (tools.length === 0 && choice && choice.mode !== 'none') {
    throw badRequest("'tool_choice': is only allowed when 'tools' are given.", 'tool_choice');
  }
  const given = textFormatOf(body);
  if (given && body.response_format && body.response_format.type !== 'text') {
    throw badRequest(`'${given.param}': cannot stand beside 'response_format'.`, given.param);
  }
  const options: AnswerOptions = {
    tools,
    ...(choice ? { toolChoice: choice } : {}),
    parallel: body.parallel_tool_calls ?? true,
    format: given?.format ?? formatOf(body.response_format),
    reasoning: reasoningOptions(body),
  };
  try {
    const answer = await plan(tokenizerOf(model), model.defaults.endIds, options);
    await checkEnforced(body, given?.param, answer.warnings);
    return answer;
  } catch (error) {
    if (error instanceof RangeError) throw badRequest(`'tool_choice': ${error.message}.`, 'tool_choice');
    throw error;
  }
}

/** @throws ApiError 400 where a regular expression, or a schema that is strict, is not enforced as a whole. */
async function checkEnforced(body: AnswerFields, param: string | undefined, warnings: readonly string[]) {
  const { response_format: format } = body;
  const [warning] = warnings;
  if (warning !== undefined && param?.endsWith('regex')) throw badRequest(`'${param}': ${warning}.`, param);
  if (format?.type === 'json_schema' && format.json_schema.strict && format.json_schema.schema) {
    await checkStrict(format.json_schema.schema, 'response_format.json_schema.schema');
  }
  for (const [index, { function: tool }] of (body.tools ?? []).entries()) {
    if (tool.strict && tool.parameters) await checkStrict(tool.parameters, `tools[${index}].function.parameters`);
  }
}

async function checkStrict(schema: unknown, param: string): Promise<void> {
  const [warning] = (await compileJsonSchema(schema)).warnings;
  if (warning !== undefined) throw badRequest(`'${param}': 'strict' is true, but ${warning}.`, param);
}

function toolChoiceOf(choice: ChatBody['tool_choice']): ToolChoice | undefined {
  if (choice === null || choice === undefined) return undefined;
  if (typeof choice === 'string') return { mode: choice };
  if (choice.type === 'function') return { mode: 'required', only: [choice.function.name] };
  const { mode, tools } = choice.allowed_tools;
  return { mode, only: tools.map((tool) => tool.function.name) };
}

function formatOf(format: ChatBody['response_format']): NonNullable<AnswerOptions['format']> {
  if (format?.type === 'json_object')
    return format.schema ? { type: 'schema', schema: format.schema } : { type: 'json' };
  if (format?.type !== 'json_schema') return { type: 'text' };
  const { schema } = format.json_schema;
  return schema ? { type: 'schema', schema } : { type: 'json' };
}

export function deltaOf(event: ToolEvent): Delta {
  switch (event.type) {
    case 'text':
      return { content: event.text };
    case 'reasoning':
      return { reasoning_content: event.text, reasoning: event.text };
    case 'call': {
      const { index, id, name } = event;
      return { tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] };
    }
    case 'arguments':
      return { tool_calls: [{ index: event.index, function: { arguments: event.text } }] };
  }
}
