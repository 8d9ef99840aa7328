// Our models through the Vercel AI SDK, in one process, on the model in the repository.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  EmbeddingModelV4,
  LanguageModelV3,
  LanguageModelV4,
  ProviderV3,
  ProviderV4,
  RerankingModelV4,
} from '@ai-sdk/provider';
import { embedMany, generateObject, generateText, jsonSchema, Output, rerank, stepCountIs, streamText, tool } from 'ai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHelvetia, helvetia } from '../lib/ai-sdk/index.js';
import { QueueFull } from '../lib/flow/quota.js';
import { Stream } from '../lib/flow/stream.js';
import { loadModel, type Model } from '../lib/model.js';
import { RenderFailed } from '../lib/text/chat/render-thread.js';
import { encoderFolder } from './server/encoder-models.js';
import { thinkingModel } from './server/thinking.js';

let model: Model;
beforeAll(async () => {
  model = await loadModel('models/helvetia-small');
});
afterAll(() => model?.dispose());

const provider = () => createHelvetia({ models: { small: model } });
const prompt = 'Once upon a time';

describe('text', () => {
  it('is what the model itself answers', async () => {
    const { text, usage, finishReason } = await generateText({
      model: helvetia(model),
      prompt,
      maxOutputTokens: 24,
      temperature: 0,
    });
    const own = await model.chat([{ role: 'user', content: prompt }], { maxNewTokens: 24, temperature: 0 });
    expect(text).toBe(own.text);
    expect(usage).toMatchObject({ inputTokens: own.usage.promptTokens, outputTokens: own.usage.completionTokens });
    expect(finishReason).toBe(own.finishReason);
  });

  it('streams to the same text', async () => {
    const options = { model: provider()('small'), prompt, maxOutputTokens: 24, seed: 3, temperature: 0.8 };
    const whole = await generateText(options);
    const stream = streamText(options);
    let text = '';
    let pieces = 0;
    for await (const piece of stream.textStream) {
      text += piece;
      pieces += 1;
    }
    expect(text).toBe(whole.text);
    expect(pieces).toBeGreaterThan(3);
    expect((await stream.usage).outputTokens).toBe(whole.usage.outputTokens);
  });

  it('takes system messages, penalties and stop sequences', async () => {
    const options = { model: helvetia(model), system: 'Tell stories.', prompt, maxOutputTokens: 40, temperature: 0 };
    const { text } = await generateText({ ...options, presencePenalty: 0.1 });
    const stop = text.slice(5, 9);
    const stopped = await generateText({ ...options, presencePenalty: 0.1, stopSequences: [stop] });
    expect(stopped.text).toBe(text.slice(0, text.indexOf(stop)));
    expect(stopped.finishReason).toBe('stop');
  });

  it('stops when it is told to', async () => {
    const control = new AbortController();
    const stream = streamText({
      model: helvetia(model),
      prompt,
      maxOutputTokens: 400,
      abortSignal: control.signal,
      onError: () => {},
    });
    let pieces = 0;
    for await (const part of stream.fullStream) {
      if (part.type === 'text-delta') pieces += 1;
      if (pieces === 3) control.abort();
    }
    expect(pieces).toBeLessThan(50);
    await expect(generateText({ model: helvetia(model), prompt, abortSignal: AbortSignal.abort() })).rejects.toThrow(
      /abort/i,
    );
    await expect.poll(() => model.engine.stats().running).toBe(0);
  });
});

describe('reasoning', () => {
  it('comes before the text, ends at its budget, and can be switched off', async () => {
    const folder = thinkingModel();
    const thinking = await loadModel(folder.path);
    const own = (reasoning: object) => ({ providerOptions: { helvetia: { reasoning: { ...reasoning } } } });
    const options = { model: helvetia(thinking), prompt, maxOutputTokens: 24, temperature: 0 };
    const { text, reasoningText, usage } = await generateText({ ...options, ...own({ budget: 2 }) });
    expect(text).toMatch(/\w/);
    expect(reasoningText).toMatch(/\w/);
    expect(usage.reasoningTokens).toBe(3);
    const stream = streamText({ ...options, ...own({ budget: 2 }) });
    const types: string[] = [];
    for await (const part of stream.fullStream) if (types.at(-1) !== part.type) types.push(part.type);
    expect(types.filter((type) => /^(reasoning|text)-(start|end)$/.test(type))).toEqual([
      'reasoning-start',
      'reasoning-end',
      'text-start',
      'text-end',
    ]);
    const off = await generateText({ ...options, ...own({ enabled: false }) });
    expect(off.reasoningText).toBeUndefined();
    await expect(generateText({ ...options, ...own({ effort: 'huge' }), maxRetries: 0 })).rejects.toThrow(/effort/);
    await thinking.dispose();
    folder.dispose();
  });
});

