// Training beside serving on one device: who may queue work next.
//
// While nothing is served, training runs freely, but never far ahead of the device, so that a request finds a short
// queue. While something is served, training's stretches run between steps, for its share of the time: a stretch that
// took longer than its due is made up for by the steps after it.

/** Stretches that training may be ahead of the device: enough to keep it busy, short to wait for. */
const ahead = 4;
/** Stretches between two looks at the device. */
const stride = 4;
/** Milliseconds of training between two steps, at most, while it is not in debt. */
const longestTurn = 50;

export class TrainingTurns {
  readonly #waiting: { start: () => void; refuse: (error: unknown) => void }[] = [];
  readonly #fences: Promise<void>[] = [];
  #stretches = 0;
  /** Milliseconds that training has earned; below 0 it has taken too many. */
  #credit = 0;
  #since: number | undefined;

  /**
   * `share` of the device's time goes to training while something is served. `fence` resolves once all that was queued
   * has run.
   */
  constructor(
    private readonly share: number,
    private readonly serving: () => boolean,
    private readonly fence: () => Promise<void>,
  ) {}

  /** Resolves when training may queue its next stretch of work; undefined if that is now. */
  turn(signal?: AbortSignal): Promise<void> | undefined {
    signal?.throwIfAborted();
    if (!this.serving()) return this.#pace();
    return new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1);
        reject(signal!.reason);
      };
      const settle = (done: () => void): void => {
        signal?.removeEventListener('abort', stop);
        done();
      };
      const entry = { start: () => settle(resolve), refuse: (error: unknown) => settle(() => reject(error)) };
      signal?.addEventListener('abort', stop, { once: true });
      this.#waiting.push(entry);
    });
  }

  /** Whether training has earned a turn between two steps. */
  get due(): boolean {
    const now = performance.now();
    if (this.#waiting.length === 0) {
      this.#since = undefined;
      return false;
    }
    if (this.#since !== undefined) {
      const earned = ((now - this.#since) * this.share) / (1 - this.share);
      this.#credit = Math.min(this.#credit + earned, longestTurn);
    }
    this.#since = now;
    return this.#credit > 0;
  }

  /** Lets training work until its time is used up. Nothing else is queued meanwhile. */
  async grant(): Promise<void> {
    while (this.#waiting.length > 0 && this.#credit > 0) {
      const began = performance.now();
      this.#waiting.shift()!.start();
      // The stretch is queued by the time that the event loop comes round.
      await new Promise((resolve) => setImmediate(resolve));
      await this.fence();
      this.#credit -= performance.now() - began;
    }
    this.#since = performance.now();
  }

  /** Nothing is served any more: whoever waits goes on. */
  release(): void {
    this.#credit = 0;
    this.#since = undefined;
    for (const { start } of this.#waiting.splice(0)) start();
  }

  /** The engine is gone. */
  refuse(error: unknown): void {
    for (const { refuse } of this.#waiting.splice(0)) refuse(error);
  }

  #pace(): Promise<void> | undefined {
    if (++this.#stretches % stride !== 0) return undefined;
    this.#fences.push(this.fence());
    return this.#fences.length > ahead ? this.#fences.shift() : undefined;
  }
}
