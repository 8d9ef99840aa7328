// A short load of the kind that bench/serve-load.mjs runs for minutes: until it has seen enough answers.
import { expect, it } from 'vitest';
import { serveLoad } from '../../lib/bench/serve-load.js';
import { loadModel } from '../../lib/model.js';
import { modelPath, running } from './running.js';

it('64 clients get their own answers, and leave nothing behind', async () => {
  using model = await loadModel(modelPath);
  await using server = await running({ models: [model] });
  const result = await serveLoad({
    url: server.url,
    model: model.name,
    seconds: 1,
    answers: 160,
    clients: 64,
    seed: 5,
  });
  expect(result.mixed).toEqual([]);
  expect(result.failures).toEqual([]);
  expect(result.answers).toBeGreaterThan(64);
  for (const kind of [result.slow, result.left, result.refused]) expect(kind).toBeGreaterThan(0);
  await expect.poll(() => model.engine.stats()).toMatchObject({ running: 0, waiting: 0, blocksUsed: 0 });
});
