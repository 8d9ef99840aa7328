// How a model writes calls of functions: Hermes and Qwen in <tool_call> tags, Mistral as a list behind [TOOL_CALLS],
// Llama 3 as a bare object. Which one a model knows is seen from what its chat template makes of a call.
//
// A template that knows no calls, or writes them in another form, gets Hermes's as plain text.

import { choice, type Expression, repeat, sequence, text } from './grammar/expression.js';
import { type ChatMessage, TemplateError, type TemplateOptions, type ToolCall } from './template.js';
import type { Tokenizer } from './tokenizer.js';

export interface ToolForm {
  kind: 'hermes' | 'mistral' | 'llama';
  /** Text that begins a call. A bare object begins one only as the answer's first character. */
  opening: readonly string[];
  /** The control token that begins a call, where the vocabulary has one. */
  openingToken: number | undefined;
  /** Tools and calls go through the template, which knows them; else they are written into the messages. */
  native: boolean;
  /** The template takes a system message. */
  system: boolean;
}

const known = new WeakMap<Tokenizer, ToolForm>();

/** The form for a tokenizer's chat template. */
export function toolFormOf(tokenizer: Tokenizer): ToolForm {
  const form = known.get(tokenizer) ?? detected(tokenizer);
  known.set(tokenizer, form);
  return form;
}

const probe = {
  type: 'function',
  function: {
    name: 'probe_function',
    description: 'Probes.',
    parameters: { type: 'object', properties: { probe_argument: { type: 'string' } }, required: ['probe_argument'] },
  },
};
const probeCall: ToolCall = {
  id: 'abcdefghi',
  type: 'function',
  function: { name: 'probe_function', arguments: { probe_argument: 'x' } },
};
const question: ChatMessage = { role: 'user', content: 'q' };

