// Ollama's API: its official client against the server, and what editors ask before they chat.
import { Ollama } from 'ollama';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Running, running } from './running.js';
import { thinkingModel } from './thinking.js';

const folder = thinkingModel();
let at: Running;
let client: Ollama;
beforeAll(async () => {
  at = await running({ models: [folder.path] });
  client = new Ollama({ host: at.url });
});
afterAll(async () => {
  await at[Symbol.asyncDispose]();
  folder.dispose();
});

const messages = [{ role: 'user', content: 'Where is Tom?' }];
const options = { temperature: 0, num_predict: 40, num_ctx: 4096, num_gpu: 1 };
const chat = { model: 'thinking', messages, options };

describe('chat', () => {
  it('answers whole and in lines', async () => {
    const whole = await client.chat({ ...chat, think: false });
    expect(whole).toMatchObject({ model: 'thinking', done: true, message: { role: 'assistant' } });
    expect(whole.message.content).toMatch(/\w/);
    expect(whole.message.thinking).toBeUndefined();
    expect(whole.eval_count).toBeGreaterThan(0);
    expect(whole.total_duration).toBeGreaterThan(0);
    let text = '';
    const dones: boolean[] = [];
    for await (const part of await client.chat({ ...chat, think: false, stream: true })) {
      text += part.message.content;
      dones.push(part.done);
    }
    expect(text).toBe(whole.message.content);
    expect(dones.indexOf(true)).toBe(dones.length - 1);
  });

  it('thinks apart from the answer', async () => {
    const { message } = await client.chat({ ...chat, options: { ...options, num_predict: 4 } });
    expect(message.content).toBe('');
    expect(message.thinking).toMatch(/\w/);
  });

  it('calls tools whole, with arguments as an object, and fits a schema', async () => {
    const parameters = {
      type: 'object',
      properties: { city: { enum: ['Bern'] } },
      required: ['city'],
      additionalProperties: false,
    };
    const format = parameters;
    const { message } = await client.chat({ ...chat, think: false, format });
    expect(JSON.parse(message.content)).toEqual({ city: 'Bern' });
    const called = {
      role: 'assistant',
      content: '',
      tool_calls: [{ function: { name: 'find', arguments: { city: 'Bern' } } }],
    };
    const tools = [{ type: 'function', function: { name: 'find', description: 'Finds.', parameters } }];
    const result = { role: 'tool', content: 'In the garden.', tool_name: 'find' };
    const after = await client.chat({
      ...chat,
      think: false,
      messages: [...messages, called, result],
      tools: tools as never,
    });
    expect(after.message.content).toMatch(/\w/);
  });

  it('is loaded without a message', async () => {
    expect(await client.chat({ model: 'thinking', messages: [] })).toMatchObject({ done: true, done_reason: 'load' });
    expect(await client.generate({ model: 'thinking:latest', prompt: '', keep_alive: 0 })).toMatchObject({
      done_reason: 'unload',
    });
  });
});

it('generates', async () => {
  const { response, done_reason: reason } = await client.generate({ ...chat, prompt: 'Where is Tom?', think: false });
  expect(response).toMatch(/\w/);
  expect(['stop', 'length']).toContain(reason);
});

describe('models', () => {
  it('are listed and described as editors want them', async () => {
    const { models } = await client.list();
    expect(models).toMatchObject([
      {
        name: 'thinking',
        model: 'thinking',
        details: { format: 'safetensors', quantization_level: expect.any(String) },
      },
    ]);
    expect(models[0]!.size).toBeGreaterThan(1000);
    const shown = await client.show({ model: 'thinking' });
    expect(shown.capabilities).toEqual(expect.arrayContaining(['completion', 'tools', 'thinking']));
    const info = shown.model_info as unknown as Record<string, unknown>;
    expect(info[`${info['general.architecture']}.context_length`]).toBe(512);
    expect((await client.ps()).models).toMatchObject([{ name: 'thinking' }]);
    const { version } = (await (await fetch(`${at.url}/api/version`)).json()) as { version: string };
    const [major, minor] = version.split('.').map(Number);
    expect(major! > 0 || minor! >= 7).toBe(true);
    expect(await client.pull({ model: 'thinking' })).toMatchObject({ status: 'success' });
  });
});

describe('errors', () => {
  it.each([
    ['chat', { model: 'none', messages }, 404, 'none'],
    ['chat', { ...chat, messages: [{ role: 'user', content: 'x', images: ['aGk='] }] }, 400, 'images'],
    ['chat', { ...chat, format: 5 }, 400, 'format'],
    ['chat', { ...chat, think: 'huge' }, 400, 'effort'],
    ['generate', { ...chat, prompt: 'x', suffix: 'y' }, 400, 'suffix'],
    ['generate', { ...chat, prompt: 'x', raw: true }, 400, 'raw'],
    ['show', { model: 'none' }, 404, 'none'],
    ['pull', { model: 'none' }, 404, 'none'],
  ])('of /api/%s are a sentence: %j', async (path, body, status, words) => {
    const response = await fetch(`${at.url}/api/${path}`, { method: 'POST', body: JSON.stringify(body) });
    expect(response.status).toBe(status);
    const { error } = (await response.json()) as { error: string };
    expect(error).toContain(words);
  });
});

describe('embed', () => {
  it('gives vectors of length 1, in both forms', async () => {
    const { embeddings, prompt_eval_count: tokens } = await client.embed({
      model: 'thinking',
      input: ['a cat', 'a dog'],
    });
    const { data, usage } = await at.client.embeddings.create({ model: 'thinking', input: ['a cat', 'a dog'] });
    expect(embeddings).toHaveLength(2);
    expect(Math.hypot(...embeddings[0]!)).toBeCloseTo(1, 5);
    embeddings.forEach((vector, i) => vector.forEach((x, k) => expect(x).toBeCloseTo(data[i]!.embedding[k]!, 6)));
    expect(tokens).toBe(usage.prompt_tokens);
    const short = await client.embed({ model: 'thinking', input: 'a cat', dimensions: 3 });
    expect(short.embeddings[0]).toHaveLength(3);
    expect((await client.embeddings({ model: 'thinking', prompt: 'a cat' })).embedding).toEqual(data[0]!.embedding);
  });

  it('cuts what is too long unless the request says otherwise', async () => {
    const input = 'a cat '.repeat(40_000);
    const { embeddings } = await client.embed({ model: 'thinking', input });
    expect(embeddings).toHaveLength(1);
    await expect(client.embed({ model: 'thinking', input, truncate: false })).rejects.toThrow("'input': has ");
  });
});
