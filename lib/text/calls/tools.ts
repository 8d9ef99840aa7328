// The plan of an answer: free text, JSON of a schema, or calls of functions; how it is constrained and how it is read.

import { randomBytes } from 'node:crypto';
import { withSystemTurns } from '../chat/system-turns.js';
import { maskFor, vocabularyOf } from '../grammar/index.js';
import type { TokenMask } from '../mask.js';
import { withReasoning } from '../reasoning/history.js';
import { reasoningMask } from '../reasoning/mask.js';
import { ReasoningReader } from '../reasoning/reader.js';
import { type AnswerStart, type ReasoningMarkup, reasoningOf } from '../reasoning/recognise.js';
import { enabledBy, type ReasoningOptions, reasoningVariables } from '../reasoning/switches.js';
import type { ChatMessage } from '../template.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { AnswerReader } from './answer-reader.js';
import { type Constraint, constrained, type TextFormat } from './constraint.js';
import { marksOf, recognised } from './recognise.js';
import type { ToolDefinition } from './tool-definition.js';
import { ToolParser, type ToolParserOptions } from './tool-parser.js';

export type { AnswerReader, ToolEvent } from './answer-reader.js';
export type { ToolDefinition } from './tool-definition.js';

/** `only` names the functions that may be called; `required` with one of them forces that one. */
export interface ToolChoice {
  mode: 'none' | 'auto' | 'required';
  only?: readonly string[];
}

export interface AnswerOptions {
  tools?: readonly ToolDefinition[];
  toolChoice?: ToolChoice;
  /** Several calls in one answer; true unless said otherwise. */
  parallel?: boolean;
  format?: { type: 'text' } | TextFormat;
  /** How the model reasons before it answers, where it does. */
  reasoning?: ReasoningOptions;
}

/** What an answer follows. */
export interface AnswerBeginning {
  /** The rendered conversation, whose end tells whether the answer begins within reasoning. */
  prompt?: string;
  /** The text of an answer that goes on at the prompt's end. */
  continued?: string;
}

export interface AnswerPlan {
  /** The tools that the chat template is given. */
  templateTools: readonly ToolDefinition[] | undefined;
  /** Variables for the chat template, below a caller's own. */
  variables: Readonly<Record<string, unknown>>;
  /** Messages as the template wants them, marked by `tokenizer.literal`. */
  messages(messages: readonly ChatMessage[]): readonly ChatMessage[];
  /** Makes the mask of one answer, where answers are constrained. */
  mask: ((after?: AnswerBeginning) => TokenMask | undefined) | undefined;
  reader(after?: AnswerBeginning): AnswerReader;
  /** Parts of the schemas that are not enforced, a sentence each. */
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
  const by = recognised(tokenizer);
  const { dialect, model, controls } = by;
  const callable = tools.filter(({ function: { name } }) => wanted.only?.includes(name) ?? true);
  // Tools that must not be called are not shown, except beside one that must be called.
  const shown = wanted.mode === 'none' ? [] : wanted.mode === 'auto' ? callable : tools;
  const forced = wanted.mode === 'required' && callable.length > 0;
  const several = parallel && !(wanted.mode === 'required' && wanted.only?.length === 1);
  const text = forced || format.type === 'text' ? undefined : format;
  // Strict functions constrain calls that the model is free not to make, from their markup on.
  const begun = wanted.mode === 'auto' && !text && callable.some(isStrict);
  const freely = begun && dialect.bare === undefined;
  const called = freely ? callable.map((tool) => (isStrict(tool) ? tool : withAnyArguments(tool))) : callable;
  const constraint: Constraint = {
    format: text,
    tools: forced || wanted.mode === 'auto' ? called : [],
    several,
    freely,
  };
  const compiled = forced || text || freely ? await constrained(by, constraint) : undefined;
  const unmarked =
    begun && !freely ? ["'strict' holds for calls that are required only, as this model's have no markup"] : [];
  const vocabulary = compiled && (await vocabularyOf(tokenizer));
  const reading: ToolParserOptions = {
    dialect,
    marks: marksOf(by),
    callable: new Map(callable.map((tool) => [tool.function.name, tool.function])),
    parallel: several,
    forced,
    newId,
  };
  const markup = reasoningOf(tokenizer);
  const { reasoning = {} } = options;
  const rest = compiled && vocabulary && (() => maskFor(vocabulary, compiled.grammar, endIds, controls));
  const off = enabledBy(reasoning) === false && markup?.form.inDialect !== true;
  const budget = off ? 0 : reasoning.budget;
  const startOf = ({ prompt = '', continued }: AnswerBeginning): AnswerStart =>
    markup?.start(prompt, continued) ?? 'behind';
  const masked = (after: AnswerBeginning): TokenMask | undefined => {
    const start = startOf(after);
    const inner = rest?.();
    if (!markup || start === 'behind') return inner;
    return (
      reasoningMask({
        markup,
        start,
        endIds,
        forced,
        ...(budget === undefined ? {} : { budget }),
        ...(inner ? { rest: inner } : {}),
      }) ?? inner
    );
  };
  return {
    templateTools: !dialect.describesTools && shown.length > 0 ? tokenizer.literal(shown.map(described)) : undefined,
    variables: reasoningVariables(reasoning, tokenizer.templateTexts.join('\n')),
    messages: (messages) => {
      // Before a dialect puts markup of its own into them.
      const literal = tokenizer.literal(withReasoning(tokenizer, withSystemTurns(tokenizer, messages)));
      return dialect.messages?.(literal, tokenizer.literal(shown), model) ?? literal;
    },
    mask: rest || (markup && budget !== undefined) ? (after = {}) => masked(after) : undefined,
    reader: (after = {}) => {
      const inner = shown.length > 0 || dialect.readsAnswers ? new ToolParser(reading) : plainReader();
      return readerOf(inner, markup, startOf(after), reading);
    },
    warnings: [...unmarked, ...(compiled?.warnings ?? [])],
  };
}

/** Reads reasoning before what `inner` reads. */
function readerOf(
  inner: AnswerReader,
  markup: ReasoningMarkup | undefined,
  start: AnswerStart,
  { marks, dialect }: ToolParserOptions,
): AnswerReader {
  if (!markup || markup.form.inDialect) return inner;
  const callTokens = new Set([...marks].flatMap(([id, mark]) => (dialect.openings.includes(mark) ? [id] : [])));
  return new ReasoningReader({ markup, start, rest: inner, callTokens });
}

const isStrict = ({ function: { strict } }: ToolDefinition): boolean => strict === true;

const withAnyArguments = (tool: ToolDefinition): ToolDefinition => ({
  ...tool,
  function: { ...tool.function, parameters: { type: 'object' } },
});

/** Templates expect a description and parameters. */
function described({ function: { description, parameters, ...rest }, ...tool }: ToolDefinition): ToolDefinition {
  const given = parameters ?? { type: 'object', properties: {} };
  return { ...tool, function: { ...rest, description: description ?? '', parameters: given } };
}

const plainReader = (): AnswerReader => ({
  push: (text) => (text === '' ? [] : [{ type: 'text', text }]),
  end: () => [],
  complete: false,
  reasoningTokens: 0,
});

function newId(): string {
  return `call_${randomBytes(12).toString('hex')}`;
}
