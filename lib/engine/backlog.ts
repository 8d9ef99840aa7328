// How much work training has queued on a device that it has not run, in milliseconds as measured so far.
import { type Clock, monotonic } from '../flow/clock.js';

/** Short pieces share a fence: it is worth so many milliseconds of them. */
const worthOfFence = 2;
const longestSleep = 20;

interface Batch {
  pieces: number;
  reached: Promise<void>;
}

export class Backlog {
  /** Pieces of work that were queued. */
  count = 0;
  /** Milliseconds that a piece takes, averaged over the last ones; before the first, enough to wait for it. */
  average = 20;
  /** Batches of pieces with a fence behind them. */
  readonly #fenced: Batch[] = [];
  /** Pieces behind the last fence. */
  #open = 0;
  /** Since when the pieces run that are the next to be done. */
  #since = 0;

  /** `fence` resolves once all that was queued has run. */
  constructor(
    private readonly fence: () => Promise<void>,
    private readonly clock: Clock = monotonic,
  ) {}

  /** What was queued since the last call is a piece of work. */
  add(): void {
    if (this.#open === 0 && this.#fenced.length === 0) this.#since = this.clock.now();
    this.count++;
    this.#open++;
    if (this.#open * this.average >= worthOfFence) this.#close();
  }

  /** Milliseconds until all is likely to be done. */
  get remaining(): number {
    const pieces = this.#fenced.reduce((sum, batch) => sum + batch.pieces, this.#open);
    if (pieces === 0) return 0;
    const first = this.#fenced[0]?.pieces ?? pieces;
    const elapsed = this.clock.now() - this.#since;
    return Math.max(0, first * this.average - elapsed) + (pieces - first) * Math.max(this.average, elapsed / first);
  }

  /** Resolves when at most `milliseconds` of it are likely to remain. */
  async below(milliseconds: number): Promise<void> {
    for (let over = this.remaining - milliseconds; over > 0; over = this.remaining - milliseconds) {
      const [first] = this.#fenced;
      await Promise.race([this.clock.sleep(Math.min(over, longestSleep)), ...(first ? [first.reached] : [])]);
    }
  }

  /** Resolves when all that was added by now is done. */
  done(): Promise<void> {
    if (this.#open > 0) this.#close();
    return this.#fenced.at(-1)?.reached ?? Promise.resolve();
  }

  #close(): void {
    const pieces = this.#open;
    this.#open = 0;
    const reached = (): void => {
      const now = this.clock.now();
      this.average += ((now - this.#since) / pieces - this.average) / 4;
      this.#since = now;
      this.#fenced.shift();
    };
    // A fence that fails was reached too; the failure belongs to another call.
    this.#fenced.push({ pieces, reached: this.fence().then(reached, reached) });
  }
}
