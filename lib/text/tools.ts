// What an answer may be and how it is read: free text, JSON of a schema, or calls of functions.

import { randomBytes } from 'node:crypto';
import { CallPartsMask, OpenedMask } from './answer-mask.js';
import { choice, text } from './grammar/expression.js';
import {
  type CompiledSchema,
  compiled,
  compileJsonObject,
  compileJsonSchema,
  maskFor,
  schemaExpression,
  type Vocabulary,
  vocabularyOf,
} from './grammar/index.js';
import * as json from './grammar/json.js';
import type { TokenMask } from './mask.js';
import type { ChatMessage } from './template.js';
import type { Tokenizer } from './tokenizer.js';
import { callId, callsExpression, mostCalls, type ToolForm, toolFormOf, toolMessages } from './tool-forms.js';
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
  const answer = forced ? undefined : formatOf(form, format, opener === undefined ? optional : [], several);
  const constrained = forced || (answer !== undefined && opener !== undefined && optional.length > 0);
  const calls = constrained ? callsOf(form, callable, several) : undefined;
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
): CompiledSchema | undefined {
  if (format.type === 'text') return undefined;
  const schema = format.type === 'schema' ? format.schema : undefined;
  return recalled([form.kind, format.type, schema, tools, parallel], () => {
    if (tools.length === 0) return format.type === 'json' ? compileJsonObject() : compileJsonSchema(schema);
    const answer = format.type === 'json' ? { expression: json.object, warnings: [] } : schemaExpression(schema);
    const calls = callsExpressions(form, tools, parallel);
    const warnings = [...answer.warnings, ...calls.warnings];
    return compiled(choice(answer.expression, calls.expression), warnings, choice(json.value, calls.free));
  });
}

interface CallsConstraint {
  /** `first` is the control token that must come before. */
  mask(vocabulary: Vocabulary, endIds: readonly number[], first: number | undefined): TokenMask;
  warnings: readonly string[];
}

function callsOf(form: ToolForm, tools: readonly ToolDefinition[], parallel: boolean): CallsConstraint {
  if (form.kind === 'named' && form.argumentsToken !== undefined)
    return partsOf(form, form.argumentsToken, tools, parallel);
  const { grammar, warnings } = recalled([form.kind, form.openingToken, tools, parallel], () => {
    const { expression, free, warnings } = callsExpressions(form, tools, parallel);
    return compiled(expression, warnings, free);
  });
  return { warnings, mask: (vocabulary, endIds, opener) => maskFor(vocabulary, grammar, endIds, { opener }) };
}

/** Calls whose parts are divided by control tokens: a grammar for each part. */
function partsOf(
  form: ToolForm,
  argumentsToken: number,
  tools: readonly ToolDefinition[],
  parallel: boolean,
): CallsConstraint {
  const names = tools.map((tool) => tool.function.name);
  const nameGrammar = recalled(['names', names], () => compiled(choice(...names.map(text)), [], json.value)).grammar;
  const idGrammar = recalled(['id'], () => compiled(callId, [], json.value)).grammar;
  const given = new Map(
    tools.map(({ function: { name, parameters } }) => [
      name,
      recalled(['arguments', parameters], () => compileJsonSchema({ type: 'object', ...(parameters ?? {}) })),
    ]),
  );
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
        name: (ends) => maskFor(vocabulary, nameGrammar, ends),
        id: (ends) => maskFor(vocabulary, idGrammar, ends),
        arguments: (name, ends) => maskFor(vocabulary, given.get(name)!.grammar, ends),
        textOf: (token) => vocabulary.bytesOf(token),
        endIds,
        most: mostCalls,
      });
      return first === undefined ? calls : new OpenedMask(only(first, vocabulary.size), calls, first);
    },
  };
}

/** Nothing but one token. */
function only(token: number, size: number): TokenMask {
  const allowed = new Uint8Array(size);
  allowed[token] = 1;
  return { done: false, allowed: () => allowed, accept: () => {} };
}

/** Calls with the arguments that the tools describe, and with any arguments. */
function callsExpressions(form: ToolForm, tools: readonly ToolDefinition[], parallel: boolean) {
  const warnings: string[] = [];
  const choices = tools.map(({ function: { name, parameters } }) => {
    const given = schemaExpression({ type: 'object', ...(parameters ?? {}) });
    warnings.push(...given.warnings.map((warning) => `${name}: ${warning}`));
    return { name, arguments: given.expression };
  });
  const free = tools.map(({ function: { name } }) => ({ name, arguments: json.object }));
  return {
    expression: callsExpression(form, choices, parallel),
    free: callsExpression(form, free, parallel),
    warnings,
  };
}

/** Clients send the same schema with every request; its grammar has learned from those before. */
const grammars = new Map<string, CompiledSchema>();
const mostGrammars = 16;
const mostKeyLength = 1 << 18;

function recalled(parts: readonly unknown[], make: () => CompiledSchema): CompiledSchema {
  const key = keyOf(parts);
  const made = grammars.get(key) ?? make();
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
