// Channel: values on their way from producers to readers, with an end.
//
// Backpressure: at `maxUnread` unread values the channel is full. What that means is the producer's: it awaits `room()`,
// or parks its work and goes on when `onRead` says that there are few. A push is never refused for being one too many.

export interface ChannelOptions<R> {
  /** The end as readers find it after one of them got the failure, or left. */
  left: R;
  /** Unread values at which the channel is full. Default: no bound. */
  maxUnread?: number | undefined;
  /** Called after each unread value that is taken. */
  onRead?: (() => void) | undefined;
  /** Called when a reader leaves before the end. */
  onLeave?: (() => void) | undefined;
}

type End<R> = { result: R } | { error: unknown };

interface Reader<T, R> {
  resolve: (next: IteratorResult<T, R>) => void;
  reject: (error: unknown) => void;
}

/**
 * An async generator that is filled from outside. Each value goes to one reader, in order. Leaving it, even while a read
 * is waiting, ends it at once.
 */
export class Channel<T, R> implements AsyncGenerator<T, R, void> {
  readonly #options: ChannelOptions<R>;
  readonly #values: T[] = [];
  readonly #readers: Reader<T, R>[] = [];
  /** Producers that await room. */
  readonly #producers: (() => void)[] = [];
  /** Callers that await a value or the end. */
  readonly #watchers: (() => void)[] = [];
  #end: End<R> | undefined;
  #released = false;

  constructor(options: ChannelOptions<R>) {
    this.#options = options;
  }

  /** Values that no reader has taken. */
  get unread(): number {
    return this.#values.length;
  }

  /** Whether a producer is to wait. Never after the end, or once the channel is released. */
  get full(): boolean {
    const { maxUnread = Number.POSITIVE_INFINITY } = this.#options;
    return this.#values.length >= maxUnread && !this.#released && !this.#end;
  }

  /** Values after the end are dropped. */
  push(value: T): void {
    if (this.#end) return;
    const reader = this.#readers.shift();
    if (reader) reader.resolve({ value, done: false });
    else this.#values.push(value);
    wake(this.#watchers);
  }

  /** Resolves once the channel is not full. */
  async room(): Promise<void> {
    while (this.full) await waitIn(this.#producers);
  }

  /** From now on the channel is never full: its work was cancelled, and must not wait for a reader on its way out. */
  release(): void {
    this.#released = true;
    wake(this.#producers);
  }

  /** Ends the channel. Unread values are still read. Only the first end counts. */
  finish(result: R): void {
    this.#close({ result });
  }

  /** Ends the channel with a failure, which one reader gets after the unread values. */
  fail(error: unknown): void {
    this.#close({ error });
  }

  /** Resolves once there is a value to read, or the end. It takes nothing. */
  async ready(): Promise<void> {
    while (this.#values.length === 0 && !this.#end) await waitIn(this.#watchers);
  }

  next(): Promise<IteratorResult<T, R>> {
    if (this.#values.length > 0) {
      const value = this.#values.shift() as T;
      if (!this.full) wake(this.#producers);
      this.#options.onRead?.();
      return Promise.resolve({ value, done: false });
    }
    if (this.#end) return this.#last(this.#end);
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
    });
  }

  /** Leaves the channel: unread values are dropped. */
  async return(result: R | PromiseLike<R> = this.#options.left): Promise<IteratorResult<T, R>> {
    this.#values.length = 0;
    this.#close({ result: this.#options.left });
    this.#options.onLeave?.();
    return { value: await result, done: true };
  }

  async throw(error: unknown): Promise<IteratorResult<T, R>> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #close(end: End<R>): void {
    if (this.#end) return;
    this.#end = end;
    for (const { resolve, reject } of this.#readers.splice(0)) this.#last(this.#end).then(resolve, reject);
    wake(this.#producers);
    wake(this.#watchers);
  }

  // One reader gets a failure; the others, and all later ones, find the end.
  #last(end: End<R>): Promise<IteratorResult<T, R>> {
    this.#end = { result: 'result' in end ? end.result : this.#options.left };
    if ('error' in end) return Promise.reject(end.error);
    return Promise.resolve({ value: end.result, done: true });
  }
}

const waitIn = (line: (() => void)[]): Promise<void> =>
  new Promise((resolve) => {
    line.push(resolve);
  });

function wake(line: (() => void)[]): void {
  for (const go of line.splice(0)) go();
}
