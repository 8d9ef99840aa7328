// What the metrics count: sequences that were worked on, embeddings among them, and nothing of what was refused.
import { afterEach, describe, expect, it } from 'vitest';
import type { EngineOptions } from '../../lib/engine/engine.js';
import { loadModel, type Model } from '../../lib/model.js';
import { createServer, type Server } from '../../lib/server/index.js';
import { request } from '../engine/asking.js';
import { failuresOnly, modelId, modelPath } from './running.js';

let model: Model;
let server: Server;
async function start(engine: EngineOptions = {}): Promise<void> {
  model = await loadModel(modelPath);
  server = createServer({ models: [model], logger: failuresOnly, engine, metricsPrefix: 'vllm:' });
  await server.ready;
}
afterEach(async () => {
  await server.close({ drainSeconds: 0.1 });
  model.dispose();
});

async function post(path: string, fields: object, signal?: AbortSignal): Promise<number> {
  const body = JSON.stringify({ model: modelId, ...fields });
  const init = { method: 'POST', body, ...(signal ? { signal } : {}) };
  const response = await server.fetch(new Request(`http://x/v1/${path}`, init));
  await response.text();
  return response.status;
}

/** Each series and its value, without the engine's own: those of requests. */
async function metrics(): Promise<Map<string, number>> {
  const text = await (await server.fetch(new Request('http://x/metrics'))).text();
  const lines = [...text.matchAll(/^vllm:(\w+)(\{.*\})? (\S+)$/gm)];
  return new Map(
    lines.map(([, name, labels = '', value]) => [
      name + labels.replace(`model_name="${modelId}"`, '').replace('{,', '{').replace('{}', ''),
      Number(value),
    ]),
  );
}

const ofRequests = /^(prompt|generation)_tokens|^request_(success|prompt|generation|decode)|latency|first_token/;
const text = (length: number): number[] => Array.from({ length }, (_, i) => 10 + ((i * 13) % 900));

describe('metrics', () => {
  it('have nothing of what was refused but that it was', async () => {
    await start({ maxBatch: 1, maxQueued: 1 });
    expect(await post('completions', { prompt: text(9), max_tokens: 2 })).toBe(200);
    const before = await metrics();
    const running = [0, 1].map(() => model.engine.submit(request(model, { maxNewTokens: 400 })));
    await running[0]!.next();
    const messages = [{ role: 'user', content: 'Hi' }];
    expect(await post('completions', { prompt: text(9), max_tokens: 2 })).toBe(429);
    expect(await post('completions', { prompt: text(9), echo: true, logprobs: 1, max_tokens: 2 })).toBe(429);
    expect(await post('chat/completions', { messages, n: 2, max_tokens: 2, stream: true })).toBe(429);
    expect(await post('embeddings', { input: [text(5), text(6), text(7)] })).toBe(429);
    const after = await metrics();
    for (const [name, value] of after)
      if (ofRequests.test(name)) expect([name, value]).toEqual([name, before.get(name)]);
    // Two texts of the last were asked for at once.
    expect(after.get('request_refused_total')).toBe(1 + 1 + 2 + 2);
    for (const stream of running) await stream.return();
  });

  it('count embeddings', async () => {
    await start();
    expect(await post('embeddings', { input: [text(5), text(6), text(7)] })).toBe(200);
    const counted = await metrics();
    expect(counted.get('request_success_total{finished_reason="stop"}')).toBe(3);
    expect(counted.get('prompt_tokens_total')).toBe(18);
    expect(counted.get('request_prompt_tokens_sum')).toBe(18);
    expect(counted.get('e2e_request_latency_seconds_count')).toBe(3);
    expect(counted.get('request_queue_time_seconds_count')).toBe(3);
    expect(counted.get('request_prefill_time_seconds_count')).toBe(3);
    expect(counted.get('iteration_tokens_total_sum')).toBe(18);
    expect(counted.get('request_generation_tokens_count') ?? 0).toBe(0);
  });

  it('tell queueing, prefilling and steps apart', async () => {
    await start({ maxBatch: 1, stepTokens: 16 });
    const ask = { prompt: text(40), max_tokens: 5, ignore_eos: true, n: 2 };
    expect(await post('completions', ask)).toBe(200);
    const counted = await metrics();
    for (const name of ['request_queue_time_seconds', 'request_prefill_time_seconds']) {
      expect(counted.get(`${name}_count`)).toBe(2);
      expect(counted.get(`${name}_sum`)).toBeGreaterThan(0);
    }
    // The second waits for the first, and finds the prompt's first blocks in the cache.
    const shared = counted.get('prefix_cache_hits_total')!;
    expect(shared).toBeGreaterThan(0);
    expect(counted.get('iteration_tokens_total_sum')).toBe(2 * (40 + 4) - shared);
    expect(counted.get('iteration_tokens_total_count')).toBeGreaterThan(10);
  });

  it('count an echo that its client left as given up', async () => {
    await start({ stepTokens: 4 });
    const abort = new AbortController();
    const answer = post('completions', { prompt: text(500), echo: true, logprobs: 1, n: 2 }, abort.signal);
    while (model.engine.stats().running === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    abort.abort();
    expect(await answer).toBe(503);
    const counted = await metrics();
    expect(counted.get('request_success_total{finished_reason="abort"}')).toBe(2);
    expect(counted.get('time_to_first_token_seconds_count') ?? 0).toBe(0);
  });
});
