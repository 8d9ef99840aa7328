// What an answer may be and how it is read: free text, JSON of a schema, or calls of functions.

import { randomBytes } from 'node:crypto';
import type { ChatMessage } from '../chat/template.js';
import { choice, text } from '../grammar/expression.js';
import {
  Budget,
  type CompiledSchema,
  compiled,
  compileJsonObject,
  compileJsonSchema,
  maskFor,
  schemaExpression,
  type Vocabulary,
  vocabularyOf,
} from '../grammar/index.js';
import * as json from '../grammar/json.js';
import type { Grammar } from '../grammar/machine.js';
import type { TokenMask } from '../mask.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { CallPartsMask, OpenedMask } from './answer-mask.js';
import {
  callId,
  callsExpression,
  mostCalls,
  type ToolChoices,
  type ToolForm,
  toolFormOf,
  toolMessages,
} from './tool-forms.js';
import { type ToolEvent, ToolParser } from './tool-parser.js';

export type { ToolEvent } from './tool-parser.js';

/** A function in OpenAI's form. */
export interface ToolDefinition {
  type: 'function';
  function: {
    name: string;
    description?: string | null | undefined;
    parameters?: unknown;
    strict?: boolean | null | undefined;
  };
}

/** `only` names the functions that may be called; of one alone and `required`, that one is. */
export interface ToolChoice {
  mode: 'none' | 'auto' | 'required';
  only?: readonly string[];
}

export interface AnswerOptions {
  tools?: readonly ToolDefinition[];
  toolChoice?: ToolChoice;
  /** Several calls in one answer; true unless said otherwise. */
  parallel?: boolean;
  format?: { type: 'text' } | { type: 'json' } | { type: 'schema'; schema: unknown };
}

/** Reads one answer. */
export interface AnswerReader {
  push(text: string, token?: number): ToolEvent[];
  end(): ToolEvent[];
}

export interface AnswerPlan {
  /** What the chat template is shown. */
  templateTools: readonly ToolDefinition[] | undefined;
  /** Messages as the template wants them. */
  messages(messages: readonly ChatMessage[]): readonly ChatMessage[];
  /** A new one for each answer, where the text is constrained. */
  mask: (() => TokenMask) | undefined;
  reader(): AnswerReader;
  /** What of the schemas is not enforced, in a sentence each. */
  warnings: readonly string[];
}

/**
 * Plans an answer of a model that ends its turns with `endIds`.
 *
 * @throws RangeError where the choice names a function that is not among the tools.
 */
export async function planAnswer(
  tokenizer: Tokenizer,
  endIds: readonly number[],
  options: AnswerOptions,
): Promise<AnswerPlan> {
  const { tools = [], toolChoice: wanted = { mode: 'auto' }, parallel = true, format = { type: 'text' } } = options;
  const missing = wanted.only?.find((name) => !tools.some((tool) => tool.function.name === name));
  if (missing !== undefined) throw new RangeError(`the function "${missing}" is not among the tools`);
  const form = toolFormOf(tokenizer);
  const callable = tools.filter(({ function: { name } }) => wanted.only?.includes(name) ?? true);
  // What must not be called is not shown, except beside a function that must be.
  const shown = wanted.mode === 'none' ? [] : wanted.mode === 'auto' ? callable : tools;
  const forced = wanted.mode === 'required' && callable.length > 0;
  const several = parallel && !(wanted.mode === 'required' && wanted.only?.length === 1);
  const optional = !forced && wanted.mode === 'auto' ? callable : [];
  // A bare object can be told from the answer's own only by its grammar; what a control token opens, by that token.
  const opener = form.kind === 'llama' ? undefined : form.openingToken;
  const answer = forced ? undefined : await formatOf(form, format, opener === undefined ? optional : [], several);
  const constrained = forced || (answer !== undefined && opener !== undefined && optional.length > 0);
  const calls = constrained ? await callsOf(form, callable, several) : undefined;
  const vocabulary = (answer || calls) && (await vocabularyOf(tokenizer));
  const callsMask = (first: number | undefined): TokenMask => calls!.mask(vocabulary!, endIds, first);
  const answerMask = (): TokenMask => maskFor(vocabulary!, answer!.grammar, endIds);
  const names = new Set(callable.map((tool) => tool.function.name));
  let mask: (() => TokenMask) | undefined;
  if (answer && calls) mask = () => new OpenedMask(answerMask(), callsMask(undefined), opener!);
  else if (answer) mask = answerMask;
  else if (calls) mask = () => callsMask(opener);
  return {
    templateTools: form.native && shown.length > 0 ? shown.map(described) : undefined,
    messages: (messages) => toolMessages(form, messages, shown),
    mask,
    reader: () => (shown.length > 0 ? new ToolParser(form, { names, parallel: several, newId }) : plainReader),
    warnings: [...(answer?.warnings ?? []), ...(calls?.warnings ?? [])],
  };
}

/** Templates expect a description and parameters. */
function described({ function: { description, parameters, ...rest }, ...tool }: ToolDefinition): ToolDefinition {
  const given = parameters ?? { type: 'object', properties: {} };
  return { ...tool, function: { ...rest, description: description ?? '', parameters: given } };
}

const plainReader: AnswerReader = {
  push: (text) => (text === '' ? [] : [{ type: 'text', text }]),
  end: () => [],
};

type Format = NonNullable<AnswerOptions['format']>;

