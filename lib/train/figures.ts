// The figures of a step: sums over its micro-batches, as means.
import type { Total, Totals } from './methods/method.js';

/** The loss, and what the method reports beside it. */
export interface Means {
  /** Nats. */
  loss: number;
  [figure: string]: number;
}

/** The mean of each total over all parts, so that it does not depend on how rows were packed. */
export function meansOf(parts: readonly Totals[]): Means {
  const added = new Map<string, Total>();
  for (const part of parts) {
    for (const [name, total] of Object.entries(part) as [string, Total | undefined][]) {
      if (total === undefined) continue;
      const { sum, count } = added.get(name) ?? { sum: 0, count: 0 };
      added.set(name, { sum: sum + total.sum, count: count + total.count });
    }
  }
  const means = [...added].filter(([, { count }]) => count > 0).map(([name, { sum, count }]) => [name, sum / count]);
  return Object.fromEntries(means) as Means;
}

/** The name of a figure where it is measured over `evalData`. */
export const evalName = (figure: string): string => `eval${figure[0]!.toUpperCase()}${figure.slice(1)}`;
