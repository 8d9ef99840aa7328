// Embeddings of a served encoder by the official client: the vectors are the model's own, and no other route takes it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel, type Model } from '../../../lib/model.js';
import { encoderFolder, idsOf } from '../encoder-models.js';
import { type Running, running } from '../running.js';

let place: string;
let model: Model;
let at: Running;
beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), 'helvetia-embeddings-'));
  const prompts = { prompts: { query: 'query : ', document: 'passage : ' } };
  const folder = await encoderFolder(place, 'bert', { 'config_sentence_transformers.json': prompts });
  model = await loadModel(folder);
  at = await running({ models: [folder] });
});
afterAll(async () => {
  await at?.[Symbol.asyncDispose]();
  model?.dispose();
  rmSync(place, { recursive: true, force: true });
});

const ask = async (path: string, body: object) => {
  const response = await at.post(path, { model: 'bert', ...body });
  return { status: response.status, body: await response.json() };
};
const vectorOf = async (...options: Parameters<Model['embed']>): Promise<number[]> => [
  ...(await model.embed(...options))[0]!,
];

describe('/v1/embeddings of an encoder', () => {
  it('gives the vectors of its pooling, of texts and of tokens', async () => {
    const { data, usage } = await at.client.embeddings.create({ model: 'bert', input: ['goats', 'hay a'] });
    expect(data[0]!.embedding).toEqual(await vectorOf(['goats']));
    expect(data[1]!.embedding).toEqual(await vectorOf(['hay a']));
    expect(usage).toEqual({ prompt_tokens: 8, total_tokens: 8 });
    const tokens = await at.client.embeddings.create({
      model: 'bert',
      input: idsOf('[CLS]', 'goat', '##s', '[SEP]'),
      encoding_format: 'float',
      dimensions: 7,
    });
    expect(tokens.data[0]!.embedding).toEqual(await vectorOf(['goats'], { dimensions: 7 }));
  });

  it("puts the model's prompts, or another text, before texts", async () => {
    const { body } = await ask('/v1/embeddings', { input: 'goat', prompt_name: 'query' });
    expect(body).toMatchObject({ data: [{ embedding: await vectorOf(['goat'], { promptName: 'query' }) }] });
    const other = await ask('/v1/embeddings', { input: 'goat', prompt: 'a b ' });
    expect(other.body).toMatchObject({
      data: [{ embedding: await vectorOf(['a b goat']) }],
      usage: { prompt_tokens: 5 },
    });
    expect(await ask('/v1/embeddings', { input: 'goat', prompt_name: 'nope' })).toMatchObject({
      status: 400,
      body: { error: { param: 'prompt_name', message: expect.stringContaining('(query, document)') } },
    });
    expect(await ask('/v1/embeddings', { input: 'goat', prompt_name: 'query', prompt: 'x' })).toMatchObject({
      status: 400,
      body: { error: { param: 'prompt_name' } },
    });
  });

  it('refuses a text that is too long, or cuts it where that is asked for', async () => {
    const input = ['a', 'hay '.repeat(3000)];
    expect(await ask('/v1/embeddings', { input })).toMatchObject({
      status: 400,
      body: { error: { code: 'context_length_exceeded', param: 'input[1]' } },
    });
    const cut = await vectorOf([idsOf('[CLS]', ...new Array<string>(62).fill('hay'), '[SEP]')]);
    expect(await ask('/v1/embeddings', { input, truncate: true })).toMatchObject({
      body: { data: [{}, { embedding: cut }] },
    });
    expect(await ask('/v1/embeddings', { input, truncate_prompt_tokens: -1 })).toMatchObject({
      body: { data: [{}, { embedding: cut }] },
    });
    expect(await ask('/v1/embeddings', { input: 'a b c d', truncate_prompt_tokens: 4 })).toMatchObject({
      body: { data: [{ embedding: await vectorOf(['a b']) }], usage: { prompt_tokens: 4 } },
    });
  });

  it.each([
    [{ input: 'a', truncate_prompt_tokens: 0 }, 'truncate_prompt_tokens'],
    [{ input: 'a', truncate: 'END' }, 'truncate'],
    [{ input: [5, 96] }, 'input'],
    [{ input: 'a', dimensions: 49 }, 'dimensions'],
    [{ input: 'a', encoding_format: 'int8' }, 'encoding_format'],
    [{ input: [] }, 'input'],
  ])('refuses %j by name', async (body, param) => {
    expect(await ask('/v1/embeddings', body)).toMatchObject({ status: 400, body: { error: { param } } });
  });
});

describe('other routes', () => {
  it.each([
    ['/v1/chat/completions', { messages: [{ role: 'user', content: 'a' }] }],
    ['/v1/completions', { prompt: 'a' }],
    ['/v1/completions', { prompt: 'a', echo: true, max_tokens: 0, logprobs: 1 }],
  ])('%s says what the model is: %j', async (path, body) => {
    expect(await ask(path, body)).toEqual({
      status: 400,
      body: {
        error: {
          message: expect.stringMatching(/this model is an encoder \(bert\) and writes no text: use embed\(\)\.$/),
          type: 'invalid_request_error',
          param: 'model',
          code: 'unsupported_model',
        },
      },
    });
  });

  it('lists and counts', async () => {
    expect((await at.client.models.list()).data.map(({ id }) => id)).toEqual(['bert']);
    expect(await ask('/tokenize', { prompt: 'goats' })).toMatchObject({ body: { count: 4 } });
  });
});
