// The server's own listener under clients that open too many connections, do not read, do not write, or keep one open.
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel, type Model } from '../../../lib/model.js';
import { createServer, type Limits } from '../../../lib/server/index.js';
import { until } from '../../until.js';
import { modelId, modelPath } from '../running.js';

let model: Model;
beforeAll(async () => {
  model = await loadModel(modelPath);
});
afterAll(() => model.dispose());

interface Listening extends AsyncDisposable {
  port: number;
  /** How generations ended. */
  finished: unknown[];
}

async function listening(limits: Limits): Promise<Listening> {
  const finished: unknown[] = [];
  const info = ({ finish }: Readonly<Record<string, unknown>>, event: string): void => {
    if (event === 'generated') finished.push(finish);
  };
  const logger = { info, warn: () => {}, error: () => {} };
  const server = createServer({ models: [model], logger, limits });
  const { port } = await server.listen({ port: 0 });
  await server.ready;
  return { port, finished, [Symbol.asyncDispose]: () => server.close({ drainSeconds: 0 }) };
}

const endless = {
  model: modelId,
  messages: [{ role: 'user', content: 'Tell a long story.' }],
  max_tokens: 400,
  ignore_eos: true,
  temperature: 1,
  logit_bias: {},
};

function chat(port: number, body: object): ClientRequest {
  const headers = { 'content-type': 'application/json' };
  const sent = httpRequest({ port, method: 'POST', path: '/v1/chat/completions', agent: false, headers });
  sent.on('error', () => {}); // of those that the server drops
  sent.end(JSON.stringify(body));
  return sent;
}

const answerTo = (sent: ClientRequest): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => sent.on('response', resolve).on('error', reject));

async function status(port: number, path: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } });
  await response.arrayBuffer();
  return response.status;
}

/** A connection that sends `text`; `closed` once the server has closed it. */
function raw(port: number, text = ''): { socket: Socket; connected: Promise<void>; closed: Promise<void> } {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {}).resume();
  socket.write(text);
  return {
    socket,
    connected: new Promise((resolve) => socket.once('connect', () => resolve())),
    closed: new Promise((resolve) => socket.once('close', () => resolve())),
  };
}

describe('connections', () => {
  it('without a request make room for new ones, the one idle longest first', async () => {
    await using server = await listening({ connections: 4 });
    const first = raw(server.port, 'GET /health HTTP/1.1\r\nx-slow: ');
    await first.connected;
    const others = Array.from({ length: 40 }, () => raw(server.port));
    await first.closed;
    for (const path of ['/health', '/metrics', '/v1/models']) expect(await status(server.port, path)).toBe(200);
    await Promise.all(others.slice(0, 20).map(({ closed }) => closed));
    expect(others.at(-1)!.socket.destroyed).toBe(false);
    for (const { socket } of others) socket.destroy();
  });

  it('with requests stay; beside them probes are answered, and others are told to come again', async () => {
    await using server = await listening({ connections: 2 });
    const busy = [1, 2].map(() => chat(server.port, { ...endless, stream: true }));
    // Unread answers are generated up to their limit of unread pieces, and then wait.
    await Promise.all(busy.map(answerTo));
    for (const path of ['/health', '/health/ready', '/metrics']) expect(await status(server.port, path)).toBe(200);
    const refused = await fetch(`http://127.0.0.1:${server.port}/v1/models`);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(refused.headers.get('connection')).toBe('close');
    expect(await refused.json()).toMatchObject({ error: { code: 'too_many_connections' } });
    busy[0]!.destroy();
    await until(() => server.finished.length === 1);
    expect(await status(server.port, '/v1/models')).toBe(200);
    busy[1]!.destroy();
  });

  it('stay open between requests for as long as the option says, by default longer than a proxy keeps them', async () => {
    for (const [limits, seconds] of [
      [{}, 75],
      [{ keepAliveSeconds: 7 }, 7],
    ] as const) {
      await using server = await listening(limits);
      const { headers } = await fetch(`http://127.0.0.1:${server.port}/health`);
      expect(headers.get('keep-alive')).toBe(`timeout=${seconds}`);
    }
    await using server = await listening({ keepAliveSeconds: 0.05 });
    await raw(server.port, 'GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n').closed;
  });
});

describe('a client that stalls', () => {
  it('and does not read its answer is dropped, and what it asked for is given up', async () => {
    await using server = await listening({ stallSeconds: 0.3 });
    // More than the system's buffers take.
    const sent = chat(server.port, { ...endless, stream: true, n: 24, logprobs: true, top_logprobs: 20 });
    const answer = await answerTo(sent);
    answer.pause();
    await until(() => server.finished.length === 24);
    expect(server.finished).toContain('abort');
    expect(model.engine.stats()).toMatchObject({ running: 0, waiting: 0 });
    sent.destroy();
  });

  it('and does not send its body is dropped', async () => {
    await using server = await listening({ stallSeconds: 0.1 });
    const head = 'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n';
    await raw(server.port, `${head}{"model"`).closed;
  });

  it('because the model is at work stays', async () => {
    await using server = await listening({ stallSeconds: 0.02 });
    const answer = await answerTo(chat(server.port, { ...endless, n: 4 }));
    expect(answer.statusCode).toBe(200);
    answer.resume();
    await until(() => answer.complete);
  });
});
