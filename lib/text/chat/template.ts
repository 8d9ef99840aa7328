// Chat templates: the Jinja program that comes with a model and writes messages as the text the model was trained on.
//
// A template sees what transformers gives it: messages, tools, documents, add_generation_prompt, the special tokens,
// raise_exception and strftime_now; blocks are trimmed and `tojson` writes Python's JSON. OpenAI's wire form is made
// plain first: a list of text parts becomes a string, a tool call's JSON arguments become an object.

import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';

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

type Program = ReturnType<typeof parse>;

export class ChatTemplates {
  /** The model's own: texts that callers bring are not kept. */
  private readonly compiled = new Map<string, Program>();
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
      ...globals,
      ...this.specialTokens,
      documents: null,
      ...variables,
      tools: tools && tools.length > 0 ? tools : null,
      add_generation_prompt: addGenerationPrompt ?? false,
    };
    const plain = messages.map((message) => plainMessage(message, parsedArguments));
    const text = renderAny(program, values, plain);
    // A few templates append a call's arguments as text: the library then writes an object's class, no JSON.
    if (!text.includes(objectClass) || JSON.stringify(plain).includes(objectClass)) return text;
    return renderAny(
      program,
      values,
      messages.map((message) => plainMessage(message, writtenArguments)),
    );
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

  private compile(source: string): Program {
    const known = this.compiled.get(source);
    if (known) return known;
    try {
      // Jinja reads every kind of line end as "\n".
      const text = source.replace(/\r\n?/g, '\n');
      const program = parse(tokenize(text, { lstrip_blocks: true, trim_blocks: true }));
      callExactStrips(program);
      if (this.own.has(source)) this.compiled.set(source, program);
      return program;
    } catch (error) {
      throw failure(error);
    }
  }
}

const objectClass = '[object Map]';

function renderAny(program: Program, values: Record<string, unknown>, messages: Record<string, unknown>[]): string {
  try {
    return run(program, { ...values, messages });
  } catch (error) {
    if (error instanceof TemplateError) throw error;
    // An assistant that only calls tools has no content. Some templates look for that, many fail on it.
    if (messages.every(({ content }) => content !== null && content !== undefined)) throw failure(error);
  }
  try {
    const speaking = messages.map((message) => ({ ...message, content: message.content ?? '' }));
    return run(program, { ...values, messages: speaking });
  } catch (error) {
    throw failure(error);
  }
}

function run(program: Program, values: Record<string, unknown>): string {
  const environment = new Environment();
  for (const [name, value] of Object.entries(values)) environment.set(name, value);
  return String(new Interpreter(environment).run(program).value);
}

// As in transformers' sandbox.
const longestRange = 100_000;

const globals = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception: (message: unknown): never => {
    throw new TemplateError(`chat template: ${String(message)}`);
  },
  helvetia_strip: pythonStrip,
  strftime_now: (format: string): string => strftime(new Date(), format),
  range: (first: number, second?: number, step = 1): number[] => {
    const [start, stop] = second === undefined || second === null ? [0, first] : [first, second];
    const length = Math.max(0, Math.ceil((stop - start) / step));
    if (length > longestRange) throw new TemplateError(`chat template: range() gives ${longestRange} numbers at most`);
    return Array.from({ length }, (_, index) => start + index * step);
  },
};

/** What a template finds under its own name whoever calls: never a caller's. */
export const reservedVariables: ReadonlySet<string> = new Set([
  ...Object.keys(globals),
  ...specialTokenNames,
  'messages',
  'tools',
  'add_generation_prompt',
  'namespace',
  'chat_template',
  'chatTemplate',
]);

type Node = Record<string, unknown> & { type: string };

/**
 * Puts calls of `helvetia_strip` where a program strips given characters or trims a value that may be undefined: the
 * library strips white space whatever it is told, and refuses to trim what isn't there.
 */
function callExactStrips(value: unknown): void {
  if (Array.isArray(value)) value.forEach(callExactStrips);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  const node = value as Node;
  const name = (identifier: unknown): unknown =>
    (identifier as Node | undefined)?.type === 'Identifier' ? (identifier as Node).value : undefined;
  const strip = (operand: unknown, side: string, characters: unknown[]): void => {
    const callee = { type: 'Identifier', value: 'helvetia_strip' };
    Object.assign(node, { type: 'CallExpression', callee, args: [operand, literal(side), ...characters] });
  };
  if (node.type === 'CallExpression' && (node.args as unknown[]).length === 1) {
    const callee = node.callee as Node;
    const method = callee.type === 'MemberExpression' && callee.computed === false ? name(callee.property) : undefined;
    if (method === 'strip' || method === 'lstrip' || method === 'rstrip') {
      strip(callee.object, method, node.args as unknown[]);
    }
  } else if (node.type === 'FilterExpression' && name(node.filter) === 'trim') {
    strip(node.operand, 'strip', []);
  }
  Object.values(node).forEach(callExactStrips);
}

function literal(value: string): Node {
  return { type: 'StringLiteral', value };
}

/** Python's str.strip, lstrip and rstrip. */
function pythonStrip(value: unknown, side: string, characters?: string | null): string {
  const text = value === undefined || value === null ? '' : String(value);
  if (typeof characters !== 'string') {
    return side === 'lstrip' ? text.trimStart() : side === 'rstrip' ? text.trimEnd() : text.trim();
  }
  const stripped = new Set(characters);
  let start = 0;
  let end = text.length;
  const before = (at: number): string => text.slice(at - (/[\udc00-\udfff]/.test(text[at - 1]!) ? 2 : 1), at);
  const after = (at: number): string => String.fromCodePoint(text.codePointAt(at)!);
  while (side !== 'rstrip' && start < end && stripped.has(after(start))) start += after(start).length;
  while (side !== 'lstrip' && end > start && stripped.has(before(end))) end -= before(end).length;
  return text.slice(start, end);
}

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
    plain.content = message.content.map((part) => part.text).join('');
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

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/** Python's strftime in the C locale, local time; codes it doesn't know stay as they are. */
export function strftime(date: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = days[date.getDay()]!;
  const month = months[date.getMonth()]!;
  const hour12 = date.getHours() % 12 || 12;
  const startOfYear = Date.UTC(date.getFullYear(), 0, 0);
  const dayOfYear = (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - startOfYear) / 86_400_000;
  const codes: Record<string, string> = {
    Y: String(date.getFullYear()),
    y: two(date.getFullYear() % 100),
    m: two(date.getMonth() + 1),
    B: month,
    b: month.slice(0, 3),
    d: two(date.getDate()),
    e: String(date.getDate()).padStart(2, ' '),
    A: day,
    a: day.slice(0, 3),
    H: two(date.getHours()),
    I: two(hour12),
    M: two(date.getMinutes()),
    S: two(date.getSeconds()),
    p: date.getHours() < 12 ? 'AM' : 'PM',
    j: String(dayOfYear).padStart(3, '0'),
    '%': '%',
  };
  return format.replace(/%(-?)([A-Za-z%])/g, (whole, dash: string, code: string) => {
    const text = codes[code];
    if (text === undefined) return whole;
    return dash === '-' ? text.replace(/^[0 ]+(?=.)/, '') : text;
  });
}
