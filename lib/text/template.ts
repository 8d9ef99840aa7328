// Chat templates: the Jinja program that comes with a model and writes messages as the text the model was trained on.
//
// A template sees what transformers gives it: messages, tools, documents, add_generation_prompt, the special tokens,
// raise_exception and strftime_now; blocks are trimmed and `tojson` writes Python's JSON. OpenAI's wire form is made
// plain first: a list of text parts becomes a string, a tool call's JSON arguments become an object.

import { evaluate } from './chat/jinja/evaluate.js';
import { globals } from './chat/jinja/globals.js';
import type { Node } from './chat/jinja/nodes.js';
import { parse } from './chat/jinja/parse.js';
import { strftime } from './chat/strftime.js';

export interface TextPart {
  type: 'text';
  text: string;
}

export interface ToolCall {
  id?: string;
  type?: string;
  function: { name: string; arguments: string | Record<string, unknown> };
}

export interface ChatMessage {
  role: string;
  content?: string | null | readonly (TextPart | Record<string, unknown>)[];
  name?: string;
  tool_calls?: readonly ToolCall[];
  tool_call_id?: string;
  /** 0 keeps an assistant's message out of the training loss. */
  weight?: number;
  [field: string]: unknown;
}

export interface TemplateOptions {
  /** Function descriptions in OpenAI's form. */
  tools?: readonly unknown[] | null | undefined;
  /** End with the words that begin an assistant's turn. */
  addGenerationPrompt?: boolean;
  /** The name of one of the model's templates, or another template's text. */
  chatTemplate?: string | undefined;
  /** Given to the template under their own names, such as `enable_thinking`. May come from a stranger. */
  variables?: Readonly<Record<string, unknown>> | undefined;
}

export const specialTokenNames = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
];

/** A template that doesn't parse, fails, or refuses the messages by raise_exception. */
export class TemplateError extends Error {
  override name = 'TemplateError';
}

export class ChatTemplates {
  /** The model's own: texts that callers bring are not kept. */
  private readonly compiled = new Map<string, readonly Node[]>();
  private readonly own: ReadonlySet<string>;

  /**
   * @param sources by name: "default", and where a model has them "tool_use", "rag" and others
   * @param specialTokens `bos_token`, `eos_token` and so on, as the template names them
   */
  constructor(
    readonly sources: ReadonlyMap<string, string>,
    readonly specialTokens: Readonly<Record<string, unknown>>,
  ) {
    this.own = new Set(sources.values());
  }

  /** @throws TemplateError in one sentence. */
  render(messages: readonly ChatMessage[], options: TemplateOptions = {}): string {
    const { tools, addGenerationPrompt, chatTemplate, variables = {} } = options;
    const reserved = Object.keys(variables).find((name) => reservedVariables.has(name));
    if (reserved !== undefined) throw new TemplateError(`chat template: the variable "${reserved}" cannot be given`);
    const program = this.compile(this.choose(chatTemplate, (tools?.length ?? 0) > 0));
    const values = {
      ...functions,
      ...this.specialTokens,
      documents: null,
      ...variables,
      tools: tools && tools.length > 0 ? tools : null,
      add_generation_prompt: addGenerationPrompt ?? false,
    };
    return renderAny(program, values, messages);
  }

  private choose(wanted: string | undefined, hasTools: boolean): string {
    const { sources } = this;
    const named = wanted === undefined ? undefined : sources.get(wanted);
    if (named !== undefined) return named;
    // A name never holds a tag; a text without one would drop the messages.
    if (wanted?.includes('{')) return wanted;
    const names = [...sources.keys()].join(', ');
    if (wanted !== undefined) {
      throw new TemplateError(`chat template "${wanted}" is not among the model's: ${names || 'it has none'}`);
    }
    const source = (hasTools ? sources.get('tool_use') : undefined) ?? sources.get('default');
    if (source !== undefined) return source;
    throw new TemplateError(
      names === ''
        ? 'the model has no chat template: give one as chatTemplate, or prompt it with plain text'
        : `the model has no default chat template: choose one of ${names}`,
    );
  }

