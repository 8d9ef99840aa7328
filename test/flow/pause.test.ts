// Pauses: turns for requests that arrive together, and time slices.
import { expect, it, vi } from 'vitest';
import { nextTurn, ownTurn, TimeSlice, within } from '../../lib/flow/pause.js';

/** The turn of the event loop in which each of eight callers goes on that pause at once. */
async function turnsOf(pause: () => Promise<void>): Promise<number[]> {
  let turn = 0;
  let counting = true;
  const count = (): void => {
    turn++;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  const turns = await Promise.all(Array.from({ length: 8 }, () => pause().then(() => turn)));
  counting = false;
  return turns;
}

it('all callers of nextTurn go on in the same turn of the event loop', async () => {
  expect(new Set(await turnsOf(nextTurn)).size).toBe(1);
});

it('each caller of ownTurn goes on in a turn of its own, in the order of the calls', async () => {
  const turns = await turnsOf(ownTurn);
  expect(new Set(turns).size).toBe(8);
  expect(turns).toEqual(turns.toSorted((a, b) => a - b));
});

it('a time slice lets the event loop run when it is over, and begins anew', async () => {
  const clock = vi.spyOn(performance, 'now').mockReturnValue(1000);
  try {
    const slice = new TimeSlice();
    let turns = 0;
    const pauseAt = async (milliseconds: number): Promise<[boolean, number]> => {
      clock.mockReturnValue(milliseconds);
      const { over } = slice;
      setImmediate(() => turns++);
      await slice.pause();
      return [over, turns];
    };
    expect(await pauseAt(1002)).toEqual([false, 0]);
    expect(await pauseAt(1004)).toEqual([true, 2]);
    expect(await pauseAt(1006)).toEqual([false, 2]);
    expect(await pauseAt(1008)).toEqual([true, 4]);
  } finally {
    clock.mockRestore();
  }
});

it('a time slice throws the reason of its signal', async () => {
  const stop = new AbortController();
  const slice = new TimeSlice(stop.signal);
  await slice.pause();
  stop.abort(new Error('stopped'));
  await expect(slice.pause()).rejects.toThrow('stopped');
});

it('within gives what work comes to, or nothing once the time is over, and passes failures on', async () => {
  expect(await within(60_000, Promise.resolve('done'))).toBe('done');
  expect(await within(1, new Promise(() => {}))).toBeUndefined();
  await expect(within(60_000, Promise.reject(new Error('broken')))).rejects.toThrow('broken');
});
