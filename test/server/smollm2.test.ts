// The server over a real model, where it is beside the repository.
import { expect, it } from 'vitest';
import { hasShared, shared } from '../shared.js';
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
