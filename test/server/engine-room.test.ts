// Requests of many texts against the room of a small engine: what fits an idle one is answered, what never can is wrong,
// and what does not fit now is refused as a whole.
import { afterEach, describe, expect, it } from 'vitest';
import type { EngineOptions } from '../../lib/engine/engine.js';
import { loadModel, type Model } from '../../lib/model.js';
import { createServer, type Server } from '../../lib/server/index.js';
import { request } from '../engine/asking.js';
import { failuresOnly, modelId, modelPath } from './running.js';

let model: Model;
let server: Server;
async function start(engine: EngineOptions): Promise<void> {
  model = await loadModel(modelPath);
  server = createServer({ models: [model], logger: failuresOnly, engine });
  await server.ready;
}
afterEach(async () => {
  await server.close({ drainSeconds: 0.1 });
  model.dispose();
});

const text = (length: number, salt = 0): number[] => Array.from({ length }, (_, i) => 10 + ((i * 13 + salt) % 900));
const texts = (count: number, length: number): number[][] => Array.from({ length: count }, (_, i) => text(length, i));
const post = (path: string, fields: object): Promise<Response> =>
  server.fetch(
    new Request(`http://x/v1/${path}`, { method: 'POST', body: JSON.stringify({ model: modelId, ...fields }) }),
  );

async function expectWrong(response: Response, param: string, message: RegExp): Promise<void> {
  const { error } = (await response.json()) as { error: { param: string; message: string } };
  expect(response.status, error.message).toBe(400);
  expect(error).toMatchObject({ param, message: expect.stringMatching(message) });
}

describe('embeddings of many inputs', () => {
  it.each([
    ['four places', { maxBatch: 2, maxQueued: 2 }],
    ['one place', { maxBatch: 1, maxQueued: 0 }],
    ['few tokens', { maxQueuedTokens: 100 }],
    ['fewer tokens than one input', { maxQueuedTokens: 20 }],
  ])('fit an idle engine of %s', async (_, engine) => {
    await start(engine);
    const response = await post('embeddings', { input: texts(20, 30) });
    expect(response.status).toBe(200);
    expect(((await response.json()) as { data: unknown[] }).data).toHaveLength(20);
  });

  it('compute nothing more once one was refused', async () => {
    await start({ maxBatch: 1, maxQueued: 5, stepTokens: 64 });
    const { engine } = model;
    const stream = engine.submit(request(model, { maxNewTokens: 400 }));
    const embed = engine.embed.bind(engine);
    let asked = 0;
    engine.embed = (...given) => {
      asked++;
      return embed(...given);
    };
    const response = await post('embeddings', { input: texts(100, 200) });
    expect(response.status).toBe(429);
    expect(engine.stats()).toMatchObject({ running: 1, waiting: 0 });
    await stream.next();
    expect(asked).toBe(6);
    expect(engine.stats()).toMatchObject({ running: 1, waiting: 0 });
    await stream.return();
  });

  it('compute nothing more once one failed', async () => {
    await start({});
    const { engine } = model;
    const embed = engine.embed.bind(engine);
    let asked = 0;
    engine.embed = async (...given) => {
      if (++asked === 12) throw Object.assign(new Error('gone'), { name: 'AbortError' });
      return embed(...given);
    };
    expect((await post('embeddings', { input: texts(100, 200) })).status).toBe(503);
    expect(asked).toBeLessThan(20);
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, blocksUsed: 0 });
  });
});

describe('what can never fit', () => {
  it('is wrong, not refused for now', async () => {
    await start({ maxQueuedTokens: 100 });
    const message = /texts at once, whose prompts have \d+ tokens together, at most 100 go/;
    await expectWrong(await post('completions', { prompt: texts(4, 30), max_tokens: 1 }), 'prompt', message);
    await expectWrong(await post('completions', { prompt: text(30), n: 4, max_tokens: 1 }), 'n', message);
    const messages = [{ role: 'user', content: 'goats '.repeat(20) }];
    await expectWrong(await post('chat/completions', { messages, n: 8, max_tokens: 1 }), 'n', message);
    // One alone goes, and so does what is echoed only.
    expect((await post('completions', { prompt: text(200), max_tokens: 1 })).status).toBe(200);
    const echo = { prompt: texts(4, 30), echo: true, logprobs: 1, max_tokens: 0 };
    expect((await post('completions', echo)).status).toBe(200);
  });
});
