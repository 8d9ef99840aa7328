// How much work training has queued on a device that it has not run, in milliseconds as measured so far.
import { setTimeout as sleep } from 'node:timers/promises';

const longestSleep = 20;

export class Backlog {
  /** Pieces of work that were queued. */
  count = 0;
  /** Milliseconds that a piece takes, averaged over the last ones; before the first, enough to wait for it. */
  average = 20;
  readonly #waiting: Promise<void>[] = [];
  /** Since when the piece runs that is the next to be done. */
  #since = 0;

  /** `fence` resolves once all that was queued has run. */
  constructor(private readonly fence: () => Promise<void>) {}

  /** What was queued since the last call is a piece of work. */
  add(): void {
    this.count++;
    if (this.#waiting.length === 0) this.#since = performance.now();
    const reached = (): void => {
      const now = performance.now();
      this.average += (now - this.#since - this.average) / 4;
      this.#since = now;
      this.#waiting.shift();
    };
    // Whoever's failure it is: it was reached.
    this.#waiting.push(this.fence().then(reached, reached));
  }

  /** Milliseconds until all is likely to be done. */
  get remaining(): number {
    const { length } = this.#waiting;
    if (length === 0) return 0;
    const elapsed = performance.now() - this.#since;
    return (length - 1) * Math.max(this.average, elapsed) + Math.max(0, this.average - elapsed);
  }

  /** Resolves when at most `milliseconds` of it are likely to remain. */
  async below(milliseconds: number): Promise<void> {
    while (this.remaining > milliseconds) {
      await Promise.race([this.#waiting[0], sleep(Math.min(this.remaining - milliseconds, longestSleep))]);
    }
  }

  /** Resolves when all that was added by now is done. */
  done(): Promise<void> {
    return this.#waiting.at(-1) ?? Promise.resolve();
  }
}
