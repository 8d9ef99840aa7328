// Many pieces of work of one call, so many at a time; the first failure ends the rest.
import { onAbort } from './abort.js';

/**
 * Maps `items` to the results of `work`, in order, at most `most` at a time. The first failure, or `signal`, aborts the
 * signal that `work` gets.
 *
 * @throws (as a rejection) the first failure, once all have ended.
 */
export async function mapBounded<T, R>(
  items: readonly T[],
  most: number,
  signal: AbortSignal | undefined,
  work: (item: T, index: number, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const stop = new AbortController();
  const release = onAbort([signal], (reason) => stop.abort(reason));
  const results: R[] = [];
  let next = 0;
  const line = async (): Promise<void> => {
    while (next < items.length) {
      stop.signal.throwIfAborted();
      const index = next++;
      results[index] = await work(items[index]!, index, stop.signal);
    }
  };
  const lines = Array.from({ length: Math.min(most, items.length) }, () =>
    line().catch((error: unknown) => {
      if (!stop.signal.aborted) stop.abort(error);
    }),
  );
  try {
    await Promise.all(lines);
    stop.signal.throwIfAborted();
    return results;
  } finally {
    release();
  }
}
