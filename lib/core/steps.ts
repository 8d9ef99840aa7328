// Work in steps: a generator that yields wherever its runner may pause, so that no stretch of a device's work is long.
import type { Device } from './device.js';

export type Steps<T> = Generator<void, T, void>;

/** One step that runs `body`. */
// biome-ignore lint/correctness/useYield: it has nothing to wait for
export function* inOne<T>(body: () => T): Steps<T> {
  return body();
}

/** Runs all steps in one stretch. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const next = steps.next();
    if (next.done) return next.value;
  }
}

/** Runs the steps with a pause between any two. */
export async function paced<T>(steps: Steps<T>, pause: () => Promise<void> | undefined): Promise<T> {
  try {
    for (;;) {
      const next = steps.next();
      if (next.done) return next.value;
      await pause();
    }
  } finally {
    steps.return(undefined as T); // where the pause threw
  }
}

/** The same steps, each inside `wrap`. */
export function* within<T>(wrap: <R>(stretch: () => R) => R, steps: Steps<T>): Steps<T> {
  try {
    for (;;) {
      const next = wrap(() => steps.next());
      if (next.done) return next.value;
      yield;
    }
  } finally {
    steps.return(undefined as T);
  }
}

/** A value that is there, or comes in steps. */
export type Stepwise<T extends object> = T | Steps<T>;

export function* settled<T extends object>(value: Stepwise<T>): Steps<T> {
  return 'next' in value ? yield* value : value;
}

/** Multiplications in one call on the CPU, at most: about 10 ms of two AVX-512 cores. No GPU takes long for a call. */
const mostWork = 2 ** 30;

/**
 * How many of `count` rows, of `work` multiplications each, go into one call: a multiple of `grain`, so that few tiles
 * of a product are ragged. It depends on sizes alone, so that sums are always the same.
 */
export function rowsInCall(device: Device, count: number, work: number, grain = 96): number {
  const calls = device.name === 'cpu' ? Math.ceil((count * work) / mostWork) : 1;
  return calls <= 1 ? count : Math.ceil(count / calls / grain) * grain;
}
