// Requests that are given up, refused for now, or cut off by a closing server.
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel, type Model } from '../../../lib/model.js';
import { createServer } from '../../../lib/server/index.js';
import { until } from '../../until.js';
import { failuresOnly, modelId, modelPath } from '../running.js';

let model: Model;
beforeAll(async () => {
  model = await loadModel(modelPath);
});
afterAll(() => model.dispose());

const request = {
  model: modelId,
  messages: [{ role: 'user' as const, content: 'Tell a long story.' }],
  max_tokens: 400,
  temperature: 1,
  logit_bias: {},
};
const endless = { ...request, ignore_eos: true };

/** What the server logged of generations that ended. */
function watched() {
  const ended: Record<string, unknown>[] = [];
  const logger = {
    info: (fields: Readonly<Record<string, unknown>>, event: string) => {
      if (event === 'generated') ended.push(fields);
    },
    warn: () => {},
    error: () => {},
  };
  return { ended, logger };
}

describe('a client that does not read', () => {
  it('is waited for, and holds nobody up', async () => {
    const one = await loadModel(modelPath);
    const server = createServer({ models: [one], logger: false, engine: { maxBatch: 1 } });
    const { fetch: handle } = server;
    const ask = (body: object) =>
      handle(
        new Request('http://localhost/v1/chat/completions', {
          method: 'POST',
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json' },
        }),
      );
    const slow = await ask({ ...endless, max_tokens: 460, stream: true, seed: 1 });
    const reader = slow.body!.getReader();
    const other = (await (await ask({ ...request, max_tokens: 5 })).json()) as { choices: unknown[] };
    expect(other.choices).toHaveLength(1);
    await until(() => one.engine.stats().running === 0);
    expect(one.engine.stats().waiting).toBe(1);
    let text = '';
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      text += Buffer.from(next.value).toString();
    }
    const whole = (await (await ask({ ...endless, max_tokens: 460, seed: 1 })).json()) as {
      choices: { message: { content: string } }[];
    };
    const pieces = text
      .split('\n\n')
      .filter((event) => event.startsWith('data: {'))
      .map((event) => (JSON.parse(event.slice(6)) as { choices: { delta: { content?: string } }[] }).choices[0]);
    expect(pieces.map((choice) => choice?.delta.content ?? '').join('')).toBe(whole.choices[0]!.message.content);
    await server.close();
    one.dispose();
  });
});

describe('a client that leaves', () => {
  it.each([true, false])('frees what it used (streaming: %s)', async (stream) => {
    const { ended, logger } = watched();
    const server = createServer({ models: [model], logger });
    const { url } = await server.listen({ port: 0 });
    const abort = new AbortController();
    const answer = fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ ...endless, stream }),
      headers: { 'content-type': 'application/json' },
      signal: abort.signal,
    });
    answer.catch(() => {}); // without streaming, leaving rejects it
    if (stream) await (await answer).body!.getReader().read();
    else await until(() => model.engine.stats().running > 0);
    abort.abort();
    await until(() => ended.length === 1);
    expect(ended[0]).toMatchObject({ finish: 'abort' });
    expect(ended[0]!.tokens).toBeLessThan(400);
    expect(model.engine.stats()).toMatchObject({ running: 0, waiting: 0 });
    await server.close();
  });

  it('by breaking out of the official client’s loop', async () => {
    const { ended, logger } = watched();
    const server = createServer({ models: [model], logger });
    const { url } = await server.listen({ port: 0 });
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'x' });
    for await (const chunk of await client.chat.completions.create({ ...endless, stream: true })) {
      if (chunk.choices[0]?.delta.content) break;
    }
    await until(() => ended.length === 1);
    expect(ended[0]).toMatchObject({ finish: 'abort' });
    await server.close();
  });
});

describe('a client that leaves its embeddings', () => {
  it('is no failure of the server', async () => {
    const failures: unknown[] = [];
    const logger = { info: () => {}, warn: () => {}, error: (fields: object) => failures.push(fields) };
    const server = createServer({ models: [model], logger });
    const { url } = await server.listen({ port: 0 });
    const abort = new AbortController();
    const answer = fetch(`${url}/v1/embeddings`, {
      method: 'POST',
      body: JSON.stringify({ model: modelId, input: Array.from({ length: 1000 }, (_, i) => `goat ${i} `.repeat(50)) }),
      signal: abort.signal,
    });
    const busy = (): boolean => model.engine.stats().running + model.engine.stats().waiting > 0;
    const left = expect(answer).rejects.toThrow();
    await until(busy);
    abort.abort();
    await left;
    await until(() => !busy());
    await server.close({ drainSeconds: 3600 });
    expect(failures).toEqual([]);
  });
});

describe('a logger that fails', () => {
  it('keeps nobody from an answer', async () => {
    const logger = {
      info: (_: object, event: string) => {
        if (event === 'generated') throw new Error('the disk is full');
      },
      warn: () => {},
      error: () => {},
    };
    const server = createServer({ models: [model], logger });
    const body = JSON.stringify({ ...request, max_tokens: 2 });
    const answer = await server.fetch(new Request('http://x/v1/chat/completions', { method: 'POST', body }));
    expect(answer.status).toBe(200);
    await server.close();
  });
});

