// Stream: work that gives values on the way and a result at the end. The values lie in a channel until they are read.
import { onAbort } from './abort.js';
import { Channel } from './channel.js';

/**
 * An `AsyncIterable` of values that is also a promise of the result. The work starts at once and does not wait for a
 * reader. Leaving a `for await` early cancels it. A failure reaches the reader of the values, the awaiter of the
 * result, or both.
 */
export class Stream<T, R> implements AsyncIterable<T>, Promise<R> {
  readonly [Symbol.toStringTag] = 'Stream';
  readonly #result: Promise<R>;
  readonly #cancel = new AbortController();
  readonly #values: Channel<T, void>;

  /** Backpressure: the work waits while `maxUnread` values are unread. Without it a stream needs no reader. */
  constructor(work: (signal: AbortSignal) => AsyncGenerator<T, R, void>, signal?: AbortSignal, maxUnread?: number) {
    this.#values = new Channel<T, void>({ left: undefined, maxUnread });
    const release = onAbort([signal], (reason) => this.cancel(reason));
    this.#result = this.#run(work, this.#cancel.signal).finally(release);
    // A caller that only iterates gets the failure there; an unhandled rejection would end the process.
    this.#result.catch(() => {});
  }

  async #run(work: (signal: AbortSignal) => AsyncGenerator<T, R, void>, signal: AbortSignal): Promise<R> {
    try {
      const generator = work(signal);
      for (;;) {
        const next = await generator.next();
        if (next.done) return next.value;
        this.#values.push(next.value);
        if (this.#values.full) await this.#values.room();
      }
    } finally {
      this.#values.finish();
    }
  }

  /** Each value goes to one reader. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    let finished = false;
    try {
      for (let next = await this.#values.next(); !next.done; next = await this.#values.next()) yield next.value;
      await this.#result;
      finished = true;
    } finally {
      if (!finished) this.cancel();
    }
  }

  /** Stops the work at its next safe point. */
  cancel(reason?: unknown): void {
    this.#cancel.abort(reason);
    this.#values.release();
  }

  // biome-ignore lint/suspicious/noThenProperty: being awaitable is what this class is for.
  then<A = R, B = never>(
    onResult?: ((result: R) => A | PromiseLike<A>) | null,
    onError?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#result.then(onResult, onError);
  }

  catch<B = never>(onError?: ((error: unknown) => B | PromiseLike<B>) | null): Promise<R | B> {
    return this.#result.catch(onError);
  }

  finally(onEnd?: (() => void) | null): Promise<R> {
    return this.#result.finally(onEnd);
  }
}