describe('a full queue', () => {
  it('is tried again by the SDK itself', async () => {
    const original = model.generateTokens;
    for (const run of [
      async () => (await generateText({ model: helvetia(model), prompt, maxOutputTokens: 2 })).text,
      async () => streamText({ model: helvetia(model), prompt, maxOutputTokens: 2 }).text,
    ]) {
      let calls = 0;
      model.generateTokens = (...given) => {
        if (calls++ > 0) return original.apply(model, given);
        return new Stream(() => {
          throw new QueueFull(9, 0.01);
        });
      };
      try {
        expect(await run()).toBeTypeOf('string');
      } finally {
        model.generateTokens = original;
      }
      expect(calls).toBe(2);
    }
  });

  it('of long conversations is told to the SDK too, as is a failure to write one', async () => {
    const { renderChat } = model.tokenizer;
    try {
      const errors: [error: Error, statusCode: number][] = [
        [new QueueFull(9, 1), 429],
        [new RenderFailed('the chat template takes more than 5 seconds'), 503],
      ];
      for (const [error, statusCode] of errors) {
        model.tokenizer.renderChat = () => Promise.reject(error);
        await expect(generateText({ model: helvetia(model), prompt, maxRetries: 0 })).rejects.toMatchObject({
          name: 'AI_APICallError',
          isRetryable: true,
          statusCode,
        });
      }
    } finally {
      model.tokenizer.renderChat = renderChat;
    }
  });

  it('is not filled by one call for embeddings', async () => {
    const { embed } = model.engine;
    let running = 0;
    let most = 0;
    model.engine.embed = async (...given) => {
      most = Math.max(most, ++running);
      try {
        return await embed.apply(model.engine, given);
      } finally {
        running--;
      }
    };
    try {
      const values = Array.from({ length: 40 }, (_, i) => `goat ${i}`);
      const { embeddings } = await embedMany({ model: provider().embeddingModel('small'), values });
      expect(embeddings).toHaveLength(40);
      expect(most).toBe(8);
      model.engine.embed = async () => {
        throw new QueueFull(9, 0.01);
      };
      const refused = embedMany({ model: provider().embeddingModel('small'), values, maxRetries: 0 });
      await expect(refused).rejects.toMatchObject({ name: 'AI_APICallError', isRetryable: true, statusCode: 429 });
    } finally {
      model.engine.embed = embed;
    }
  });
});

it('takes a topP of 0, as the wire does', async () => {
  const options = { model: helvetia(model), prompt, maxOutputTokens: 8 };
  const { text } = await generateText({ ...options, topP: 0, temperature: 1 });
  expect(text).toBe((await generateText({ ...options, temperature: 0 })).text);
});

describe('structured output', () => {
  const schema = jsonSchema<{ name: string; age: number; tags: string[] }>({
    type: 'object',
    properties: {
      name: { type: 'string', maxLength: 12 },
      age: { type: 'integer', minimum: 0, maximum: 120 },
      tags: { type: 'array', items: { enum: ['a', 'b'] }, maxItems: 3 },
    },
    required: ['name', 'age', 'tags'],
    additionalProperties: false,
  });

  it('fits the schema', async () => {
    for (const seed of [1, 2, 3]) {
      const { object, warnings } = await generateObject({
        model: helvetia(model),
        schema,
        prompt,
        seed,
        temperature: 1,
      });
      expect(object.name.length).toBeLessThanOrEqual(12);
      expect(object.age).toBeLessThanOrEqual(120);
      expect(object.tags.every((tag) => tag === 'a' || tag === 'b')).toBe(true);
      expect(warnings ?? []).toEqual([]);
    }
  });

  it('streams, and says what is not enforced', async () => {
    const relaxed = jsonSchema<{ x: number }>({
      type: 'object',
      properties: { x: { type: 'integer', multipleOf: 1.5 } },
      required: ['x'],
    });
    const stream = streamText({
      model: helvetia(model),
      prompt,
      output: Output.object({ schema: relaxed }),
      temperature: 0,
    });
    expect((await stream.output).x).toBeTypeOf('number');
    expect(JSON.stringify(await stream.warnings)).toContain('multipleOf');
  });
});

