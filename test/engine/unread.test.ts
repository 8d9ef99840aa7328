// Tokens that nobody takes are not produced without end, and whoever does not take them holds nobody up.
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { Engine } from '../../lib/engine/engine.js';
import { loadModel, type Model } from '../../lib/model.js';
import { until } from '../until.js';
import { folder, request, tokens } from './asking.js';

let model: Model;
let engine: Engine;
beforeAll(async () => {
  model = await loadModel(folder, { dtype: 'f32' });
});
afterAll(() => model.dispose());
afterEach(() => engine.dispose());

it('an unread stream leaves its place to others, and goes on as if nothing had been', async () => {
  engine = new Engine(model.decoder, { maxBatch: 1 });
  const options = { maxNewTokens: 440, temperature: 1, seed: 4 };
  const expected = await tokens(model, engine, options);
  expect(expected).toHaveLength(440);
  const stream = engine.submit(request(model, options));
  await stream.next();
  const other = await tokens(model, engine, { client: 'other' });
  expect(other).toHaveLength(16);
  await until(() => engine.stats().running === 0);
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 1, blocksUsed: 0 });
  expect(stream.unread).toBeLessThan(300);
  expect(await tokens(model, engine)).toHaveLength(16);
  const got = [expected[0]];
  for await (const { token } of stream) got.push(token);
  expect(got).toEqual(expected);
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, blocksUsed: 0 });
});

it('an unread stream that is left, or whose signal aborts, leaves nothing', async () => {
  engine = new Engine(model.decoder);
  const stop = new AbortController();
  const streams = [{}, { signal: stop.signal }].map((more) =>
    engine.submit(request(model, { maxNewTokens: 440, ...more })),
  );
  for (const stream of streams) await stream.next();
  await until(() => engine.stats().running === 0);
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 2 });
  await streams[0]!.return();
  stop.abort(new Error('gone'));
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 0 });
});
