// The tokens of one request, on their way from the engine to whoever reads them.

export type Finish = 'stop' | 'length';

/** An async generator that is filled from outside. Leaving it, even while a read is waiting, tells the engine at once. */
export class TokenStream<T> implements AsyncGenerator<T, Finish, void> {
  /** Tokens of the prompt that were found in the cache: known with the first value. */
  cachedTokens = 0;
  readonly #values: T[] = [];
  readonly #readers: { resolve: (result: IteratorResult<T, Finish>) => void; reject: (error: unknown) => void }[] = [];
  #end: { finish: Finish } | { error: unknown } | undefined;

  constructor(
    private readonly onLeave: () => void,
    private readonly onRead: () => void = () => {},
  ) {}

  /** Values that nobody has taken. */
  get unread(): number {
    return this.#values.length;
  }

  push(value: T): void {
    const reader = this.#readers.shift();
    if (reader) reader.resolve({ value, done: false });
    else if (!this.#end) this.#values.push(value);
  }

  finish(finish: Finish): void {
    this.#close({ finish });
  }

  fail(error: unknown): void {
    this.#close({ error });
  }

  next(): Promise<IteratorResult<T, Finish>> {
    const value = this.#values.shift();
    if (value !== undefined) {
      this.onRead();
      return Promise.resolve({ value, done: false });
    }
    if (this.#end) return this.#last(this.#end);
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
    });
  }

  async return(finish: Finish | PromiseLike<Finish> = 'stop'): Promise<IteratorResult<T, Finish>> {
    this.#values.length = 0;
    this.#close({ finish: 'stop' });
    this.onLeave();
    return { value: await finish, done: true };
  }

  async throw(error: unknown): Promise<IteratorResult<T, Finish>> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #close(end: { finish: Finish } | { error: unknown }): void {
    if (this.#end) return;
    this.#end = end;
    // At most the first reader gets a failure; the others, and all later ones, find the end.
    for (const { resolve, reject } of this.#readers.splice(0)) this.#last(this.#end).then(resolve, reject);
  }

  #last(end: { finish: Finish } | { error: unknown }): Promise<IteratorResult<T, Finish>> {
    this.#end = { finish: 'finish' in end ? end.finish : 'stop' };
    if ('error' in end) return Promise.reject(end.error);
    return Promise.resolve({ value: end.finish, done: true });
  }
}
