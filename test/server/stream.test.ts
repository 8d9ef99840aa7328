// Server-sent events: pings in silence, the error event, and backpressure.
import { expect, it } from 'vitest';
import { eventStream } from '../../lib/server/stream.js';

const options = {
  cancel: () => {},
  errorBody: () => ({ error: { message: 'm', type: 't', param: null, code: null } }),
};
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

it('pings while there is nothing to say', async () => {
  async function* events() {
    yield { a: 1 };
    await sleep(100);
    yield { a: 2 };
  }
  const text = await eventStream(events(), { ...options, pingMilliseconds: 20 }).text();
  expect(text).toMatch(/^data: \{"a":1\}\n\n(: ping\n\n){1,5}data: \{"a":2\}\n\ndata: \[DONE\]\n\n$/);
});

it('tells a failure as an event, and ends without [DONE]', async () => {
  // biome-ignore lint/correctness/useYield: it fails before there is anything to give
  async function* events(): AsyncGenerator<object, void, void> {
    throw new Error('no');
  }
  const text = await eventStream(events(), options).text();
  expect(text).toBe('data: {"error":{"message":"m","type":"t","param":null,"code":null}}\n\n');
});

it('makes no more events than are read, and tells when the reader leaves', async () => {
  let made = 0;
  async function* events() {
    for (;;) yield { made: ++made };
  }
  let cancelled = 0;
  const response = eventStream(events(), { ...options, cancel: () => cancelled++ });
  const reader = response.body!.getReader();
  await reader.read();
  await sleep(20);
  expect(made).toBeLessThanOrEqual(3);
  await reader.cancel();
  expect(cancelled).toBe(1);
});
