// Long work in short stretches: timers and requests run in between.

// Well below the 5 ms that a server's timers may be late for it.
const longestStretch = 3;

/** Lets the event loop run now and then, by time. */
export class Breather {
  #since = performance.now();

  async pause(): Promise<void> {
    if (performance.now() - this.#since < longestStretch) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#since = performance.now();
  }
}
