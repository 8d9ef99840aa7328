// The older completions, embeddings and tokens, by the official client and on the wire.
import type OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isEmulated } from '../../device.js';
import { modelId, type Running, running } from '../running.js';
import { expectValid } from '../specification.js';
import { vllm } from '../vllm.js';

let server: Running;
beforeAll(async () => {
  server = await running();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const json = async <T>(response: Response): Promise<T> => (await response.json()) as T;

describe('completions', () => {
  const base = { model: modelId, prompt: 'Once upon a time', max_tokens: isEmulated ? 4 : 12, temperature: 0 };

  it('continue a text, whole and as a stream', async () => {
    const answer = await server.client.completions.create(base);
    expectValid('CreateCompletionResponse', answer);
    expect(answer.choices[0]!.text).not.toBe('');
    let text = '';
    let last: OpenAI.Completion | undefined;
    const stream = await server.client.completions.create({
      ...base,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of stream) {
      text += chunk.choices[0]?.text ?? '';
      last = chunk;
    }
    expect(text).toBe(answer.choices[0]!.text);
    expect(last).toMatchObject({
      choices: [],
      usage: { prompt_tokens: answer.usage!.prompt_tokens, completion_tokens: answer.usage!.completion_tokens },
    });
  });

  it('take all four forms of a prompt', async () => {
    const { tokens } = await json<{ tokens: number[] }>(await server.post('/tokenize', base));
    const [whole] = (await server.client.completions.create(base)).choices;
    for (const prompt of [[base.prompt], tokens, [tokens]]) {
      const [same] = (await server.client.completions.create({ ...base, prompt })).choices;
      expect(same!.text).toBe(whole!.text);
    }
    const two = await server.client.completions.create({ ...base, prompt: [base.prompt, 'The goat'], n: 2 });
    expect(two.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(two.choices.slice(0, 2).map(({ text }) => text)).toEqual([whole!.text, whole!.text]);
    expect(two.usage!.prompt_tokens).toBeLessThan(2 * tokens.length + 10);
  });

  it('echo the prompt', async () => {
    const plain = await server.client.completions.create(base);
    const echoed = await server.client.completions.create({ ...base, echo: true });
    expect(echoed.choices[0]!.text).toBe(base.prompt + plain.choices[0]!.text);
    const nothing = await server.client.completions.create({ ...base, echo: true, max_tokens: 0 });
    expect(nothing.choices[0]).toMatchObject({ text: base.prompt, finish_reason: 'length' });
  });

  it('give log probabilities in their own form', async () => {
    const answer = await server.client.completions.create({ ...base, logprobs: 2 });
    expectValid('CreateCompletionResponse', answer);
    const { tokens, token_logprobs, top_logprobs, text_offset } = answer.choices[0]!.logprobs!;
    expect(tokens).toHaveLength(base.max_tokens);
    expect(tokens!.join('').trim()).toBe(answer.choices[0]!.text.trim());
    expect(token_logprobs!.every((logprob) => logprob! <= 0)).toBe(true);
    expect(top_logprobs!.every((top) => Object.keys(top).length <= 2)).toBe(true);
    expect(text_offset![0]).toBe(0);
  });

  it('give those of the prompt too, as evaluations ask for them', async () => {
    const prompt = 'The goats climbed the mountain';
    const request = { ...base, prompt, echo: true, logprobs: 2 };
    const scored = await server.client.completions.create({ ...request, max_tokens: 0 });
    const { tokens, token_logprobs, top_logprobs, text_offset } = scored.choices[0]!.logprobs!;
    expect(scored.choices[0]!.text).toBe(prompt);
    expect(tokens).toHaveLength(scored.usage!.prompt_tokens);
    expect([token_logprobs![0], top_logprobs![0]]).toEqual([null, null]);
    expect(token_logprobs!.slice(1).every((logprob) => logprob! < 0)).toBe(true);
    expect(text_offset!.every((offset, i) => i === 0 || offset >= text_offset![i - 1]!)).toBe(true);
    // What the model says of the text is what it says of the same tokens while it writes them.
    const ids = (await json<{ tokens: number[] }>(await server.post('/tokenize', { prompt }))).tokens;
    const before = {
      ...base,
      prompt: ids.slice(0, -1),
      max_tokens: 1,
      logprobs: 5,
      logit_bias: { [ids.at(-1)!]: 100 },
    };
    const [written] = (await server.client.completions.create(before)).choices;
    expect(token_logprobs!.at(-1)).toBeCloseTo(written!.logprobs!.token_logprobs![0]!, 2);
    const on = await server.client.completions.create({ ...request, max_tokens: 3 });
    expect(on.choices[0]!.logprobs!.tokens!.slice(0, tokens!.length)).toEqual(tokens);
    expect(on.choices[0]!.logprobs!.tokens).toHaveLength(tokens!.length + 3);
    expect(on.choices[0]!.logprobs!.text_offset![tokens!.length]).toBe(prompt.length);
    let streamed: string[] = [];
    for await (const { choices } of await server.client.completions.create({
      ...request,
      max_tokens: 3,
      stream: true,
    })) {
      streamed = [...streamed, ...(choices[0]!.logprobs?.tokens ?? [])];
    }
    expect(streamed).toEqual(on.choices[0]!.logprobs!.tokens);
  });

  it('choose the best of several', async () => {
    const request = { ...base, temperature: 1.5, seed: 4, max_tokens: isEmulated ? 5 : 20 };
    const all = await server.client.completions.create({ ...request, n: 4, logprobs: 0 });
    const chosen = await server.client.completions.create({ ...request, best_of: 4 });
    const mean = ({ logprobs }: OpenAI.CompletionChoice): number =>
      logprobs!.token_logprobs!.reduce((sum, x) => sum + x!, 0) / logprobs!.token_logprobs!.length;
    const best = all.choices.reduce((a, b) => (mean(b) > mean(a) ? b : a));
    expect(chosen.choices).toHaveLength(1);
    expect(chosen.choices[0]!.text).toBe(best.text);
  });

  it.each([
    ['best_of', { best_of: 1, n: 2 }],
    ['best_of', { best_of: 3, stream: true }],
    ['suffix', { suffix: 'end' }],
    ['logprobs', { logprobs: 6 }],
    ['prompt', { prompt: [[99999]] }],
    ['prompt', { prompt: ['one', 'two'], n: 100 }],
  ])('refuse a wrong %s: %j', async (param, fields) => {
    const response = await server.post('/v1/completions', { ...base, ...fields });
    expect(response.status).toBe(400);
    expect((await json<{ error: { param: string } }>(response)).error.param).toBe(param);
  });
});

describe('embeddings', () => {
  it('are unit vectors, the same as base64 and as numbers', async () => {
    const input = ['goats climb', 'mountains are high'];
    const decoded = await server.client.embeddings.create({ model: modelId, input });
    const floats = await server.client.embeddings.create({ model: modelId, input, encoding_format: 'float' });
    expectValid('CreateEmbeddingResponse', floats);
    expect(floats.data.map(({ index }) => index)).toEqual([0, 1]);
    for (const [i, { embedding }] of floats.data.entries()) {
      expect(Math.hypot(...embedding)).toBeCloseTo(1, 4);
      expect(decoded.data[i]!.embedding.every((x, d) => Math.abs(x - embedding[d]!) < 1e-6)).toBe(true);
    }
    expect(floats.usage.total_tokens).toBeGreaterThan(2);
  });

  it('are shortened to fewer dimensions and stay unit vectors', async () => {
    const request = { model: modelId, input: 'a goat', encoding_format: 'float' as const };
    const [whole] = (await server.client.embeddings.create(request)).data;
    const [short] = (await server.client.embeddings.create({ ...request, dimensions: 16 })).data;
    const norm = Math.hypot(...whole!.embedding.slice(0, 16));
    expect(short!.embedding).toHaveLength(16);
    for (const [d, x] of short!.embedding.entries()) expect(x).toBeCloseTo(whole!.embedding[d]! / norm, 4);
    await expect(server.client.embeddings.create({ ...request, dimensions: 99999 })).rejects.toThrow(/'dimensions'/);
  });

  it('take token ids', async () => {
    const { tokens } = await json<{ tokens: number[] }>(
      await server.post('/tokenize', { model: modelId, prompt: 'a goat' }),
    );
    const options = { model: modelId, encoding_format: 'float' as const };
    const text = await server.client.embeddings.create({ ...options, input: 'a goat' });
    const ids = await server.client.embeddings.create({ ...options, input: [tokens, tokens] });
    for (const { embedding } of ids.data) {
      for (const [d, x] of embedding.entries()) expect(x).toBeCloseTo(text.data[0]!.embedding[d]!, 4);
    }
  });
});

describe('tokens', () => {
  it('come and go', async () => {
    const prompt = 'Hello, goats! 🐐 <|im_end|>';
    const { tokens, count, max_model_len, token_strs } = vllm.tokenized.parse(
      await json(await server.post('/tokenize', { model: modelId, prompt, return_token_strs: true })),
    );
    vllm.tokenized.parse(await json(await server.post('/tokenize', { prompt })));
    expect(count).toBe(tokens.length);
    expect(token_strs).toHaveLength(tokens.length);
    expect(max_model_len).toBe(512);
    const back = vllm.detokenized.parse(await json(await server.post('/detokenize', { model: modelId, tokens })));
    expect(back.prompt).toContain('Hello, goats! 🐐');
  });

  it('are counted of no text and of more than fits, for the only model without its name', async () => {
    const empty = await json<{ count: number }>(
      await server.post('/tokenize', { prompt: '', add_special_tokens: false }),
    );
    expect(empty.count).toBe(0);
    const long = await json<{ count: number }>(await server.post('/tokenize', { prompt: 'goat '.repeat(2000) }));
    expect(long.count).toBeGreaterThan(2000);
    const talk = { messages: [{ role: 'user', content: 'goat '.repeat(2000) }] };
    expect((await json<{ count: number }>(await server.post('/tokenize', talk))).count).toBeGreaterThan(2000);
  });

  it('of a conversation include the template', async () => {
    const messages = [{ role: 'user', content: 'Hi' }];
    const chat = await json<{ count: number }>(await server.post('/v1/tokenize', { model: modelId, messages }));
    const plain = await json<{ count: number }>(await server.post('/v1/tokenize', { model: modelId, prompt: 'Hi' }));
    expect(chat.count).toBeGreaterThan(plain.count);
    const sent = await server.client.chat.completions.create({
      model: modelId,
      messages: [{ role: 'user', content: 'Hi' }],
      tools: [{ type: 'function', function: { name: 'wait', description: 'Waits.' } }],
      max_tokens: 1,
    });
    const counted = await json<{ count: number }>(
      await server.post('/tokenize', {
        messages,
        tools: [{ type: 'function', function: { name: 'wait', description: 'Waits.' } }],
      }),
    );
    expect(counted.count).toBe(sent.usage!.prompt_tokens);
    expect((await server.post('/tokenize', { model: modelId })).status).toBe(400);
  });
});
