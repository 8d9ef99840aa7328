// Jobs whose work met a shortage of the machine, or whose end could not be stored: each is tried again after a pause,
// which doubles from a second to a minute (exponential backoff).
import type { JobRecord } from './record.js';

const firstPause = 1000;
const longestPause = 60_000;

export class Retries {
  readonly #pauses = new Map<JobRecord, number>();
  readonly #timers = new Map<JobRecord, NodeJS.Timeout>();
  #closed = false;

  constructor(private readonly again: (job: JobRecord) => void) {}

  /** Whether the job waits for its next try. */
  has(job: JobRecord): boolean {
    return this.#timers.has(job);
  }

  add(job: JobRecord): void {
    if (this.#closed || this.has(job)) return;
    const pause = this.#pauses.get(job) ?? firstPause;
    this.#pauses.set(job, Math.min(2 * pause, longestPause));
    const timer = setTimeout(() => this.now(job), pause).unref();
    this.#timers.set(job, timer);
  }

  /** Ends the pause. False where the job does not wait. */
  now(job: JobRecord): boolean {
    if (!this.has(job)) return false;
    clearTimeout(this.#timers.get(job));
    this.#timers.delete(job);
    this.again(job);
    return true;
  }

  /** The job got on: its next pause is short again. */
  forget(job: JobRecord): void {
    this.#pauses.delete(job);
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
