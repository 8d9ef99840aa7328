// The handlers mounted where people mount them: node:http, Express, Fastify, Hono, a route of Next.js, under /v1, at the
// root, elsewhere.
import { createServer as createHttpServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyCpu } from '../../lib/core/device.js';
import { loadModel, type Model } from '../../lib/model.js';
import { createServer, type Server } from '../../lib/server/index.js';
import type { Fields } from '../../lib/server/log.js';
import { modelId, modelPath } from './running.js';

let model: Model;
beforeAll(async () => {
  model = await loadModel(modelPath);
});
afterAll(() => model.dispose());

const request = { model: modelId, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 3, temperature: 0 };
const init = { method: 'POST', body: JSON.stringify(request), headers: { 'content-type': 'application/json' } };

async function listening<T>(listener: RequestListener, use: (url: string) => Promise<T>): Promise<T> {
  const http = createHttpServer(listener);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  try {
    return await use(`http://127.0.0.1:${(http.address() as AddressInfo).port}`);
  } finally {
    http.closeAllConnections();
    http.close();
  }
}

async function expectAnswer(response: Response): Promise<void> {
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ object: 'chat.completion', model: modelId });
}

describe('createServer', () => {
  it.each(['', '/v1'])('listens for node:http, addressed with %j', async (prefix) => {
    const server = createServer({ models: [model], logger: false });
    await listening(server.node, async (url) => expectAnswer(await fetch(`${url}${prefix}/chat/completions`, init)));
    await server.close();
  });

  it('is a fetch handler, and waits for its models', async () => {
    const server = createServer({ models: [modelPath], logger: false });
    await expectAnswer(await server.fetch(new Request('http://x/v1/chat/completions', init)));
    await server.close();
  });

  it('mounts in Hono, also elsewhere', async () => {
    const server = createServer({ models: [model], logger: false, basePath: '/api/ai' });
    const app = new Hono().all('/api/ai/*', (c) => server.fetch(c.req.raw));
    await expectAnswer(await app.request('/api/ai/v1/chat/completions', init));
    await expectAnswer(await app.request('/api/ai/chat/completions', init));
    await server.close();
  });

  it('takes a body that a parser of the application has read, as Express leaves it', async () => {
    const server = createServer({ models: [model], logger: false });
    const parsed: RequestListener = async (incoming, outgoing) => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk);
      (incoming as IncomingMessage & { body: unknown }).body = JSON.parse(Buffer.concat(chunks).toString());
      await server.node(incoming, outgoing);
    };
    await listening(parsed, async (url) => expectAnswer(await fetch(`${url}/v1/chat/completions`, init)));
    await server.close();
  });

  it('does not wait for a client that left before it was asked', async () => {
    const server = createServer({ models: [model], logger: false });
    const left: RequestListener = (incoming, outgoing) => {
      incoming.socket.destroy();
      outgoing.once('close', () => setImmediate(() => answered.push(server.node(incoming, outgoing))));
    };
    const answered: Promise<void>[] = [];
    await listening(left, async (url) => {
      await expect(fetch(`${url}/v1/chat/completions`, init)).rejects.toThrow();
      await expect.poll(() => answered).toHaveLength(1);
      await answered[0];
    });
    await server.close({ drainSeconds: 3600 }); // much longer than a test may take
  });

  it('says at once what is wrong with its options', () => {
    expect(() => createServer({ models: [] })).toThrow(/'models' must be a list of at least one model, .*, got \[\]$/);
    expect(() => createServer({ models: [model], limits: { bodyBytes: 0 } })).toThrow(/'limits.bodyBytes'/);
    expect(() => createServer({ models: [model], metricsPrefix: '9' })).toThrow(/'metricsPrefix'/);
  });

  it.each<[object, RegExp]>([
    [{}, /'models' must be a list .*, but is missing$/],
    [{ models: ['x'], apiKey: 'k' }, /'apiKey' is not known: did you mean 'apiKeys'\?/],
    [{ models: ['x'], limits: { bytes: 1 } }, /'limits.bytes' is not known: did you mean 'bodyBytes'\?/],
    [{ models: 'x' }, /'models' must be a list .*, got "x"$/],
    [{ models: [1] }, /'models\[0\]' must be a name, .*, got 1$/],
    [{ models: ['x'], logger: console.log }, /'logger'/],
    [{ models: ['x'], apiKeys: [''] }, /'apiKeys\[0\]' must be a key .*, got ""$/],
    [{ models: ['x'], apiKeys: ['a', 'b c'] }, /'apiKeys\[1\]'/],
    [{ models: ['x'], apiKeys: ['ключ'] }, /'apiKeys\[0\]'/],
  ])('refuses %j by a TypeError', (options, message) => {
    const make = () => createServer(options as Parameters<typeof createServer>[0]);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  it('is not ready while it loads, nor after a model failed', async () => {
    const server = createServer({ models: [`${modelPath}-missing`], logger: false });
    const early = await server.fetch(new Request('http://x/health/ready'));
    expect([early.status, early.headers.get('retry-after')]).toEqual([503, '1']);
    await expect(server.ready).rejects.toThrow(/missing/);
    for (const path of ['/v1/chat/completions', '/health', '/health/ready']) {
      const response = await server.fetch(new Request(`http://x${path}`, path.startsWith('/v1') ? init : {}));
      expect(response.status).toBe(503);
      expect(response.headers.get('x-should-retry')).toBe('false');
      expect(response.headers.get('retry-after')).toBeNull();
      expect(await response.json()).toMatchObject({ error: { message: expect.stringMatching(/could not be loaded/) } });
    }
    await server.close();
  });

  it('says why it took the CPU only where it chose', async () => {
    const loaded: unknown[] = [];
    const logger = {
      info: ({ why }: Fields, event: string) => {
        if (event === 'loaded') loaded.push(why);
      },
      warn: () => {},
      error: () => {},
    };
    for (const options of [{ models: [model] }, { models: [modelPath], device: 'cpu' }, { models: [modelPath] }]) {
      const server = createServer({ ...options, logger });
      await server.ready;
      await server.close();
    }
    expect(loaded).toEqual([undefined, undefined, whyCpu() || undefined]);
  });
});

