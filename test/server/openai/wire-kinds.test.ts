// What clients of other servers send and expect: stop lists, text parts, encoded bodies, addresses, and calls cut off.
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { afterBase } from '../../../lib/server/adapter-names.js';
import { modelId, type Running, running } from '../running.js';

let at: Running;
beforeAll(async () => {
  at = await running();
});
afterAll(() => at[Symbol.asyncDispose]());

const body = { model: modelId, messages: [{ role: 'user', content: 'Where?' }], max_tokens: 3, temperature: 0 };
const place = { type: 'object', properties: { city: { enum: ['Bern', 'Chur'] } }, required: ['city'] };
const tools = [{ type: 'function', function: { name: 'find', parameters: place } }];

interface Answer {
  choices: {
    finish_reason: string;
    message: { content: string | null };
    logprobs: { tokens: string[]; top_logprobs: Record<string, number>[] };
  }[];
  tokens: number[];
  error: { message: string };
}

async function answer(more: object, path = '/v1/chat/completions') {
  const response = await at.post(path, { ...body, ...more });
  return { status: response.status, json: (await response.json()) as Answer };
}

describe('stop', () => {
  it.each([[[]], [['a1', 'b1', 'c1', 'd1', 'e1', 'f1']], ['x1'], [null]])('%j is taken', async (stop) => {
    expect((await answer({ stop })).status).toBe(200);
  });

  it.each([[['']], [''], [[7]], [Array.from({ length: 65 }, String)]])('%j is refused in a sentence', async (stop) => {
    const { status, json } = await answer({ stop });
    expect(status).toBe(400);
    expect(json.error.message).toMatch(/'stop': (expected a stop string|has 65 entries, expected at most 64)/);
  });
});

describe('a call that is cut off', () => {
  it('by a stop string does not end in tool_calls, nor leaves markup', async () => {
    const { json } = await answer({ tools, tool_choice: 'required', max_tokens: 60, stop: ['city'] });
    expect(json.choices[0]!.finish_reason).toBe('stop');
    expect(json.choices[0]!.message.content ?? '').not.toMatch(/[<{[]/);
  });

  it.each([1, 2, 4, 8])('after %d tokens leaves no markup', async (max_tokens) => {
    const { json } = await answer({ tools, tool_choice: 'required', max_tokens });
    expect(json.choices[0]!.finish_reason).toBe('length');
    expect(json.choices[0]!.message.content ?? '').toBe('');
  });
});

it('a stream of calls begins without content', async () => {
  const response = await at.post('/v1/chat/completions', {
    ...body,
    tools,
    tool_choice: 'required',
    stream: true,
    max_tokens: 60,
  });
  const [first] = (await response.text()).split('\n\n');
  expect(JSON.parse(first!.slice(6)).choices[0].delta).toEqual({ role: 'assistant', content: null, refusal: null });
});

it('text parts are lines', async () => {
  const count = async (content: unknown) =>
    (await answer({ messages: [{ role: 'user', content }] }, '/tokenize')).json.tokens;
  const parts = ['one', 'two'].map((text) => ({ type: 'text', text }));
  expect(await count(parts)).toEqual(await count('one\ntwo'));
});

it('log probabilities of completions hold the sampled token', async () => {
  const request = { prompt: 'Once', logprobs: 1, temperature: 2, seed: 3, max_tokens: 8 };
  const { json } = await answer(request, '/v1/completions');
  const { tokens, top_logprobs: top } = json.choices[0]!.logprobs;
  expect(tokens.map((token: string, i: number) => token in top[i]!)).toEqual(tokens.map(() => true));
});

describe('an encoded body', () => {
  const send = (bytes: Uint8Array | string, encoding: string) =>
    fetch(`${at.url}/v1/chat/completions`, {
      method: 'POST',
      body: bytes as string,
      headers: { 'content-type': 'application/json', 'content-encoding': encoding },
    });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ] as const)('%s is decoded', async (encoding, compress) => {
    expect((await send(compress(JSON.stringify(body)), encoding)).status).toBe(200);
  });

  it('is bounded once decoded', async () => {
    expect((await send(gzipSync(Buffer.alloc(64_000_000, 0x20)), 'gzip')).status).toBe(413);
  });

  it('of no or of another encoding is refused without its bytes', async () => {
    const broken = await send(JSON.stringify(body), 'gzip');
    expect(broken.status).toBe(400);
    expect(((await broken.json()) as { error: { message: string } }).error.message).toContain('expected gzip');
    expect((await send(JSON.stringify(body), 'zstd')).status).toBe(415);
  });
});

it.each(['\\\\', '\\"', '"', '[[{,:', '\\\\\\"{['])('a body may hold the string %j', async (content) => {
  expect((await answer({ messages: [{ role: 'user', content }] }, '/tokenize')).status).toBe(200);
  const deep = `{"model":${JSON.stringify(content)},"a":${'['.repeat(200)}`;
  expect(await (await at.post('/v1/chat/completions', deep)).text()).toContain('nests deeper');
});

describe('an address', () => {
  it.each(['/v1//chat/completions', '//v1/chat/completions/', '/chat/completions/'])('%s is found', async (path) => {
    expect((await answer({}, path)).status).toBe(200);
  });

  it('that is not there is named as it was written', async () => {
    const { json } = await answer({}, '/v1/chatter');
    expect(json.error.message).toMatch(/^POST \/v1\/chatter: /);
    const wrong = await fetch(`${at.url}/v1/chat/completions`, { method: 'PUT' });
    expect(((await wrong.json()) as Answer).error.message).toMatch(/^PUT \/v1\/chat\/completions: /);
  });
});

it('a name of a million colons is looked up at once', async () => {
  const { status, json } = await answer({ model: 'a:'.repeat(1_000_000) });
  expect(status).toBe(404);
  expect(json.error.message.length).toBeLessThan(400);
  expect((await fetch(`${at.url}/v1/models/${'a:'.repeat(5000)}`)).status).toBe(404);
  // The lookups counted: one a model, not one a colon.
  const served = { id: 'a' } as never;
  expect(
    afterBase(
      new Map([
        ['a', served],
        ['a:a', served],
        ['b', served],
      ]),
      'a:'.repeat(5000),
    ),
  ).toHaveLength(2);
});
