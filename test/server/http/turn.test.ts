// What nextTurn is for: requests that arrive together, each with some work that cannot be cut.
import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { nextTurn } from '../../../lib/server/http/turn.js';

/** How long a timer waited at most while sixteen callers worked for 5 ms each, in milliseconds. */
async function longestWait(turn: () => Promise<unknown>): Promise<number> {
  let last = performance.now();
  let longest = 0;
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const work = async (): Promise<void> => {
    await turn();
    for (const end = performance.now() + 5; performance.now() < end; );
  };
  await Promise.all(Array.from({ length: 16 }, work));
  await new Promise((resolve) => setTimeout(resolve, 5));
  clearInterval(timer);
  return longest;
}

it('gives each caller a turn of its own, where setImmediate gives all the same', async () => {
  const together = await longestWait(() => setImmediate());
  const apart = await longestWait(nextTurn);
  console.info(`a timer waits ${together.toFixed(0)} ms behind sixteen callers together, ${apart.toFixed(0)} ms apart`);
  expect(together).toBeGreaterThan(75);
  expect(apart).toBeLessThan(together / 2);
});