/** An answer in a format, or else calls of tools that may be called. */
function formatOf(
  form: ToolForm,
  format: Format,
  tools: readonly ToolDefinition[],
  parallel: boolean,
): Promise<CompiledSchema> | undefined {
  if (format.type === 'text') return undefined;
  const schema = format.type === 'schema' ? format.schema : undefined;
  return recalled(['format', form.kind, format.type, schema, tools, parallel], async () => {
    if (tools.length === 0) return format.type === 'json' ? compileJsonObject() : compileJsonSchema(schema);
    const budget = new Budget();
    const answer =
      format.type === 'json' ? { expression: json.object, warnings: [] } : await schemaExpression(schema, budget);
    const calls = await callsExpressions(form, tools, parallel, budget);
    const warnings = [...answer.warnings, ...calls.warnings];
    return compiled(choice(answer.expression, calls.expression), warnings, choice(json.value, calls.free), budget);
  });
}

interface CallsConstraint {
  /** `first` is the control token that must come before. */
  mask(vocabulary: Vocabulary, endIds: readonly number[], first: number | undefined): TokenMask;
  warnings: readonly string[];
}

async function callsOf(form: ToolForm, tools: readonly ToolDefinition[], parallel: boolean): Promise<CallsConstraint> {
  if (form.kind === 'named' && form.argumentsToken !== undefined)
    return partsOf(form, form.argumentsToken, tools, parallel);
  const { grammar, warnings } = await recalled(['calls', form.kind, form.openingToken, tools, parallel], async () => {
    const budget = new Budget();
    const { expression, free, warnings } = await callsExpressions(form, tools, parallel, budget);
    return compiled(expression, warnings, free, budget);
  });
  return { warnings, mask: (vocabulary, endIds, opener) => maskFor(vocabulary, grammar, endIds, { opener }) };
}

/** Calls whose parts are divided by control tokens: a grammar for each part. */
async function partsOf(
  form: ToolForm,
  argumentsToken: number,
  tools: readonly ToolDefinition[],
  parallel: boolean,
): Promise<CallsConstraint> {
  const { names, ids, given } = await recalled(['parts', tools], () => partGrammars(tools));
  const { openingToken, idToken } = form;
  const withId = form.ids === true && idToken !== undefined;
  return {
    warnings: [...given].flatMap(([name, { warnings }]) => warnings.map((warning) => `${name}: ${warning}`)),
    mask: (vocabulary, endIds, first) => {
      const calls = new CallPartsMask({
        tokens: {
          name: withId ? idToken : argumentsToken,
          id: withId ? argumentsToken : undefined,
          next: parallel ? openingToken : undefined,
        },
        name: (ends) => maskFor(vocabulary, names, ends),
        id: (ends) => maskFor(vocabulary, ids, ends),
        arguments: (name, ends) => maskFor(vocabulary, given.get(name)!.grammar, ends),
        textOf: (token) => vocabulary.bytesOf(token),
        endIds,
        most: mostCalls,
      });
      return first === undefined ? calls : new OpenedMask(only(first, vocabulary.size), calls, first);
    },
  };
}

async function partGrammars(
  tools: readonly ToolDefinition[],
): Promise<{ names: Grammar; ids: Grammar; given: Map<string, CompiledSchema> }> {
  const budget = new Budget();
  const names = await compiled(choice(...tools.map((tool) => text(tool.function.name))), [], json.value, budget);
  const ids = await compiled(callId, [], json.value, budget);
  const given = new Map<string, CompiledSchema>();
  for (const { name, parameters } of tools.map((tool) => tool.function)) {
    const { expression, warnings } = await schemaExpression({ type: 'object', ...(parameters ?? {}) }, budget);
    given.set(name, await compiled(expression, warnings, json.object, budget));
  }
  return { names: names.grammar, ids: ids.grammar, given };
}

/** Nothing but one token. */
function only(token: number, size: number): TokenMask {
  const allowed = new Uint8Array(size);
  allowed[token] = 1;
  return { done: false, allowed: () => allowed, accept: () => {} };
}

/** Calls with the arguments that the tools describe, and with any arguments. */
async function callsExpressions(form: ToolForm, tools: readonly ToolDefinition[], parallel: boolean, budget: Budget) {
  const warnings: string[] = [];
  const choices: ToolChoices[] = [];
  for (const { name, parameters } of tools.map((tool) => tool.function)) {
    const given = await schemaExpression({ type: 'object', ...(parameters ?? {}) }, budget);
    warnings.push(...given.warnings.map((warning) => `${name}: ${warning}`));
    choices.push({ name, arguments: given.expression });
  }
  const free = tools.map(({ function: { name } }) => ({ name, arguments: json.object }));
  return {
    expression: callsExpression(form, choices, parallel),
    free: callsExpression(form, free, parallel),
    warnings,
  };
}

/** Clients send the same schema with every request; its grammar has learned from those before. */
const grammars = new Map<string, Promise<unknown>>();
const mostGrammars = 16;
const mostKeyLength = 1 << 18;

/** The first of `parts` says what is made, and so its type. */
function recalled<T>(parts: readonly [string, ...unknown[]], make: () => Promise<T>): Promise<T> {
  const key = keyOf(parts);
  const made = (grammars.get(key) as Promise<T> | undefined) ?? make();
  grammars.delete(key);
  if (key !== '') grammars.set(key, made);
  if (grammars.size > mostGrammars) grammars.delete(grammars.keys().next().value!);
  return made;
}

/** Empty for what is too large to keep, or nested deeper than JSON.stringify goes. */
function keyOf(parts: readonly unknown[]): string {
  try {
    const key = JSON.stringify(parts);
    return key.length > mostKeyLength ? '' : key;
  } catch {
    return '';
  }
}

function newId(): string {
  return `call_${randomBytes(12).toString('hex')}`;
}
