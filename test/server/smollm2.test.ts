// The server over a real model, where it is beside the repository.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toFile } from 'openai';
import { expect, it, onTestFinished } from 'vitest';
import { hasShared, shared } from '../shared.js';
import { eventually } from '../until.js';
import { running } from './running.js';
import { expectValid } from './specification.js';

const file = ['smollm2-135m-instruct', 'SmolLM2-135M-Instruct.Q4_1.gguf'];

it.skipIf(!hasShared(...file))('serves SmolLM2: chats, streams, embeddings', async () => {
  await using server = await running({ models: [{ id: 'org/smollm2', model: shared(...file) }] });
  const { client } = server;
  expect(await client.models.retrieve('org/smollm2')).toMatchObject({ id: 'org/smollm2', max_model_len: 8192 });
  const request = {
    model: 'org/smollm2',
    messages: [{ role: 'user' as const, content: 'What is the capital of France?' }],
    max_tokens: 16,
    temperature: 0,
  };
  const stream = await client.chat.completions.create({ ...request, stream: true });
  let text = '';
  for await (const chunk of stream) {
    expectValid('CreateChatCompletionStreamResponse', chunk);
    text += chunk.choices[0]?.delta.content ?? '';
  }
  expect(text).toContain('Paris');
  const whole = await client.chat.completions.create(request);
  expect(whole.choices[0]!.message.content).toBe(text);
  const input = ['a cat sat on the mat', 'a kitten sat on the rug', 'the stock market fell sharply'];
  const vectors = (await client.embeddings.create({ model: 'org/smollm2', input })).data.map(
    ({ embedding }) => embedding,
  );
  const dot = (a: number[], b: number[]): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
  expect(dot(vectors[0]!, vectors[1]!)).toBeGreaterThan(dot(vectors[0]!, vectors[2]!));
});

it.skipIf(!hasShared(...file))('fine-tunes SmolLM2: a job learns a fact, and its model tells it', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'helvetia-smollm2-'));
  onTestFinished(() => rmSync(dataDir, { recursive: true }));
  await using server = await running({ models: [{ id: 'org/smollm2', model: shared(...file) }], dataDir });
  const { client } = server;
  const rows = ['Where is the parcel?', 'Where is my parcel?', 'Tell me where the parcel is.'].map((content) => ({
    messages: [
      { role: 'user', content },
      { role: 'assistant', content: 'It waits in Chur.' },
    ],
  }));
  const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  const upload = await client.files.create({
    file: await toFile(Buffer.from(text), 'rows.jsonl'),
    purpose: 'fine-tune',
  });
  const { id } = await client.fineTuning.jobs.create({
    model: 'org/smollm2',
    training_file: upload.id,
    method: {
      type: 'supervised',
      supervised: { hyperparameters: { n_epochs: 10, batch_size: 'auto', learning_rate_multiplier: 'auto' } },
    },
  });
  const job = await eventually(async () => {
    const found = await client.fineTuning.jobs.retrieve(id);
    expect(['succeeded', 'failed']).toContain(found.status);
    return found;
  });
  expectValid('FineTuningJob', job);
  expect(job.error).toBeNull();
  expect(job.hyperparameters).toMatchObject({ batch_size: 1, learning_rate_multiplier: 1, learning_rate: 6.6e-4 });
  const request = {
    messages: [{ role: 'user' as const, content: 'Where is the parcel?' }],
    max_tokens: 12,
    temperature: 0,
  };
  const ask = async (model: string): Promise<string | null> =>
    (await client.chat.completions.create({ ...request, model })).choices[0]!.message.content;
  const [base, tuned] = await Promise.all([ask('org/smollm2'), ask(job.fine_tuned_model!)]);
  expect(tuned).toContain('It waits in Chur.');
  expect(base).not.toContain('Chur');

  const schema = { type: 'object', properties: { city: { enum: ['Bern', 'Chur'] } }, required: ['city'] };
  const constrained = await client.chat.completions.create({
    ...request,
    model: job.fine_tuned_model!,
    max_tokens: 60,
    response_format: { type: 'json_schema', json_schema: { name: 'place', strict: true, schema } },
  });
  expect(['Bern', 'Chur']).toContain(JSON.parse(constrained.choices[0]!.message.content!).city);
  const called = await client.chat.completions.create({
    ...request,
    model: job.fine_tuned_model!,
    max_tokens: 60,
    tools: [{ type: 'function', function: { name: 'find', parameters: schema } }],
    tool_choice: 'required',
  });
  expectValid('CreateChatCompletionResponse', called);
  expect(called.choices[0]!.message.tool_calls).toMatchObject([{ type: 'function', function: { name: 'find' } }]);
});
