// The grammar that an answer is kept within: JSON of a schema, calls of functions, or either.

import {
  type CodeRange,
  character,
  choice,
  control,
  type Expression,
  optional,
  repeat,
  sequence,
  text,
  words,
} from '../grammar/expression.js';
import {
  Budget,
  type CompiledSchema,
  compiled,
  compileJsonObject,
  compileJsonSchema,
  leadingSpace,
  schemaExpression,
} from '../grammar/index.js';
import * as json from '../grammar/json.js';
import { textExpression } from '../grammar/pattern.js';
import { textWithout } from '../grammar/without.js';
import type { CallableTool, CallSyntax } from './dialects/dialect.js';
import type { Recognised } from './recognise.js';
import type { ToolDefinition } from './tool-definition.js';

/** What a text must be: JSON, one of some texts, or a match of a whole regular expression. */
export type TextFormat =
  | { type: 'json' }
  | { type: 'schema'; schema: unknown }
  | { type: 'choice'; texts: readonly string[] }
  | { type: 'regex'; pattern: string };

export interface Constraint {
  /** The answer's text where it is no call; undefined where it must be one. */
  format: TextFormat | undefined;
  /** The tools that may be called. */
  tools: readonly ToolDefinition[];
  /** Whether an answer may hold several calls. */
  several: boolean;
  /** Whether any text may come before the calls, or instead of them. */
  freely?: boolean;
}

/** The constraint as a grammar; its control tokens are the dialect's marks, in their order. */
export function constrained(by: Recognised, constraint: Constraint): Promise<CompiledSchema> {
  const { format, tools, several, freely = false } = constraint;
  const { dialect, model, controls } = by;
  const written = controls.map((token) => token !== undefined);
  return recalled([dialect.name, model.called, written, format, tools, several, freely], async () => {
    if (format && tools.length === 0 && (format.type === 'json' || format.type === 'schema')) {
      return format.type === 'json' ? compileJsonObject() : compileJsonSchema(format.schema);
    }
    const budget = new Budget();
    if (format && tools.length === 0) {
      const { exact, free, warnings } = await formatExpressions(format, budget);
      return compiled(choice(...exact), warnings, choice(...free), budget);
    }
    const answer = await formatExpressions(format, budget);
    const calls = await callExpressions(by, constraint, budget);
    if (freely) {
      const before = textWithout(
        dialect.openings.filter((mark) => controls[dialect.marks.indexOf(mark)] === undefined),
      );
      const after = (written: Expression): Expression => sequence(before, optional(written));
      return compiled(after(calls.exact), calls.warnings, after(calls.free), budget);
    }
    return compiled(
      choice(...answer.exact, calls.exact),
      [...answer.warnings, ...calls.warnings],
      choice(...answer.free, calls.free),
      budget,
    );
  });
}

const anyCharacter: readonly CodeRange[] = [
  [0, 0xd7ff],
  [0xe000, 0x10ffff],
];

interface Written {
  exact: Expression[];
  /** Where the exact ones are too large. */
  free: Expression[];
  warnings: string[];
}

async function formatExpressions(format: Constraint['format'], budget: Budget): Promise<Written> {
  const led = (expression: Expression): Expression[] => [sequence(leadingSpace, expression)];
  if (!format) return { exact: [], free: [], warnings: [] };
  if (format.type === 'json') return { exact: led(json.object), free: led(json.value), warnings: [] };
  const anyText = [repeat(character(anyCharacter), 0, Number.POSITIVE_INFINITY)];
  if (format.type === 'choice') return { exact: [words(format.texts)], free: anyText, warnings: [] };
  if (format.type === 'regex') {
    const matching = textExpression(format.pattern);
    if (matching) return { exact: [matching], free: anyText, warnings: [] };
    return { exact: anyText, free: anyText, warnings: ['the regular expression is not understood'] };
  }
  const { expression, warnings } = await schemaExpression(format.schema, budget);
  return { exact: led(expression), free: led(json.value), warnings };
}

/** Calls with the arguments that the tools describe, and with any arguments. */
async function callExpressions(by: Recognised, { tools, several }: Constraint, budget: Budget) {
  const warnings: string[] = [];
  const syntax = (jsonOf: (tool: CallableTool, schema: unknown) => Promise<Expression>): CallSyntax => ({
    ...markExpressions(by),
    model: by.model,
    several,
    tools: tools.map(({ function: { name, parameters } }) => {
      // Without parameters a function takes no arguments.
      const described = parameters && Object.keys(parameters).length > 0 ? parameters : { properties: {} };
      const schema = { type: 'object', ...described };
      const tool: CallableTool = { name, schema, json: (part) => jsonOf(tool, part) };
      return tool;
    }),
  });
  const exact = await by.dialect.grammar(
    syntax(async (tool, schema) => {
      const given = await schemaExpression(schema, budget);
      warnings.push(...given.warnings.map((warning) => `${tool.name}: ${warning}`));
      return given.expression;
    }),
  );
  const free = await by.dialect.grammar(
    syntax(async (tool, schema) => (schema === tool.schema ? json.object : json.value)),
  );
  return { exact, free, warnings };
}

function markExpressions({ dialect, controls }: Recognised): Pick<CallSyntax, 'mark' | 'first'> {
  const indexOf = (mark: string): number => {
    const index = dialect.marks.indexOf(mark);
    if (index < 0) throw new Error(`dialect ${dialect.name}: "${mark}" is not among its marks`);
    return index;
  };
  const isControl = (mark: string): boolean => controls[indexOf(mark)] !== undefined;
  // Vocabularies whose words begin with a space have one behind a control token as well.
  const mark = (name: string): Expression =>
    isControl(name) ? sequence(control(indexOf(name)), leadingSpace) : text(name);
  const first = (name?: string): Expression => {
    if (name === undefined) return leadingSpace;
    return isControl(name) ? mark(name) : sequence(leadingSpace, text(name));
  };
  return { mark, first };
}

/** A cache: clients send the same schemas with every request, and a grammar remembers the steps it has taken. */
const grammars = new Map<string, Promise<CompiledSchema>>();
const mostGrammars = 16;
const mostKeyLength = 1 << 18;

function recalled(parts: readonly unknown[], make: () => Promise<CompiledSchema>): Promise<CompiledSchema> {
  const key = keyOf(parts);
  const made = grammars.get(key) ?? make();
  grammars.delete(key);
  if (key !== '') grammars.set(key, made);
  if (grammars.size > mostGrammars) grammars.delete(grammars.keys().next().value!);
  return made;
}

/** Empty for parts that are too large to keep, or nested deeper than JSON.stringify goes. */
function keyOf(parts: readonly unknown[]): string {
  try {
    const key = JSON.stringify(parts);
    return key.length > mostKeyLength ? '' : key;
  } catch {
    return '';
  }
}
