// The handlers mounted where people mount them: node:http, Hono, a plain fetch call, under /v1, at the root, elsewhere.
import { createServer as createHttpServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel, type Model } from '../../lib/model.js';
import { createServer } from '../../lib/server/index.js';
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

  it('says at once what is wrong with its options', () => {
    expect(() => createServer({ models: [] })).toThrow(/'models' is empty/);
    expect(() => createServer({ models: [model], limits: { bodyBytes: 0 } })).toThrow(/'limits.bodyBytes'/);
    expect(() => createServer({ models: [model], metricsPrefix: '9' })).toThrow(/'metricsPrefix'/);
  });

  it.each<[object, RegExp]>([
    [{}, /'models' is missing/],
    [{ models: ['x'], apiKey: 'k' }, /'apiKey' is not known/],
    [{ models: ['x'], limits: { bytes: 1 } }, /'limits.bytes' is not known/],
    [{ models: 'x' }, /'models' expected array/],
    [{ models: [1] }, /'models.0' expected a name/],
    [{ models: ['x'], logger: console.log }, /'logger'/],
    [{ models: ['x'], apiKeys: [''] }, /'apiKeys.0' expected a key/],
    [{ models: ['x'], apiKeys: ['a', 'b c'] }, /'apiKeys.1'/],
    [{ models: ['x'], apiKeys: ['ключ'] }, /'apiKeys.0'/],
  ])('refuses %j by a TypeError', (options, message) => {
    const make = () => createServer(options as Parameters<typeof createServer>[0]);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });

  it('is not ready while it loads, nor after a model failed', async () => {
    const server = createServer({ models: [`${modelPath}-missing`], logger: false });
    expect((await server.fetch(new Request('http://x/health/ready'))).status).toBe(503);
    await expect(server.ready).rejects.toThrow(/missing/);
    const response = await server.fetch(new Request('http://x/v1/chat/completions', init));
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { message: expect.stringMatching(/could not be loaded/) } });
    await server.close();
  });
});
