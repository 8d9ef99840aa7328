// Building blocks of a dialect's grammar.

import { choice, type Expression, repeat, sequence } from '../grammar/expression.js';
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
