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
  #ended = false;

  constructor(work: (signal: AbortSignal) => AsyncGenerator<T, R, void>, signal?: AbortSignal) {
    const both = signal ? AbortSignal.any([signal, this.#cancel.signal]) : this.#cancel.signal;
    this.#result = this.#run(work, both);
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
        while (this.#values.length > 0) yield this.#values.shift() as T;
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
