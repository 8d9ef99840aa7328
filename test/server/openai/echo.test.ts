// Log probabilities of long prompts: computed beside the streams of others, refused where the queue is full, and ended
// with their client.
import { afterEach, expect, it } from 'vitest';
import type { EngineOptions } from '../../../lib/engine/engine.js';
import { loadModel, type Model } from '../../../lib/model.js';
import { createServer, type Server } from '../../../lib/server/index.js';
import { isEmulated } from '../../device.js';
import { failuresOnly, modelId, modelPath } from '../running.js';

let model: Model;
let server: Server;
async function start(engine: EngineOptions): Promise<void> {
  model = await loadModel(modelPath);
  server = createServer({ models: [model], logger: failuresOnly, engine, apiKeys: ['one', 'other'] });
  await server.ready;
}
afterEach(async () => {
  await server.close({ drainSeconds: 0.1 });
  model.dispose();
});

const prompt = Array.from({ length: isEmulated ? 240 : 500 }, (_, i) => 10 + ((i * 13) % 900));
const echo = { prompt, echo: true, logprobs: 5, max_tokens: 0 };
const endless = { prompt: prompt.slice(0, 8), max_tokens: 480, ignore_eos: true, stream: true };

function complete(key: string, fields: object, signal?: AbortSignal): Promise<Response> {
  return server.fetch(
    new Request('http://x/v1/completions', {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: JSON.stringify({ model: modelId, ...fields }),
      ...(signal ? { signal } : {}),
    }),
  );
}

it('a stream of another client goes on beside them', async () => {
  await start({ stepTokens: 16 });
  const stream = (await complete('one', endless)).body!.getReader();
  await stream.read();
  let answered = false;
  const answer = complete('other', echo).then((response) => {
    answered = true;
    return response;
  });
  let events = 0;
  for (; !answered; events++) expect((await stream.read()).done).toBe(false);
  expect(events).toBeGreaterThan(prompt.length / 50); // the prompt takes a step for each 16 tokens at least
  const { choices } = (await (await answer).json()) as { choices: { logprobs: { tokens: string[] } }[] };
  expect(choices[0]!.logprobs.tokens).toHaveLength(prompt.length);
  await stream.cancel();
});

it('a full queue is a 429', async () => {
  await start({ maxBatch: 1, maxQueued: 1 });
  const streams = await Promise.all([complete('one', endless), complete('one', endless)]);
  const refused = await complete('one', echo);
  expect(refused.status).toBe(429);
  expect(refused.headers.get('retry-after')).not.toBeNull();
  for (const { body } of streams) await body!.cancel();
});

it('a client that leaves takes them along', async () => {
  await start({ stepTokens: 4 });
  const abort = new AbortController();
  const answer = complete('one', { ...echo, prompt: [prompt, prompt.toReversed()] }, abort.signal);
  while (model.engine.stats().running < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  abort.abort();
  expect(model.engine.stats()).toMatchObject({ running: 0, waiting: 0, blocksUsed: 0 });
  expect((await answer).status).toBe(503);
});
