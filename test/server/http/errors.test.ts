// What is refused, and how: statuses, the client's error classes, and bodies that always have OpenAI's four keys.
import { request } from 'node:http';
import { connect } from 'node:net';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../../lib/model.js';
import { modelId, modelPath, type Running, running } from '../running.js';
import { expectValid } from '../specification.js';

const key = 'sk-test-1';
let server: Running;
beforeAll(async () => {
  server = await running({ apiKeys: [key, 'sk-test-2'], limits: { bodyBytes: 20_000, promptTokens: 64 } });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const messages = [{ role: 'user', content: 'Hello' }];

interface Refusal {
  status: number;
  param?: string | null;
  code?: string | null;
  message?: RegExp;
}

async function expectRefused(response: Response, { status, param, code, message }: Refusal): Promise<void> {
  expect(response.status).toBe(status);
  expect(response.headers.get('x-request-id')).toBeTruthy();
  const body = (await response.json()) as { error: Record<string, unknown> };
  expectValid('ErrorResponse', body);
  expect(Object.keys(body.error).sort()).toEqual(['code', 'message', 'param', 'type']);
  if (param !== undefined) expect(body.error.param).toBe(param);
  if (code !== undefined) expect(body.error.code).toBe(code);
  if (message !== undefined) expect(body.error.message).toMatch(message);
}

describe('bodies', () => {
  const chat = (fields: object) => ({ model: modelId, messages, max_tokens: 2, ...fields });
  const cases: [name: string, body: unknown, refusal: Refusal][] = [
    ['no JSON', '{"model": ', { status: 400, message: /not valid JSON/ }],
    ['nothing', '', { status: 400, message: /empty/ }],
    ['an array', [], { status: 400 }],
    ['null', 'null', { status: 400 }],
    ['hostile nesting', '['.repeat(15_000), { status: 400, message: /nests deeper/ }],
    ['more bytes than allowed', chat({ user: 'x'.repeat(30_000) }), { status: 413 }],
    ['a model that is no name', chat({ model: '' }), { status: 400, param: 'model' }],
    ['an unknown model', chat({ model: 'gpt-9' }), { status: 404, param: 'model', code: 'model_not_found' }],
    ['no messages', chat({ messages: [] }), { status: 400, param: 'messages' }],
    [
      'an unknown role',
      chat({ messages: [{ role: 'goat', content: '' }] }),
      { status: 400, param: 'messages[0].role' },
    ],
    [
      'an image',
      chat({ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] }),
      { status: 400, param: 'messages[0].content[0]', message: /image_url/ },
    ],
    ['a user without content', chat({ messages: [{ role: 'user' }] }), { status: 400, param: 'messages[0].content' }],
    ['a temperature of 3', chat({ temperature: 3 }), { status: 400, param: 'temperature' }],
    ['n of 129', chat({ n: 129 }), { status: 400, param: 'n' }],
    [
      '65 stops',
      chat({ stop: Array.from({ length: 65 }, (_, i) => `stop ${i}`) }),
      { status: 400, param: 'stop', message: /65 entries, expected at most 64/ },
    ],
    ['top_logprobs alone', chat({ top_logprobs: 3 }), { status: 400, param: 'top_logprobs' }],
    ['a bias for no token', chat({ logit_bias: { 99999999: 1 } }), { status: 400, param: 'logit_bias' }],
    ['functions', chat({ functions: [] }), { status: 400, param: 'functions', message: /tools/ }],
    [
      'a prompt that is too long',
      chat({ messages: [{ role: 'user', content: 'goat '.repeat(200) }] }),
      { status: 400, param: 'messages', code: 'context_length_exceeded' },
    ],
  ];
  it.each(cases)('with %s are refused', async (_, body, refusal) => {
    await expectRefused(await server.post('/v1/chat/completions', body), refusal);
  });

  it('that are cut off do not disturb anyone', async () => {
    const response = await server.post('/v1/completions', { model: modelId, prompt: 'a', suffix: 'b' });
    await expectRefused(response, { status: 400, param: 'suffix' });
  });
});

describe('a body that trickles', () => {
  it.each([
    ['of a known length', 'content-length: 1000'],
    ['in chunks', 'transfer-encoding: chunked'],
  ])('%s is given up, and its connection', async (_, header) => {
    await using slow = await running({ limits: { bodySeconds: 0.2 } });
    const socket = connect(Number(new URL(slow.url).port), '127.0.0.1');
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n${header}\r\n\r\n`);
    let trickled = 0;
    const trickle = setInterval(() => {
      trickled++;
      socket.write('1\r\n \r\n');
    }, 20);
    socket.on('error', () => {}); // it writes until it hears that nobody listens
    let answer = '';
    for await (const chunk of socket) answer += chunk;
    clearInterval(trickle);
    expect(trickled).toBeLessThan(100); // far fewer than it takes to send all of a known length
    const [head, body] = answer.split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1.1 408 /);
    expectValid('ErrorResponse', JSON.parse(body!));
  });
});

describe('addresses', () => {
  it('that do not exist are 404', async () => {
    await expectRefused(await server.post('/v1/goats', {}), { status: 404, code: 'unknown_url' });
  });

  it('say which methods they know', async () => {
    const response = await fetch(`${server.url}/v1/chat/completions`, { headers: { authorization: `Bearer ${key}` } });
    expect(response.headers.get('allow')).toBe('POST');
    await expectRefused(response, { status: 405 });
  });

  it('of files say that there is no data folder', async () => {
    await expectRefused(await server.post('/v1/files', {}), { status: 404, message: /data folder/ });
  });
});

describe('keys', () => {
  it.each(['', 'Bearer', 'Bearer wrong', `Basic ${key}`, `Bearer ${key}x`])('%j is refused', async (authorization) => {
    const response = await server.post(
      '/v1/chat/completions',
      { model: modelId, messages },
      { headers: { authorization } },
    );
    await expectRefused(response, { status: 401, code: 'invalid_api_key' });
  });

  it('any of several is let in, and probes need none', async () => {
    const models = await fetch(`${server.url}/v1/models`, { headers: { authorization: 'Bearer sk-test-2' } });
    expect(models.status).toBe(200);
    for (const path of ['/health', '/health/ready', '/metrics'])
      expect((await fetch(server.url + path)).status).toBe(200);
  });
});

describe('pages of other sites', () => {
  const headers = { origin: 'https://goats.example', 'sec-fetch-site': 'cross-site', 'content-type': 'text/plain' };
  const body = JSON.stringify({ model: modelId, messages, max_tokens: 1 });
  const call = (url: string) => fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body });

  it('are not let in, unless they are named', async () => {
    await expectRefused(await call(server.url), { status: 403, code: 'cross_site' });
    await using open = await running({ cors: ['https://goats.example'] });
    const response = await call(open.url);
    expect(response.status).toBe(200);
    expect(response.headers.get('access-control-allow-origin')).toBe('https://goats.example');
    const preflight = await fetch(`${open.url}/v1/models`, {
      method: 'OPTIONS',
      headers: { origin: 'https://goats.example', 'access-control-request-method': 'POST' },
    });
    expect(preflight.status).toBe(204);
  });
});

/** fetch sets some headers itself. */
function rawStatus(url: string, headers: Record<string, string>, method = 'POST'): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = request(`${url}/v1/chat/completions`, { method, headers }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode!));
    });
    call.on('error', reject);
    call.end(method === 'POST' ? JSON.stringify({ model: modelId, messages, max_tokens: 1 }) : undefined);
  });
}

describe('a server for this machine alone', () => {
  it('is not called by the name of another', async () => {
    await using open = await running({ allowedHosts: ['mybox'] });
    for (const host of ['rebound.example', 'rebound.example:8000', '127.0.0.1.rebound.example', '192.168.1.2']) {
      expect([host, await rawStatus(open.url, { host })]).toEqual([host, 403]);
      expect(await rawStatus(open.url, { host }, 'GET')).toBe(403);
    }
    for (const host of ['localhost:1234', '127.0.0.1', '[::1]:8000', 'a.localhost', 'mybox:80']) {
      expect([host, await rawStatus(open.url, { host })]).toEqual([host, 200]);
    }
    // With keys, a name gives nobody anything.
    expect(await rawStatus(server.url, { host: 'proxied.example', authorization: `Bearer ${key}` })).toBe(200);
  });

  it.each([
    ['another port', { origin: 'http://localhost:3000', 'sec-fetch-site': 'same-site' }, 403],
    ['no word of the browser', { origin: 'http://192.168.1.7' }, 403],
    ['no origin', { 'sec-fetch-site': 'cross-site' }, 403],
    ['an origin of its own kind', { origin: 'null' }, 403],
    ['its own page', { origin: 'http://localhost:8000' }, 200],
    ['its own page behind a proxy', { origin: 'https://ai.example', 'sec-fetch-site': 'same-origin' }, 200],
  ])('knows pages of other sites by their origin: %s', async (_, headers, status) => {
    await using open = await running();
    expect(await rawStatus(open.url, { host: 'localhost:8000', ...headers })).toBe(status);
  });
});

describe('clients', () => {
  it('are not named by a header that nobody checks', async () => {
    using model = await loadModel(modelPath);
    const clients: unknown[] = [];
    const original = model.generateTokens;
    model.generateTokens = (ids, options) => {
      clients.push(options?.client);
      return original.call(model, ids, options);
    };
    for (const apiKeys of [[], ['a', 'b']]) {
      await using open = await running({ models: [model], apiKeys });
      for (const authorization of ['Bearer a', 'bearer a', 'Bearer   a', 'Bearer b']) {
        const body = { model: model.name, messages, max_tokens: 1 };
        expect((await open.post('/v1/chat/completions', body, { headers: { authorization } })).status).toBe(200);
      }
    }
    expect(new Set(clients.splice(0, 4))).toEqual(new Set(['127.0.0.1']));
    expect(new Set(clients.splice(0, 3)).size).toBe(1);
    expect(clients).toHaveLength(1);
  });

  it('of a fetch handler are told apart by what the framework knows of them', async () => {
    using model = await loadModel(modelPath);
    const clients: unknown[] = [];
    const original = model.generateTokens;
    model.generateTokens = (ids, options) => {
      clients.push(options?.client);
      return original.call(model, ids, options);
    };
    await using open = await running({ models: [model] });
    const body = JSON.stringify({ model: model.name, messages, max_tokens: 1 });
    for (const env of [undefined, { params: {} }, { incoming: { socket: { remoteAddress: '192.0.2.7' } } }]) {
      const call = new Request('http://localhost/v1/chat/completions', { method: 'POST', body });
      expect((await open.server.fetch(call, env)).status).toBe(200);
    }
    expect(clients).toEqual(['', '', '192.0.2.7']);
  });
});

describe('the official client', () => {
  it('throws its own classes', async () => {
    const { client, url } = server;
    const request = { model: modelId, messages: [{ role: 'user' as const, content: 'Hello' }], max_tokens: 1 };
    await expect(client.chat.completions.create({ ...request, model: 'none' })).rejects.toThrow(OpenAI.NotFoundError);
    await expect(client.chat.completions.create({ ...request, temperature: 9 })).rejects.toThrow(
      OpenAI.BadRequestError,
    );
    const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'wrong', maxRetries: 0 });
    await expect(stranger.chat.completions.create(request)).rejects.toThrow(OpenAI.AuthenticationError);
  });
});
