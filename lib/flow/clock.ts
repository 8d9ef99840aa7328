// The clock that decisions about time are made by. It is a parameter, so that tests give one whose time only they pass.
import { setTimeout as sleep } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. */
  now(): number;
  /** Resolves after so many milliseconds. */
  sleep(milliseconds: number): Promise<void>;
}

/** The process's own clock. */
export const monotonic: Clock = {
  now: () => performance.now(),
  sleep: (milliseconds) => sleep(milliseconds),
};
