// How a model writes calls of functions: Hermes and Qwen in <tool_call> tags, Mistral as a list behind [TOOL_CALLS] or,
// since 2025, as [TOOL_CALLS]name[ARGS]{…}, Llama 3 as a bare object. Which one a model knows is seen from what its chat
// template makes of a call.
//
// A template that knows no calls, or writes them in another form, gets Hermes's as plain text.

import { type ChatMessage, TemplateError, type TemplateOptions, type ToolCall } from '../chat/template.js';
import { byte, choice, type Expression, repeat, sequence, text } from '../grammar/expression.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';

export interface ToolForm {
  kind: 'hermes' | 'mistral' | 'named' | 'llama';
  /** Text that begins a call. A bare object begins one only as the answer's first character. */
  opening: readonly string[];
  /** The control token that begins a call, where the vocabulary has one. */
  openingToken: number | undefined;
  /** The control tokens within a call of the form `named`, where the vocabulary has them. */
  argumentsToken?: number | undefined;
  idToken?: number | undefined;
  /** A call of the form `named` has its id between its name and its arguments. */
  ids?: boolean;
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
  const named: ToolForm = {
    ...mistral,
    kind: 'named',
    argumentsToken: special('[ARGS]'),
    idToken: special('[CALL_ID]'),
    ids: called.includes('[CALL_ID]'),
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
  if (shown && /\[TOOL_CALLS\] ?probe_function(\[CALL_ID\]\w+)?\[ARGS\] ?\{/.test(called)) return named;
  if (shown && /"name": ?"probe_function", ?"parameters": ?\{/.test(called)) return llama;
  return { ...hermes, native: false };
}

export interface ToolChoices {
  name: string;
  arguments: Expression;
}

export const mostCalls = 16;

/** A call's id as Mistral writes it. */
export const callId: Expression = repeat(byte([0x30, 0x39], [0x41, 0x5a], [0x61, 0x7a]), 9, 9);

/** Texts that are one call of the tools, or up to sixteen; the control token that opens them is not among them. */
export function callsExpression(form: ToolForm, tools: readonly ToolChoices[], parallel: boolean): Expression {
  const several = (between: string, one: Expression): Expression =>
    parallel ? sequence(one, repeat(sequence(text(between), one), 0, mostCalls - 1)) : one;
  const opening = form.openingToken === undefined ? form.opening[0]! : '';
  if (form.kind === 'named') {
    const id = form.ids ? [text('[CALL_ID]'), callId] : [];
    const named = tools.map((tool) => sequence(text(tool.name), ...id, text('[ARGS]'), tool.arguments));
    return opening === '' ? choice(...named) : several('', sequence(text(opening), choice(...named)));
  }
  const key = form.kind === 'llama' ? 'parameters' : 'arguments';
  const call = choice(
    ...tools.map((tool) =>
      sequence(text(`{"name": ${JSON.stringify(tool.name)}, "${key}": `), tool.arguments, text('}')),
    ),
  );
  if (form.kind === 'llama') return call;
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
  if (!form.native) return withInstructions(form, spelled(messages), tools);
  if (form.kind === 'mistral' || form.kind === 'named') return messages.map(withShortIds);
  return form.kind === 'llama' ? oneCallEach(messages) : messages;
}

/** Mistral's ids have nine letters or digits. */
function withShortIds(message: ChatMessage): ChatMessage {
  const { tool_calls: calls, tool_call_id: id } = message;
  return {
    ...message,
    ...(calls ? { tool_calls: calls.map((call) => ({ ...call, id: shortId(call.id ?? '') })) } : {}),
    ...(id === undefined ? {} : { tool_call_id: shortId(id) }),
  };
}

/** Llama's turns hold one call each, followed by its result. */
function oneCallEach(messages: readonly ChatMessage[]): ChatMessage[] {
  const result: ChatMessage[] = [];
  for (let at = 0; at < messages.length; ) {
    const message = messages[at]!;
    const calls = message.tool_calls ?? [];
    at += 1;
    if (calls.length < 2) {
      result.push(message);
      continue;
    }
    const answers = new Map<string | undefined, ChatMessage[]>(calls.map(({ id }) => [id, []]));
    const others: ChatMessage[] = [];
    for (; messages[at]?.role === 'tool'; at += 1) {
      const answer = messages[at]!;
      (answers.get(answer.tool_call_id) ?? others).push(answer);
    }
    for (const call of calls) result.push({ ...message, tool_calls: [call] }, ...(answers.get(call.id) ?? []));
    result.push(...others);
  }
  return result;
}

function shortId(id: string): string {
  return id
    .replace(/[^A-Za-z0-9]/g, '')
    .slice(-9)
    .padStart(9, '0');
}

/**
 * Calls and results as text, for a template that knows neither. The results of parallel calls become one message: many
 * templates want user and assistant to alternate.
 */
function spelled(messages: readonly ChatMessage[]): ChatMessage[] {
  const result: ChatMessage[] = [];
  for (const [at, message] of messages.entries()) {
    const { tool_calls: calls, tool_call_id: _, name: __, ...rest } = message;
    if (message.role === 'tool') {
      const content = `<tool_response>\n${plain(message.content)}\n</tool_response>`;
      if (messages[at - 1]?.role !== 'tool') result.push({ role: 'user', content });
      else result.push({ role: 'user', content: `${plain(result.pop()!.content)}\n${content}` });
    } else if (!calls || calls.length === 0) {
      result.push(message);
    } else {
      const written = calls.map(({ function: { name, arguments: given } }) => {
        const values = typeof given === 'string' ? given : JSON.stringify(given);
        return `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": ${values || '{}'}}\n</tool_call>`;
      });
      result.push({ ...rest, content: [plain(message.content), ...written].filter((part) => part !== '').join('\n') });
    }
  }
  return result;
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
