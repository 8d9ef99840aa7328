// The pace of training: it lets the event loop run, and whoever shares the device have its turn.
import { TimeSlice } from '../flow/pause.js';

/**
 * Waits until training may queue more work; undefined where nobody else wants the device. Called
 * between any two steps of a forward or backward pass, which are milliseconds of a device's work.
 */
export type Turn = (signal: AbortSignal) => Promise<void> | undefined;

/** A pause to make between two stretches of calls. */
export function pacer(signal: AbortSignal, turn: Turn | undefined): () => Promise<void> {
  const slice = new TimeSlice();
  return async () => {
    if (slice.over) await slice.pause();
    await turn?.(signal);
  };
}
