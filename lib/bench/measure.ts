// Repeats a measurement: warm-up first, then the median with its spread.

export interface Spread {
  median: number;
  min: number;
  max: number;
  repeats: number;
}

export interface Repeats {
  repeats: number;
  /** Runs that do not count, before the others: they fill caches and pools. */
  warmup: number;
  signal?: AbortSignal;
}

/** @throws RangeError without values, or where one is not a finite number, as of work that took no time. */
export function spread(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError('spread: there are no values');
  if (!values.every(Number.isFinite))
    throw new RangeError(
      `bench: a measurement gave ${values.find((value) => !Number.isFinite(value))}: measure more work`,
    );
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)!, repeats: sorted.length };
}

/** The spread of what `once` returns. */
export async function repeat({ repeats, warmup, signal }: Repeats, once: () => Promise<number>): Promise<Spread> {
  const values: number[] = [];
  for (let i = -warmup; i < repeats; i++) {
    signal?.throwIfAborted();
    const value = await once();
    if (i >= 0) values.push(value);
  }
  return spread(values);
}

/** Seconds that `work` took. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}