describe('tools', () => {
  const weather = tool({
    description: 'The weather in a city.',
    inputSchema: jsonSchema<{ city: string }>({
      type: 'object',
      properties: { city: { enum: ['Bern', 'Chur'] } },
      required: ['city'],
      additionalProperties: false,
    }),
    execute: async ({ city }) => `${city}: sun`,
  });

  it('are called where they must be, and their results go back', async () => {
    const { steps } = await generateText({
      model: helvetia(model),
      prompt: 'What is the weather?',
      tools: { weather },
      toolChoice: 'required',
      maxOutputTokens: 200,
      stopWhen: stepCountIs(2),
      prepareStep: ({ stepNumber }) => (stepNumber > 0 ? { toolChoice: 'none' } : {}),
    });
    const [first, second] = steps;
    expect(first!.finishReason).toBe('tool-calls');
    expect(first!.toolCalls[0]).toMatchObject({ toolName: 'weather' });
    expect(first!.toolResults[0]!.output).toMatch(/: sun$/);
    expect(second!.toolCalls).toEqual([]);
  });

  it('stream their input', async () => {
    const { execute: _, ...unexecuted } = weather;
    const stream = streamText({
      model: helvetia(model),
      prompt: 'Weather?',
      tools: { weather: unexecuted },
      toolChoice: { type: 'tool', toolName: 'weather' },
    });
    let input = '';
    for await (const part of stream.fullStream) if (part.type === 'tool-input-delta') input += part.delta;
    const [call] = await stream.toolCalls;
    expect(JSON.parse(input)).toEqual(call!.input);
    expect(['Bern', 'Chur']).toContain((call!.input as { city: string }).city);
  });
});

describe('embeddings', () => {
  it('have length 1 and are the same alone', async () => {
    const { embeddings, usage } = await embedMany({
      model: provider().embeddingModel('small'),
      values: ['a cat', 'a dog', 'a cat'],
    });
    expect(Math.hypot(...embeddings[0]!)).toBeCloseTo(1, 4);
    expect(embeddings[2]!.map((x) => x.toFixed(4))).toEqual(embeddings[0]!.map((x) => x.toFixed(4)));
    expect(embeddings[1]).not.toEqual(embeddings[0]);
    expect(usage.tokens).toBeGreaterThan(0);
  });
});

describe('rankings', () => {
  it('are those of the model, of texts and of objects', async () => {
    const place = mkdtempSync(join(tmpdir(), 'helvetia-ai-sdk-'));
    try {
      using reranker = await loadModel(await encoderFolder(place, 'bert.cross'));
      const ranker = createHelvetia({ models: { reranker } }).rerankingModel('reranker');
      const documents = ['hay', 'goats a', 'b c d'];
      const { ranking } = await rerank({ model: ranker, query: 'goat', documents, topN: 2 });
      const own = await reranker.rank('goat', documents, { top: 2 });
      expect(ranking.map(({ originalIndex, score }) => ({ index: originalIndex, score }))).toEqual(own);
      const objects = await rerank({ model: ranker, query: 'goat', documents: [{ a: 'hay' }, { b: 'goat' }] });
      const written = await reranker.rank('goat', ['{"a":"hay"}', '{"b":"goat"}']);
      expect(objects.ranking.map(({ score }) => score)).toEqual(written.map(({ score }) => score));
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  });

  it('are not of a model that writes text', async () => {
    const ranker = provider().rerankingModel('small');
    await expect(rerank({ model: ranker, query: 'a', documents: ['b'] })).rejects.toThrow('is no reranker');
  });
});

describe('the provider', () => {
  it('speaks versions 3 and 4', async () => {
    const three: ProviderV3 = provider();
    const four: ProviderV4 = createHelvetia({ models: { small: { model } }, specification: 'v4' });
    const models: [LanguageModelV3, LanguageModelV4, EmbeddingModelV4, RerankingModelV4] = [
      three.languageModel('small'),
      four.languageModel('small'),
      four.embeddingModel('small'),
      four.rerankingModel!('small'),
    ];
    expect(models.map(({ specificationVersion }) => specificationVersion)).toEqual(['v3', 'v4', 'v4', 'v4']);
    const { content, usage } = await models[1].doGenerate({
      prompt: [{ role: 'user', content: [{ type: 'text', text: prompt }] }],
      maxOutputTokens: 4,
      reasoning: 'high',
    });
    expect(content[0]).toMatchObject({ type: 'text' });
    expect(usage.outputTokens.total).toBe(4);
  });

  it('says which models there are', () => {
    expect(() => provider()('large')).toThrow(/no model "large": there are small/);
    expect(() => provider().imageModel('small')).toThrow(/no image model/);
  });

  it('refuses what no text model takes', async () => {
    const image = { type: 'image' as const, image: new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]) };
    await expect(
      generateText({ model: helvetia(model), messages: [{ role: 'user', content: [image] }], maxRetries: 0 }),
    ).rejects.toThrow(/takes text only/);
  });
});
