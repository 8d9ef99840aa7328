// Chat completions by the official client and on the wire, against OpenAI's specification.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelId, type Running, running } from '../running.js';
import { expectValid } from '../specification.js';

let server: Running;
beforeAll(async () => {
  server = await running();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const messages = [{ role: 'user' as const, content: 'Tell me about goats.' }];

describe('chat completions', () => {
  it('answers whole', async () => {
    const answer = await server.client.chat.completions.create({
      model: modelId,
      messages,
      max_tokens: 12,
      temperature: 0,
    });
    expectValid('CreateChatCompletionResponse', answer);
    expect(answer.choices[0]!.message.content).not.toBe('');
    expect(answer.usage!.completion_tokens).toBeLessThanOrEqual(12);
    expect(answer._request_id).toMatch(/^req_/);
  });

  it('the only model needs no name, and addresses of other modalities say why they are none', async () => {
    const response = await server.post('/v1/chat/completions', { messages, max_tokens: 2 });
    expect(await response.json()).toMatchObject({ model: modelId });
    expect((await fetch(`${server.url}/ping`)).status).toBe(200);
    expect(await (await fetch(`${server.url}/version`)).json()).toMatchObject({
      version: expect.stringMatching(/^\d+\./),
    });
    const speech = await server.post('/v1/audio/speech', { input: 'x' });
    expect(speech.status).toBe(404);
    expect(await speech.text()).toContain('the models take and give text');
  });

  it('streams the same text', async () => {
    const request = { model: modelId, messages, max_tokens: 24, temperature: 0 };
    const whole = await server.client.chat.completions.create(request);
    const stream = await server.client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    const chunks = [];
    for await (const chunk of stream) {
      expectValid('CreateChatCompletionStreamResponse', chunk);
      chunks.push(chunk);
      text += chunk.choices[0]?.delta.content ?? '';
    }
    expect(text).toBe(whole.choices[0]!.message.content);
    expect(chunks[0]!.choices[0]!.delta).toMatchObject({ role: 'assistant', content: '' });
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: whole.usage });
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe(whole.choices[0]!.finish_reason);
  });

  it('gives n choices, each its own, the same for the same seed', async () => {
    const request = { model: modelId, messages, max_tokens: 40, n: 3, seed: 7, temperature: 1.5 };
    const answer = await server.client.chat.completions.create(request);
    expectValid('CreateChatCompletionResponse', answer);
    const texts = answer.choices.map(({ message }) => message.content);
    expect(answer.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(new Set(texts).size).toBe(3);
    const again = await server.client.chat.completions.create(request);
    expect(again.choices.map(({ message }) => message.content)).toEqual(texts);
    const streamed = ['', '', ''];
    for await (const chunk of await server.client.chat.completions.create({ ...request, stream: true })) {
      expectValid('CreateChatCompletionStreamResponse', chunk);
      expect(chunk.usage).toBeUndefined();
      for (const { index, delta } of chunk.choices) streamed[index] += delta.content ?? '';
    }
    expect(streamed).toEqual(texts);
  });

  it.each([2 ** 53 + 2, 2 ** 63, -(2 ** 63), 2 ** 64, -1])('takes a seed of 64 bits: %d', async (seed) => {
    const request = { model: modelId, messages, max_tokens: 12, seed, temperature: 1.5 };
    const [one, two] = await Promise.all([1, 2].map(() => server.client.chat.completions.create(request)));
    expect(one!.choices[0]!.message.content).toBe(two!.choices[0]!.message.content);
  });

  it('ends before a stop string, and never lets a part of it out', async () => {
    const request = { model: modelId, messages, max_tokens: 40, temperature: 0 };
    const whole = (await server.client.chat.completions.create(request)).choices[0]!.message.content!;
    const stop = whole.slice(20, 27);
    const stream = await server.client.chat.completions.create({ ...request, stop: [stop], stream: true });
    let text = '';
    let finish: string | null = null;
    for await (const { choices } of stream) {
      text += choices[0]!.delta.content ?? '';
      finish = choices[0]!.finish_reason ?? finish;
    }
    expect(text).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(finish).toBe('stop');
  });

  it('gives log probabilities whose bytes are the text', async () => {
    const request = { model: modelId, messages, max_tokens: 12, temperature: 0, logprobs: true, top_logprobs: 3 };
    const answer = await server.client.chat.completions.create(request);
    expectValid('CreateChatCompletionResponse', answer);
    const content = answer.choices[0]!.logprobs!.content!;
    expect(Buffer.from(content.flatMap(({ bytes }) => bytes ?? [])).toString()).toBe(
      answer.choices[0]!.message.content,
    );
    for (const { token, logprob, top_logprobs: top } of content) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top).toHaveLength(3);
      expect(top[0]!.token).toBe(token);
    }
    const streamed: string[] = [];
    for await (const chunk of await server.client.chat.completions.create({ ...request, stream: true })) {
      expectValid('CreateChatCompletionStreamResponse', chunk);
      streamed.push(...(chunk.choices[0]!.logprobs?.content ?? []).map(({ token }) => token));
    }
    expect(streamed).toEqual(content.map(({ token }) => token));
  });

  it('obeys logit_bias', async () => {
    const tokenized = await server.post('/tokenize', { model: modelId, prompt: ' goat', add_special_tokens: false });
    const [token] = ((await tokenized.json()) as { tokens: number[] }).tokens;
    const answer = await server.client.chat.completions.create({
      model: modelId,
      messages,
      max_tokens: 3,
      temperature: 0,
      logit_bias: { [token!]: 100 },
      logprobs: true,
    });
    const tokens = answer.choices[0]!.logprobs!.content!.map((entry) => entry.token);
    expect(new Set(tokens).size).toBe(1);
  });

  it('lets pass what it has no use for', async () => {
    const answer = await server.client.chat.completions.create({
      model: modelId,
      messages: [
        {
          role: 'developer',
          content: [
            { type: 'text', text: 'Be ' },
            { type: 'text', text: 'brief.' },
          ],
        },
        ...messages,
      ],
      max_completion_tokens: 4,
      user: 'u',
      metadata: { a: 'b' },
      store: false,
      reasoning_effort: 'low',
      service_tier: 'auto',
      stop: null,
      logit_bias: null,
    });
    expect(answer.usage!.completion_tokens).toBeLessThanOrEqual(4);
  });

  it.each([true, false])('warns of what it relaxes in a schema (streaming: %s)', async (stream) => {
    const schema = { type: 'object', properties: { a: { type: 'integer', uniqueGöats: 1, not: {} } }, required: ['a'] };
    const response = await server.post('/v1/chat/completions', {
      model: modelId,
      messages,
      max_tokens: 40,
      temperature: 0,
      stream,
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('x-helvetia-warning')).toMatch(/not/);
    expect(response.headers.get('content-type')).toMatch(stream ? /event-stream/ : /json/);
    await response.text();
  });

  it('is written as server-sent events that end with [DONE]', async () => {
    const response = await server.post('/v1/chat/completions', {
      model: modelId,
      messages,
      max_tokens: 3,
      stream: true,
    });
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    expect(response.headers.get('x-request-id')).toMatch(/^req_/);
    const events = (await response.text()).split('\n\n');
    expect(events.slice(-2)).toEqual(['data: [DONE]', '']);
    for (const event of events.slice(0, -2)) expect(() => JSON.parse(event.slice('data: '.length))).not.toThrow();
  });

  it("never splits a character, in any language's script", async () => {
    const odd = [{ role: 'user', content: '日本語 🐐 émigré — repeat' }];
    const request = { model: modelId, messages: odd, max_tokens: 60, temperature: 2, seed: 3, stream: true };
    const text = await (await server.post('/v1/chat/completions', request)).text();
    expect(text).not.toContain('\\ufffd\\ufffd\\ufffd');
    expect(text.split('data: ').length).toBeGreaterThan(3);
  });
});