  private compile(source: string): readonly Node[] {
    const known = this.compiled.get(source);
    if (known) return known;
    try {
      const program = parse(source);
      if (this.own.has(source)) this.compiled.set(source, program);
      return program;
    } catch (error) {
      throw failure(error);
    }
  }
}

/**
 * Tries the forms that templates are written for: a call's arguments as an object or, where one appends them, as JSON;
 * no content or, where one appends that, an empty text; content as one text or, where that is left out, as parts.
 *
 * @throws TemplateError of the first form, or of the template's own raise_exception
 */
function renderAny(
  program: readonly Node[],
  values: Record<string, unknown>,
  messages: readonly ChatMessage[],
): string {
  const parsed = messages.map((message) => plainMessage(message, parsedArguments));
  const forms = [parsed, parsed.map(speaking)];
  if (messages.some((message) => Array.isArray(message.tool_calls) && message.tool_calls.length > 0)) {
    const unparsed = messages.map((message) => plainMessage(message, writtenArguments));
    forms.push(unparsed, unparsed.map(speaking));
  }
  const question = parsed.findLast(({ role }) => role === 'user')?.content;
  const asked = typeof question === 'string' ? question.trim() : '';
  let found: string | undefined;
  let first: TemplateError | undefined;
  const partly = parsed.map(inParts);
  for (const form of [...forms, partly]) {
    if (found !== undefined && form !== partly) continue;
    try {
      const text = evaluate(program, { ...values, messages: form });
      if (text.includes(asked)) return text;
      found ??= text;
    } catch (error) {
      if (error instanceof TemplateError && found === undefined) throw error;
      first ??= failure(error);
    }
  }
  if (found === undefined) throw first!;
  return found;
}

function inParts(message: Record<string, unknown>): Record<string, unknown> {
  const { content } = message;
  return typeof content === 'string' ? { ...message, content: [{ type: 'text', text: content }] } : message;
}

/** An assistant that only calls tools has no content. */
function speaking(message: Record<string, unknown>): Record<string, unknown> {
  return { ...message, content: message.content ?? '' };
}

const functions = {
  raise_exception: (message: unknown): never => {
    throw new TemplateError(`chat template: ${String(message)}`);
  },
  strftime_now: (format: string): string => strftime(new Date(), format),
};

/** What a template finds under its own name whoever calls: never a caller's. */
export const reservedVariables: ReadonlySet<string> = new Set([
  ...globals.keys(),
  ...Object.keys(functions),
  ...specialTokenNames,
  'messages',
  'tools',
  'add_generation_prompt',
  'chat_template',
  'chatTemplate',
]);

function failure(error: unknown): TemplateError {
  if (error instanceof TemplateError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new TemplateError(`chat template: ${message.replace(/\s+/g, ' ').trim()}`, { cause: error });
}

/** The message as templates are written for it; `weight` is training's own and stays out. */
function plainMessage(message: ChatMessage, argumentsOf: (given: unknown) => unknown): Record<string, unknown> {
  const { weight: _, ...rest } = message;
  const plain: Record<string, unknown> = rest;
  if (Array.isArray(message.content) && message.content.every(isTextPart)) {
    plain.content = message.content.map((part) => part.text).join('\n');
  }
  if (Array.isArray(message.tool_calls)) {
    plain.tool_calls = (message.tool_calls as readonly ToolCall[]).map((call) =>
      call.function
        ? { ...call, function: { ...call.function, arguments: argumentsOf(call.function.arguments) } }
        : call,
    );
  }
  return plain;
}

function isTextPart(part: unknown): part is TextPart {
  return typeof part === 'object' && part !== null && 'text' in part && typeof part.text === 'string';
}

/** A model may have written broken JSON, which is then passed on as it is. */
function parsedArguments(given: unknown): unknown {
  if (typeof given !== 'string') return given;
  try {
    const parsed: unknown = JSON.parse(given);
    return typeof parsed === 'object' && parsed !== null ? parsed : given;
  } catch {
    return given;
  }
}

function writtenArguments(given: unknown): unknown {
  return typeof given === 'string' ? given : JSON.stringify(given);
}
