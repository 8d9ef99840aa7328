// The AI SDK's prompt, tools and tool choice as chat messages and answer options.

import { z } from 'zod';
import { checkOptions } from '../flow/options.js';
import type { AnswerOptions, ToolChoice, ToolDefinition } from '../text/calls/tools.js';
import { efforts, type ReasoningOptions } from '../text/reasoning/switches.js';
import type { ChatMessage, ToolCall } from '../text/template.js';
import type { CallOptions, PromptPart, Warning } from './specification.js';

/** @throws Error for a part that no text model takes, such as an image. */
export function chatMessages(prompt: CallOptions['prompt']): ChatMessage[] {
  return prompt.flatMap(({ role, content }): ChatMessage[] => {
    if (typeof content === 'string') return [{ role, content }];
    if (role === 'tool') return content.flatMap(toolResult);
    const calls = content.filter(({ type }) => type === 'tool-call').map(toolCall);
    const reasoning = content.flatMap(({ type, text = '' }) => (type === 'reasoning' ? [text] : [])).join('\n');
    return [
      {
        role,
        content: textOf(content),
        ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
        ...(calls.length > 0 ? { tool_calls: calls } : {}),
      },
    ];
  });
}

function toolCall({ toolCallId = '', toolName = '', input }: PromptPart): ToolCall {
  return { id: toolCallId, type: 'function', function: { name: toolName, arguments: JSON.stringify(input ?? {}) } };
}

/** Text parts are lines, as the server joins them. */
function textOf(parts: readonly PromptPart[]): string {
  const file = parts.find(({ type }) => type === 'file');
  if (file) throw new Error(`the prompt has a file of type ${file.mediaType}: the model takes text only`);
  const texts = parts.filter(({ type }) => type === 'text');
  return texts.map(({ text = '' }) => text).join('\n');
}

function toolResult({ toolCallId = '', toolName = '', output }: PromptPart): ChatMessage[] {
  if (!output) return [];
  const { type, value, reason } = output;
  let content: string;
  if (type === 'execution-denied') content = reason ?? 'The call was denied.';
  else if (type === 'content') content = textOf(value as readonly PromptPart[]);
  else content = typeof value === 'string' ? value : JSON.stringify(value);
  return [{ role: 'tool', tool_call_id: toolCallId, name: toolName, content }];
}

/** What the answer may be, and what of the call's options has no effect here. */
export function answerOptions(options: CallOptions): {
  answer: AnswerOptions;
  warnings: Warning[];
} {
  const { tools = [], toolChoice, responseFormat, reasoning, providerOptions } = options;
  const warnings: Warning[] = [];
  const definitions: ToolDefinition[] = [];
  for (const tool of tools) {
    if (tool.type === 'function') {
      const { name, description, inputSchema: parameters } = tool;
      definitions.push({ type: 'function', function: { name, description, parameters } });
    } else {
      warnings.push({ type: 'unsupported', feature: `tool ${tool.name}`, details: 'only functions can be called' });
    }
  }
  const effort = efforts.find((one) => one === reasoning);
  if (reasoning !== undefined && reasoning !== 'provider-default' && effort === undefined) {
    warnings.push({ type: 'unsupported', feature: `reasoning ${JSON.stringify(reasoning)}` });
  }
  const choice = choiceOf(toolChoice);
  return {
    answer: {
      tools: definitions,
      ...(choice ? { toolChoice: choice } : {}),
      format: formatOf(responseFormat),
      reasoning: { ...(effort ? { effort } : {}), ...ownReasoning(providerOptions?.helvetia?.reasoning) },
    },
    warnings,
  };
}

const ownOptions = z.strictObject({
  enabled: z.boolean().optional(),
  effort: z.enum(efforts).optional(),
  budget: z.number().int().min(0).optional(),
});

/** @throws TypeError or RangeError that names the option and what it must be. */
function ownReasoning(given: unknown): ReasoningOptions {
  if (given === undefined) return {};
  const known = checkOptions('providerOptions.helvetia.reasoning', ownOptions, given);
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}

function choiceOf(choice: CallOptions['toolChoice']): ToolChoice | undefined {
  if (!choice) return undefined;
  return choice.type === 'tool' ? { mode: 'required', only: [choice.toolName ?? ''] } : { mode: choice.type };
}

function formatOf(format: CallOptions['responseFormat']): NonNullable<AnswerOptions['format']> {
  if (format?.type !== 'json') return { type: 'text' };
  return format.schema ? { type: 'schema', schema: format.schema } : { type: 'json' };
}