/** A server whose generations' ends are kept. */
function watched(): { server: Server; ended: unknown[] } {
  const ended: unknown[] = [];
  const logger = {
    info: (fields: Readonly<Record<string, unknown>>, event: string) => {
      if (event === 'generated') ended.push(fields.finish);
    },
    warn: () => {},
    error: (fields: object) => ended.push(fields),
  };
  return { server: createServer({ models: [model], logger }), ended };
}

interface Mounted extends AsyncDisposable {
  url: string;
}

async function closing(listener: ReturnType<typeof createHttpServer>): Promise<Mounted> {
  if (!listener.listening) await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      listener.closeAllConnections();
      listener.close();
    },
  };
}

const mounts: Record<string, (server: Server) => Promise<Mounted>> = {
  'Express 5': (server) => closing(createHttpServer(express().use('/v1', server.node))),
  'Express 5 behind its parser': (server) =>
    closing(createHttpServer(express().use(express.json()).use('/v1', server.node))),
  'Fastify 5 without its parsers': async (server) => {
    const app = fastify();
    app.register(async (inside) => {
      inside.removeAllContentTypeParsers();
      inside.addContentTypeParser('*', (_, __, done) => done(null));
      inside.all('/v1/*', (request, reply) => {
        reply.hijack();
        return server.node(request.raw, reply.raw);
      });
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    return closing(app.server);
  },
  'Fastify 5 behind its parser': async (server) => {
    const app = fastify();
    app.all('/v1/*', (request, reply) => {
      reply.hijack();
      return server.node(Object.assign(request.raw, { body: request.body }), reply.raw);
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    return closing(app.server);
  },
};

describe.each(Object.entries(mounts))('in %s', (_, mount) => {
  const messages = [{ role: 'user' as const, content: 'Tell a long story.' }];
  const endless = {
    model: modelId,
    messages,
    max_tokens: 400,
    temperature: 1,
    ignore_eos: true,
    stream: true as const,
  };

  it('answers whole and as a stream, and lists', async () => {
    const { server } = watched();
    await using at = await mount(server);
    const client = new OpenAI({ baseURL: `${at.url}/v1`, apiKey: 'x', maxRetries: 0 });
    const body = { model: modelId, messages, max_tokens: 8, temperature: 0 };
    const whole = await client.chat.completions.create(body);
    let text = '';
    for await (const { choices } of await client.chat.completions.create({ ...body, stream: true })) {
      text += choices[0]?.delta.content ?? '';
    }
    expect(text).toBe(whole.choices[0]!.message.content);
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual([modelId]);
    await expect(client.chat.completions.create({ ...body, model: 'none' })).rejects.toThrow(OpenAI.NotFoundError);
    await server.close();
  });

  it.each([true, false])('frees what a client used that leaves (streaming: %s)', async (stream) => {
    const { server, ended } = watched();
    await using at = await mount(server);
    const leave = new AbortController();
    const answer = fetch(`${at.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ ...endless, stream }),
      headers: { 'content-type': 'application/json' },
      signal: leave.signal,
    });
    answer.catch(() => {});
    if (stream) await (await answer).body!.getReader().read();
    else await expect.poll(() => model.engine.stats().running).toBe(1);
    leave.abort();
    await expect.poll(() => ended).toEqual(['abort']);
    expect(model.engine.stats()).toMatchObject({ running: 0, waiting: 0 });
    await server.close();
  });
});

describe('as a route of Next.js', () => {
  const call = (POST: Server['fetch'], body: object, signal?: AbortSignal): Promise<Response> =>
    POST(new Request('http://x/v1/chat/completions', { ...init, body: JSON.stringify(body), signal: signal ?? null }));

  it('answers, streams, and ends with the request or with the reader', async () => {
    const { server, ended } = watched();
    const POST = server.fetch;
    await expectAnswer(await call(POST, request));
    const streamed = await call(POST, { ...request, stream: true });
    expect(await streamed.text()).toMatch(/^data: .*data: \[DONE\]\n\n$/s);
    const endless = { ...request, max_tokens: 400, ignore_eos: true, stream: true };
    const reader = (await call(POST, endless)).body!.getReader();
    await reader.read();
    await reader.cancel();
    await expect.poll(() => ended.slice(2)).toEqual(['abort']);
    const leave = new AbortController();
    const whole = call(POST, { ...endless, stream: false }, leave.signal);
    await expect.poll(() => model.engine.stats().running).toBe(1);
    leave.abort();
    expect((await whole).status).toBe(503);
    await expect.poll(() => ended.slice(2)).toEqual(['abort', 'abort']);
    await server.close();
  });
});
