// Server-sent events: pings in silence, the error event, and backpressure.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect, it, vi } from 'vitest';
import { eventStream } from '../../../lib/server/http/stream.js';

const options = {
  cancel: () => {},
  errorBody: () => ({ error: { message: 'm', type: 't', param: null, code: null } }),
};
/** Lets run what is ready to run. */
const settle = async (): Promise<void> => {
  for (let turns = 0; turns < 20; turns++) await nextTurn();
};
afterEach(() => {
  vi.useRealTimers();
});

it('pings while there is nothing to say', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  async function* events() {
    yield { a: 1 };
    await new Promise((resolve) => setTimeout(resolve, 100));
    yield { a: 2 };
  }
  const text = eventStream(events(), { ...options, pingMilliseconds: 20 }).text();
  for (let passed = 0; passed < 120; passed += 5) {
    await settle();
    vi.advanceTimersByTime(5);
  }
  expect(await text).toMatch(/^data: \{"a":1\}\n\n(: ping\n\n){4,5}data: \{"a":2\}\n\ndata: \[DONE\]\n\n$/);
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
    let goOn = () => {};
    const left = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    async function* events() {
      yield { a: 1 };
      await left;
      if (fails) throw new Error('cancelled');
      yield { a: 2 };
    }
    const errorBody = () => {
      told++;
      return options.errorBody();
    };
    const reader = eventStream(events(), { ...options, errorBody }).body!.getReader();
    await reader.read();
    await settle();
    await reader.cancel();
    goOn();
    await settle();
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
  await settle();
  expect(made).toBeLessThanOrEqual(3);
  await reader.cancel();
  expect(cancelled).toBe(1);
});
