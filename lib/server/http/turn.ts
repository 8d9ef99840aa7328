// Spreads the work of requests that arrive together: checking, templating and encoding take a millisecond each, and many
// in a row would hold up the streams and timers of everybody else.

let last: Promise<void> = Promise.resolve();

/** Resolves for one caller in each turn of the event loop, in the order of the calls. */
export function nextTurn(): Promise<void> {
  last = last.then(() => new Promise((resolve) => setImmediate(resolve)));
  return last;
}
