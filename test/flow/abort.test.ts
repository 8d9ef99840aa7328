// Signals that outlive what they end: each abort is told once, and nothing stays behind.
import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { onAbort } from '../../lib/flow/abort.js';

const listeners = (...signals: AbortSignal[]): number[] =>
  signals.map((signal) => getEventListeners(signal, 'abort').length);

it('calls with the reason of the signal that aborts first, once', () => {
  const [a, b] = [new AbortController(), new AbortController()];
  const reasons: unknown[] = [];
  onAbort([a.signal, undefined, b.signal], (reason) => reasons.push(reason));
  b.abort('b');
  a.abort('a');
  expect(reasons).toEqual(['b']);
  expect(listeners(a.signal, b.signal)).toEqual([0, 0]);
});

it('calls at once where a signal has aborted before', () => {
  const long = new AbortController();
  const reasons: unknown[] = [];
  onAbort([long.signal, AbortSignal.abort('before')], (reason) => reasons.push(reason));
  expect(reasons).toEqual(['before']);
  expect(listeners(long.signal)).toEqual([0]);
});

it('leaves nothing on a signal once it is released', () => {
  const { signal } = new AbortController();
  const release = onAbort([signal], () => expect.unreachable());
  expect(listeners(signal)).toEqual([1]);
  release();
  expect(listeners(signal)).toEqual([0]);
  expect(() => onAbort([undefined], () => expect.unreachable())()).not.toThrow();
});
