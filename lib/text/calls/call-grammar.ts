// Building blocks of a dialect's grammar.

import { character, choice, type Expression, optional, repeat, sequence, words } from '../grammar/expression.js';
import { textExpression } from '../grammar/pattern.js';
import { textWithout } from '../grammar/without.js';
import type { CallableTool } from './dialects/dialect.js';

const mostCalls = 16;

/** One call and up to fifteen further. */
export function upToMost(one: Expression, further: Expression): Expression {
  return sequence(one, repeat(further, 0, mostCalls - 1));
}

/** A call of any of the tools, as `write` puts its name and its JSON arguments. */
export async function oneOf(
  tools: readonly CallableTool[],
  write: (name: string, given: Expression) => Expression,
): Promise<Expression> {
  const calls: Expression[] = [];
  // One after the other: the schemas share a budget, and its order decides which of them is relaxed.
  for (const { name, schema, json } of tools) calls.push(write(name, await json(schema)));
  return choice(...calls);
}

/** Entries with `comma` between them, in their order; those behind the first `needed` may be missing. */
export function listed(entries: readonly Expression[], needed: number, comma: Expression): Expression {
  const behind = (from: number): Expression[] => entries.slice(from).map((entry) => optional(sequence(comma, entry)));
  if (entries.length === 0) return sequence();
  if (needed > 0) {
    const first = entries.slice(0, needed).flatMap((entry, i) => (i > 0 ? [comma, entry] : [entry]));
    return sequence(...first, ...behind(needed));
  }
  // Any of them may be the first.
  return optional(choice(...entries.map((entry, i) => sequence(entry, ...behind(i + 1)))));
}

/** A function's parameters, the required ones first, and how many those are. */
export function parametersOf(schema: unknown): { entries: [key: string, schema: unknown][]; needed: number } {
  const { properties = {}, required } = (schema ?? {}) as { properties?: Record<string, unknown>; required?: unknown };
  const isRequired = (key: string): boolean => Array.isArray(required) && required.includes(key);
  const entries = Object.entries(properties).sort(([a], [b]) => Number(isRequired(b)) - Number(isRequired(a)));
  return { entries, needed: entries.filter(([key]) => isRequired(key)).length };
}

/** A string of the schema as it stands, without quotes, up to `close`, which it does not hold. */
export function bareString(schema: unknown, close: string): Expression {
  const { enum: values, const: only, pattern, minLength = 0, maxLength } = (schema ?? {}) as Record<string, unknown>;
  if (typeof only === 'string') return words([only]);
  if (Array.isArray(values)) return words(values.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))));
  const matching = typeof pattern === 'string' ? textExpression(pattern) : undefined;
  if (matching) return matching;
  if (typeof maxLength === 'number' && maxLength <= longestCounted && typeof minLength === 'number') {
    return repeat(character(plainCharacters), minLength, maxLength);
  }
  return textWithout([close]);
}

/** Longer strings are not counted. */
const longestCounted = 256;
/** All but what begins a tag. */
const plainCharacters = [
  [0x20, 0x3b],
  [0x3d, 0xd7ff],
  [0xe000, 0x10ffff],
] as const;
