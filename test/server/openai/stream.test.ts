// Server-sent events: pings in silence, the error event, and backpressure.
import { expect, it } from 'vitest';
import { eventStream } from '../../../lib/server/http/stream.js';

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

it('neither writes nor tells a failure once the reader has left', async () => {
  let told = 0;
  const unhandled: unknown[] = [];
  const onUnhandled = (error: unknown) => unhandled.push(error);
  process.on('unhandledRejection', onUnhandled);
  for (const fails of [true, false]) {
    async function* events() {
      yield { a: 1 };
      await sleep(30);
      if (fails) throw new Error('cancelled');
      yield { a: 2 };
    }
    const errorBody = () => {
      told++;
      return options.errorBody();
    };
    const reader = eventStream(events(), { ...options, errorBody }).body!.getReader();
    await reader.read();
    await sleep(5);
    await reader.cancel();
    await sleep(60);
  }
  process.off('unhandledRejection', onUnhandled);
  expect(told).toBe(0);
  expect(unhandled).toEqual([]);
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
