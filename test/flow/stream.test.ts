// Streams of work: what waits for a reader, and what a signal leaves behind.
import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { Stream } from '../../lib/flow/stream.js';

async function* numbers(count: number, made: number[], signal?: AbortSignal): AsyncGenerator<number, string, void> {
  for (let i = 0; i < count; i++) {
    signal?.throwIfAborted();
    made.push(i);
    yield i;
  }
  return 'end';
}
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));

it('a stream with a bound waits for its reader, and gives him everything', async () => {
  const made: number[] = [];
  const stream = new Stream((signal) => numbers(50, made, signal), undefined, 4);
  await settle();
  expect(made).toHaveLength(4);
  const got: number[] = [];
  for await (const value of stream) got.push(value);
  expect(got).toEqual(made);
  expect(got).toHaveLength(50);
  expect(await stream).toBe('end');
});

it('a stream with a bound that waits can be cancelled', async () => {
  const stream = new Stream((signal) => numbers(50, [], signal), undefined, 4);
  await settle();
  stream.cancel(new Error('gone'));
  await expect(stream).rejects.toThrow('gone');
});

it('a stream without one needs no reader', async () => {
  expect(await new Stream((signal) => numbers(5000, [], signal))).toBe('end');
});

it('a signal stops a stream, and keeps nothing of one that has ended', async () => {
  const long = new AbortController();
  for (let i = 0; i < 5; i++) await new Stream((signal) => numbers(3, [], signal), long.signal);
  expect(getEventListeners(long.signal, 'abort')).toHaveLength(0);
  const running = new Stream((signal) => numbers(50, [], signal), long.signal, 4);
  await settle();
  long.abort(new Error('stop'));
  await expect(running).rejects.toThrow('stop');
  const late = new Stream((signal) => numbers(50, [], signal), long.signal);
  await expect(late).rejects.toThrow('stop');
});
