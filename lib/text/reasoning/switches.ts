// What a caller says of reasoning, as the variables by which chat templates switch it. A template without a variable does
// not see it.

/** Levels of effort, as clients name them. A model with fewer of them takes the nearest. */
export const efforts = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'] as const;
export type Effort = (typeof efforts)[number];

export interface ReasoningOptions {
  /** Whether the model reasons; by default as its template has it. */
  enabled?: boolean;
  effort?: Effort;
  /** The most tokens of reasoning: its end is then written for the model. */
  budget?: number;
}

interface Switch {
  variable: RegExp;
  value(wish: Omit<ReasoningOptions, 'enabled'> & { enabled: boolean | undefined }): unknown;
}

// Names as variables, not as fields of messages.
const named = (name: string): RegExp => new RegExp(`(?<![.\\w'"])${name}\\b(?!['"])`);

const switches: Readonly<Record<string, Switch>> = {
  enable_thinking: { variable: named('enable_thinking'), value: ({ enabled }) => enabled },
  thinking: { variable: named('thinking'), value: ({ enabled }) => enabled },
  reasoning_effort: {
    variable: named('reasoning_effort'),
    value: ({ enabled, effort }) => (effort === undefined ? (enabled === false ? 'low' : undefined) : level(effort)),
  },
  low_effort: {
    variable: named('low_effort'),
    value: ({ effort }) => (effort === 'low' || effort === 'minimal' ? true : undefined),
  },
  thinking_budget: { variable: named('thinking_budget'), value: thinkingBudget },
};

const level = (effort: Effort): 'low' | 'medium' | 'high' => {
  if (effort === 'medium') return 'medium';
  return effort === 'high' || effort === 'xhigh' || effort === 'max' ? 'high' : 'low';
};

/** Seed-OSS's budgets; -1 is without a limit. */
const budgets = [512, 1024, 2048, 4096, 8192, 16384];
const budgetOf: Readonly<Record<Effort, number | undefined>> = {
  none: 0,
  minimal: 512,
  low: 1024,
  medium: 4096,
  high: 16384,
  xhigh: -1,
  max: -1,
};

function thinkingBudget({ enabled, effort, budget }: Parameters<Switch['value']>[0]): number | undefined {
  if (enabled === false) return 0;
  if (budget !== undefined) return budgets.findLast((one) => one <= budget) ?? (budget > 0 ? budgets[0] : 0);
  return effort && budgetOf[effort];
}

/** The variables for a chat template whose text is `template`. */
export function reasoningVariables(wish: ReasoningOptions, template: string): Record<string, unknown> {
  const enabled = enabledBy(wish);
  const variables: Record<string, unknown> = {};
  for (const [name, { variable, value }] of Object.entries(switches)) {
    if (!variable.test(template)) continue;
    const given = value({ ...wish, enabled });
    if (given !== undefined) variables[name] = given;
  }
  return variables;
}

export function enabledBy({ enabled, effort }: ReasoningOptions): boolean | undefined {
  return enabled ?? (effort === undefined ? undefined : effort !== 'none');
}