describe('a full queue', () => {
  it('is a 429 with retry-after, and the official client tries again by itself until there is room', async () => {
    const one = await loadModel(modelPath);
    const server = createServer({ models: [one], logger: false, engine: { maxBatch: 1, maxQueued: 1 } });
    const { url } = await server.listen({ port: 0 });
    const baseURL = `${url}/v1`;
    const leave = new AbortController();
    const hasty = new OpenAI({ baseURL, apiKey: 'x', maxRetries: 0 });
    const filling = [1, 2].map(() => hasty.chat.completions.create(endless, { signal: leave.signal }));
    const ended = Promise.allSettled(filling);
    await until(() => one.engine.stats().running === 1 && one.engine.stats().waiting === 1);
    for (const stream of [true, false]) {
      const refused = await hasty.chat.completions.create({ ...request, stream }).then(undefined, (error) => error);
      expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(refused).toMatchObject({ code: 'queue_full', type: 'rate_limit_error' });
    }
    const statuses: number[] = [];
    const patient = new OpenAI({
      baseURL,
      apiKey: 'x',
      maxRetries: 5,
      fetch: async (...given) => {
        const response = await fetch(...given);
        statuses.push(response.status);
        return response;
      },
    });
    const answer = patient.chat.completions.create({ ...request, max_tokens: 2 });
    await until(() => statuses.length > 0);
    leave.abort();
    expect((await answer).choices).toHaveLength(1);
    expect(statuses).toEqual([429, 200]);
    await ended;
    await server.close();
    one.dispose();
  });
});

describe('an engine that fails', () => {
  it('is a 500 before the answer, an error event within it, and the server goes on', async () => {
    const server = createServer({ models: [model], logger: false });
    const { url } = await server.listen({ port: 0 });
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'x', maxRetries: 0 });
    const original = model.generateTokens;
    model.generateTokens = () => {
      throw new Error('matmul: the device is out of memory');
    };
    const failed = await client.chat.completions.create(request).then(undefined, (error) => error);
    expect(failed).toBeInstanceOf(OpenAI.InternalServerError);
    expect(failed.message).not.toContain('matmul');
    model.generateTokens = (...given) => {
      const stream = original.apply(model, given);
      const iterate = stream[Symbol.asyncIterator].bind(stream);
      stream[Symbol.asyncIterator] = async function* () {
        for await (const piece of { [Symbol.asyncIterator]: iterate }) {
          yield piece;
          await new Promise((resolve) => setTimeout(resolve, 400));
          throw new Error('sample: not a number');
        }
      };
      return stream;
    };
    const reading = async (): Promise<void> => {
      for await (const chunk of await client.chat.completions.create({ ...endless, stream: true })) {
        expect(chunk.choices).toHaveLength(1);
      }
    };
    await expect(reading()).rejects.toThrow(OpenAI.APIError);
    model.generateTokens = original;
    expect((await client.chat.completions.create({ ...request, max_tokens: 1 })).choices).toHaveLength(1);
    await server.close();
  });
});

describe('closing', () => {
  it('lets a running answer end and takes no new one', async () => {
    const server = createServer({ models: [model], logger: false });
    const { url } = await server.listen({ port: 0 });
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'x', maxRetries: 0 });
    const stream = await client.chat.completions.create({ ...endless, max_tokens: 60, stream: true });
    const closing = server.close({ drainSeconds: 3600 });
    let finish: string | null = null;
    for await (const { choices } of stream) finish = choices[0]?.finish_reason ?? finish;
    expect(finish).toBe('length');
    await closing;
    expect((await server.fetch(new Request('http://x/v1/models'))).status).toBe(503);
    await expect(client.models.list()).rejects.toThrow(OpenAI.APIConnectionError);
  });

  it('waits for what came by the fetch handler too, and cuts it off with a 503', async () => {
    for (const drainSeconds of [3600, 0]) {
      const server = createServer({ models: [model], logger: failuresOnly });
      await server.ready;
      const post = (path: string, body: object) =>
        server.fetch(
          new Request(`http://x/v1${path}`, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ model: modelId, ...body }),
          }),
        );
      const answers = Promise.all([
        post('/embeddings', { input: Array.from({ length: 200 }, (_, n) => `${n} ${'word '.repeat(60)}`) }),
        post('/completions', { prompt: 'word '.repeat(200), max_tokens: 0, echo: true, logprobs: 1 }),
        post('/chat/completions', { ...request, max_tokens: 30 }),
      ]);
      await until(() => model.engine.stats().running + model.engine.stats().waiting > 0); // they are let in
      await server.close({ drainSeconds });
      const statuses = (await answers).map(({ status }) => status);
      if (drainSeconds > 0) expect(statuses).toEqual([200, 200, 200]);
      else expect(statuses[0]).toBe(503);
      for (const status of statuses) expect([200, 503]).toContain(status);
    }
  });

  it('cuts off what lasts longer than it may', async () => {
    const server = createServer({ models: [model], logger: false });
    const { url } = await server.listen({ port: 0 });
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'x', maxRetries: 0 });
    const stream = await client.chat.completions.create({ ...endless, stream: true });
    const reading = (async () => {
      for await (const chunk of stream) expect(chunk.object).toBe('chat.completion.chunk');
    })();
    reading.catch(() => {});
    await Promise.all([server.close({ drainSeconds: 0.02 }), server.close()]);
    await expect(reading).rejects.toThrow();
  });
});
