// Stream: work that gives values on the way and a result at the end.

/**
 * An `AsyncIterable` of values that is also a promise of the result. The work starts at once and does not wait for a
 * reader. Leaving a `for await` early cancels it. A failure reaches the reader of the values, the awaiter of the
 * result, or both.
 */
export class Stream<T, R> implements AsyncIterable<T>, Promise<R> {
  readonly [Symbol.toStringTag] = 'Stream';
  readonly #result: Promise<R>;
  readonly #cancel = new AbortController();
  readonly #values: T[] = [];
  #wake: (() => void) | undefined;
  #taken: (() => void) | undefined;
  #ended = false;

  /** With `maxUnread` the work waits while so many values wait for their reader; then somebody has to read them. */
  constructor(
    work: (signal: AbortSignal) => AsyncGenerator<T, R, void>,
    signal?: AbortSignal,
    private readonly maxUnread = Number.POSITIVE_INFINITY,
  ) {
    // Not AbortSignal.any: a signal that lives as long as the process would keep every stream.
    const cancel = (): void => this.cancel(signal!.reason);
    if (signal?.aborted) cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    this.#result = this.#run(work, this.#cancel.signal).finally(() => signal?.removeEventListener('abort', cancel));
    // Whoever only iterates gets the failure there; it must not also end the process as an unhandled rejection.
    this.#result.catch(() => {});
  }

  async #run(work: (signal: AbortSignal) => AsyncGenerator<T, R, void>, signal: AbortSignal): Promise<R> {
    try {
      const generator = work(signal);
      for (;;) {
        const next = await generator.next();
        if (next.done) return next.value;
        this.#values.push(next.value);
        this.#wake?.();
        while (this.#values.length >= this.maxUnread && !signal.aborted) {
          await new Promise<void>((resolve) => {
            this.#taken = resolve;
          });
        }
      }
    } finally {
      this.#ended = true;
      this.#wake?.();
    }
  }

  /** Each value goes to one reader. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    let finished = false;
    try {
      for (;;) {
        while (this.#values.length > 0) {
          const value = this.#values.shift() as T;
          this.#taken?.();
          yield value;
        }
        if (this.#ended) break;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      await this.#result;
      finished = true;
    } finally {
      if (!finished) this.cancel();
    }
  }

  /** Stops the work at its next safe point. */
  cancel(reason?: unknown): void {
    this.#cancel.abort(reason);
    this.#taken?.();
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
