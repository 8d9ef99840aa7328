// Concurrent work on the texts of one request, bounded so that the engine's queue stays open for other clients.
import { onAbort } from '../../flow/abort.js';
import type { Model } from '../../model.js';
import type { ServerContext } from '../context.js';
import type { RequestFacts } from './generation.js';

// As many as one step of the engine takes.
const mostAtOnce = 8;

/**
 * Maps `texts`, of token ids, to the results of `work`, in order; never more at once than an idle engine holds. The first
 * failure, a client that leaves or a closing server aborts all of them, by the signal that `work` gets.
 *
 * @throws (as a rejection) the first failure, once all have ended.
 */
export async function mapTexts<T>(
  context: ServerContext,
  { engine }: Model,
  facts: RequestFacts,
  texts: readonly (readonly number[])[],
  work: (ids: readonly number[], signal: AbortSignal, index: number) => Promise<T>,
): Promise<T[]> {
  const { maxBatch, maxQueued, maxQueuedTokens } = engine.settings;
  const most = Math.min(mostAtOnce, maxBatch + maxQueued);
  const results: T[] = [];
  const running = new Set<Promise<void>>();
  let tokens = 0;
  const one = async (index: number, ids: readonly number[], signal: AbortSignal): Promise<void> => {
    tokens += ids.length;
    try {
      results[index] = await work(ids, signal, index);
    } finally {
      tokens -= ids.length;
    }
  };
  const stop = new AbortController();
  const release = onAbort([facts.signal, context.signal], (reason) => stop.abort(reason));
  try {
    for (const [index, ids] of texts.entries()) {
      while (running.size === most || (running.size > 0 && tokens + ids.length > maxQueuedTokens)) {
        await Promise.race(running);
      }
      stop.signal.throwIfAborted();
      const started = one(index, ids, stop.signal).finally(() => running.delete(started));
      running.add(started);
    }
    await Promise.all(running);
    return results;
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(running);
    throw error;
  } finally {
    release();
  }
}