function detected(tokenizer: Tokenizer): ToolForm {
  const write = (messages: readonly ChatMessage[], options: TemplateOptions = {}): string => {
    try {
      return tokenizer.applyChatTemplate(messages, options);
    } catch (error) {
      if (error instanceof TemplateError) return '';
      throw error;
    }
  };
  const system = write([{ role: 'system', content: 'probe_system' }, question]).includes('probe_system');
  const shown = write([question], { tools: [probe], addGenerationPrompt: true }).includes('probe_function');
  const called = write([question, { role: 'assistant', content: '', tool_calls: [probeCall] }], { tools: [probe] });
  const special = (token: string): number | undefined => {
    const id = tokenizer.tokenToId(token);
    return id !== undefined && tokenizer.specialIds.has(id) ? id : undefined;
  };
  const mistral: ToolForm = {
    kind: 'mistral',
    opening: ['[TOOL_CALLS]'],
    openingToken: special('[TOOL_CALLS]'),
    native: true,
    system,
  };
  const llama: ToolForm = {
    kind: 'llama',
    opening: ['<|python_tag|>'],
    openingToken: special('<|python_tag|>'),
    native: true,
    system,
  };
  const hermes: ToolForm = {
    kind: 'hermes',
    opening: ['<tool_call>'],
    openingToken: special('<tool_call>'),
    native: true,
    system,
  };
  if (shown && /<tool_call>\s*\{\s*"name": ?"probe_function"/.test(called)) return hermes;
  if (shown && /\[TOOL_CALLS\] ?\[\{[^[]*"probe_function"/.test(called)) return mistral;
  if (shown && /"name": ?"probe_function", ?"parameters": ?\{/.test(called)) return llama;
  return { ...hermes, native: false };
}

export interface ToolChoices {
  name: string;
  arguments: Expression;
}

const mostCalls = 16;

/** Texts that are one call of the tools, or up to sixteen; the control token that opens them is not among them. */
export function callsExpression(form: ToolForm, tools: readonly ToolChoices[], parallel: boolean): Expression {
  const key = form.kind === 'llama' ? 'parameters' : 'arguments';
  const call = choice(
    ...tools.map((tool) =>
      sequence(text(`{"name": ${JSON.stringify(tool.name)}, "${key}": `), tool.arguments, text('}')),
    ),
  );
  const several = (between: string, one: Expression): Expression =>
    parallel ? sequence(one, repeat(sequence(text(between), one), 0, mostCalls - 1)) : one;
  if (form.kind === 'llama') return call;
  const opening = form.openingToken === undefined ? form.opening[0]! : '';
  if (form.kind === 'mistral') return sequence(text(`${opening}[`), several(', ', call), text(']'));
  // A control token opens one call only; it has no text to open another with.
  if (opening === '') return sequence(text('\n'), call, text('\n</tool_call>'));
  return several('\n', sequence(text(`${opening}\n`), call, text('\n</tool_call>')));
}

/** Messages as the form's template wants them. */
export function toolMessages(
  form: ToolForm,
  messages: readonly ChatMessage[],
  tools: readonly unknown[],
): readonly ChatMessage[] {
  if (form.native) return form.kind === 'hermes' ? messages : messages.flatMap((_, at) => fitted(form, messages, at));
  return withInstructions(form, messages.map(spelled), tools);
}

/** Mistral's ids have nine letters or digits; Llama's turns hold one call each, followed by its result. */
function fitted(form: ToolForm, messages: readonly ChatMessage[], at: number): ChatMessage[] {
  const message = messages[at]!;
  const { tool_calls: calls, tool_call_id: id } = message;
  if (form.kind === 'mistral') {
    return [
      {
        ...message,
        ...(calls ? { tool_calls: calls.map((call) => ({ ...call, id: shortId(call.id ?? '') })) } : {}),
        ...(id === undefined ? {} : { tool_call_id: shortId(id) }),
      },
    ];
  }
  const before = messages.slice(0, at).findLast(({ role }) => role !== 'tool');
  const split = (turn: ChatMessage | undefined): boolean => (turn?.tool_calls?.length ?? 0) > 1;
  if (message.role === 'tool' && split(before) && before!.tool_calls!.some((call) => call.id === id)) return [];
  if (!split(message)) return [message];
  const results = messages.slice(at + 1, nextTurn(messages, at));
  return calls!.flatMap((call) => [
    { ...message, tool_calls: [call] },
    ...results.filter((result) => result.tool_call_id === call.id),
  ]);
}

function nextTurn(messages: readonly ChatMessage[], at: number): number {
  const next = messages.findIndex(({ role }, index) => index > at && role !== 'tool');
  return next < 0 ? messages.length : next;
}

function shortId(id: string): string {
  return id
    .replace(/[^A-Za-z0-9]/g, '')
    .slice(-9)
    .padStart(9, '0');
}

/** Calls and results as text, for a template that knows neither. */
function spelled(message: ChatMessage): ChatMessage {
  const { tool_calls: calls, tool_call_id: _, name: __, ...rest } = message;
  if (message.role === 'tool') {
    return { role: 'user', content: `<tool_response>\n${plain(message.content)}\n</tool_response>` };
  }
  if (!calls || calls.length === 0) return message;
  const written = calls.map(({ function: { name, arguments: given } }) => {
    const values = typeof given === 'string' ? given : JSON.stringify(given);
    return `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": ${values || '{}'}}\n</tool_call>`;
  });
  return { ...rest, content: [plain(message.content), ...written].filter((part) => part !== '').join('\n') };
}

function plain(content: ChatMessage['content']): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => ('text' in part ? String(part.text) : '')).join('');
}

function withInstructions(
  form: ToolForm,
  messages: readonly ChatMessage[],
  tools: readonly unknown[],
): readonly ChatMessage[] {
  if (tools.length === 0) return messages;
  const instructions =
    '# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function ' +
    `signatures within <tools></tools> XML tags:\n<tools>\n${tools.map((tool) => JSON.stringify(tool)).join('\n')}\n` +
    '</tools>\n\nFor each function call, return a json object with function name and arguments within ' +
    '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n' +
    '</tool_call>';
  const role = form.system ? 'system' : 'user';
  const first = messages[0];
  if (first?.role !== role) return [{ role, content: instructions }, ...messages];
  const [before, after] = form.system ? [plain(first.content), instructions] : [instructions, plain(first.content)];
  return [{ ...first, content: `${before}\n\n${after}` }, ...messages.slice(1)];
}
