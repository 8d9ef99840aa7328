// Simulated time: it stands still while anything is ready to run, then jumps to the next timer. What a test sees does not
// depend on the processor's speed, or on what else it does.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../lib/flow/clock.js';

/** Turns of the event loop without a new timer after which everything waits for time to pass. */
const turnsUntilIdle = 12;
/** Milliseconds between two ticks; a power of two, so that sums of it are exact. */
const tick = 1 / 8;

export class SimulatedClock implements Clock {
  #now = 0;
  #timers: { at: number; fire: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  sleep(milliseconds: number): Promise<void> {
    const at = this.#now + Math.max(1, Math.ceil(milliseconds / tick)) * tick;
    return new Promise((fire) => void this.#timers.push({ at, fire }));
  }

  /**
   * Lets time pass until `work` is settled, and gives its result.
   *
   * @throws Error if nothing could ever settle it.
   */
  async run<T>(work: () => Promise<T>): Promise<T> {
    let settled = false;
    const result = work().finally(() => {
      settled = true;
    });
    result.catch(() => {}); // a rejection while time passes is the caller's, from the return below
    while (!settled) {
      for (let i = 0; i < turnsUntilIdle && !settled; i++) await nextTurn();
      if (!settled) this.#jump();
    }
    return result;
  }

  #jump(): void {
    if (this.#timers.length === 0)
      throw new Error('SimulatedClock: nothing waits for time, so that it would never end');
    this.#now = Math.min(...this.#timers.map(({ at }) => at));
    const due = this.#timers.filter(({ at }) => at <= this.#now);
    this.#timers = this.#timers.filter(({ at }) => at > this.#now);
    for (const { fire } of due) fire();
  }
}

/** A device on that clock that takes `milliseconds` for each piece of work, one after the other. */
export function slowDevice(clock: Clock, milliseconds: number) {
  let queued = 0;
  let last = Promise.resolve();
  const work = (): void => {
    queued++;
    last = last.then(() => clock.sleep(milliseconds)).then(() => void queued--);
  };
  return { work, fence: () => last, queued: () => queued };
}
