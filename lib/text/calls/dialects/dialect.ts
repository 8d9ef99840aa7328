// The contract of a dialect: one way in which models write calls of functions. A dialect is one file beside this one,
// and one line of the catalogue; the parser, the grammar and the plan of an answer name none.

import type { Expression } from '../../grammar/expression.js';
import type { ChatMessage } from '../../template.js';
import type { Tokenizer } from '../../tokenizer/tokenizer.js';
import type { Input, Reading } from '../reading.js';
import type { ToolDefinition } from '../tool-definition.js';

export interface Dialect {
  readonly name: string;
  /** Markup that is one control token in the vocabularies that have it; without, it is written out. */
  readonly marks: readonly string[];
  /** The texts that begin calls wherever they stand in an answer. */
  readonly openings: readonly string[];
  /** A text that begins calls only as an answer's first characters; `read` gets it too. */
  readonly bare?: string;
  /** Whether a model writes its calls this way. The first of the catalogue that says so is taken. */
  recognises(model: ModelFacts): boolean;
  /** Every part of an answer has markup, so that `read` also gives out text and reasoning, with and without tools. */
  readonly readsAnswers?: true;
  /** The chat template is shown no tools: `messages` describes them. */
  readonly describesTools?: true;
  /** The conversation as the template wants it, with its calls and their results; unchanged by default. */
  messages?(messages: readonly ChatMessage[], tools: readonly unknown[], model: ModelFacts): readonly ChatMessage[];
  /**
   * Reads calls from behind an opening on, until text may follow. Returns false where there is no call: the opening is
   * then content, and so is all that was taken since the last part.
   */
  read(input: Input, answer: Answered): Reading;
  /** The texts, from opening to end, that are one call of the tools, or several where `syntax.several` is set. */
  grammar(syntax: CallSyntax): Promise<Expression>;
}

/** Facts about a model's calls, from its chat template and its vocabulary. */
export interface ModelFacts {
  /** A conversation of a question and a call of `probe`, as the chat template writes it; empty where that fails. */
  called: string;
  /** Whether the template shows the tools it is given. */
  shown: boolean;
  /** Whether it takes a system message. */
  system: boolean;
  /** Whether a text stands in one of its chat templates. */
  writesTag(text: string): boolean;
  tokenizer: Tokenizer;
}

/** The answer that is read. */
export interface Answered {
  /** Which of the openings, or `bare`, began the calls. */
  opening: string;
  /** The functions that may be called, by name. */
  callable: ReadonlyMap<string, ToolDefinition['function']>;
}

/** The parts of a grammar of calls. */
export interface CallSyntax {
  tools: readonly CallableTool[];
  several: boolean;
  model: ModelFacts;
  /** The mark as its control token, behind which a space may stand, or written out. */
  mark(mark: string): Expression;
  /** The answer's beginning: a mark, or a space that may come before text. */
  first(mark?: string): Expression;
}

export interface CallableTool {
  name: string;
  /** JSON Schema of the arguments, an object. */
  schema: unknown;
  /** JSON that fits the schema, or a part of it. */
  json(schema: unknown): Promise<Expression>;
}

/** The function that `ModelFacts.called` calls. */
export const probe = {
  type: 'function',
  function: {
    name: 'probe_function',
    description: 'Probes.',
    parameters: { type: 'object', properties: { probe_argument: { type: 'string' } }, required: ['probe_argument'] },
  },
} satisfies ToolDefinition;

/** Whether the template shows tools and writes a call of `probe` as `pattern` says. */
export function writesCallsAs(pattern: RegExp): (model: ModelFacts) => boolean {
  return ({ shown, called }) => shown && pattern.test(called);
}

/** Whether the template writes the calls of earlier turns. */
export const writesCalls = ({ called }: ModelFacts): boolean => /probe_argument['"]?\s*[:=>]\s*['"]?x/.test(called);
