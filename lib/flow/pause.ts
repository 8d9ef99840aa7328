// Long work in short stretches: between them the event loop runs its timers and sockets.
import { setImmediate } from 'node:timers/promises';

// Well below the 5 ms that a server's timers may be late for it.
const sliceMilliseconds = 3;

/** Resolves in the next turn of the event loop. Of many callers all go on in the same turn: see `ownTurn`. */
export const nextTurn = (): Promise<void> => setImmediate();

let last: Promise<void> = Promise.resolve();

/**
 * Resolves for one caller in each turn of the event loop, in the order of the calls. For work of about a millisecond
 * that cannot be cut and that many may begin at once: in one turn it would hold up all streams and timers.
 */
export function ownTurn(): Promise<void> {
  last = last.then(nextTurn);
  return last;
}

/** A time slice of a long piece of work: `if (slice.over) await slice.pause()` wherever it can be cut. */
export class TimeSlice {
  #until = performance.now() + sliceMilliseconds;

  constructor(private readonly signal?: AbortSignal) {}

  get over(): boolean {
    return performance.now() >= this.#until;
  }

  /** Lets the event loop run if the slice is over, and begins the next. @throws the signal's reason, in either case. */
  async pause(): Promise<void> {
    if (this.over) {
      await nextTurn();
      this.#until = performance.now() + sliceMilliseconds;
    }
    this.signal?.throwIfAborted();
  }
}

/** What `work` comes to; undefined where that takes longer than `milliseconds`. */
export async function within<T>(milliseconds: number, work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
