// /rerank and /score of a served reranker, in the shapes of Jina, Cohere, TEI and vLLM.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel, type Model } from '../../lib/model.js';
import { encoderFolder } from './encoder-models.js';
import { modelId, modelPath, type Running, running } from './running.js';

let place: string;
let reranker: Model;
let at: Running;
beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), 'helvetia-rank-'));
  const [cross, embedder] = [await encoderFolder(place, 'bert.cross'), await encoderFolder(place, 'bert')];
  reranker = await loadModel(cross);
  at = await running({ models: [cross, embedder, modelPath] });
});
afterAll(async () => {
  await at?.[Symbol.asyncDispose]();
  reranker?.dispose();
  rmSync(place, { recursive: true, force: true });
});

const documents = ['hays a', 'b', 'goat goat hay', 'c d'];

async function ask(path: string, body: object) {
  const response = await at.post(path, { model: 'bert-cross', ...body });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe.each(['/rerank', '/v1/rerank', '/v2/rerank', '/reranking'])('%s', (path) => {
  it('sorts the documents by their scores', async () => {
    const ranked = await reranker.rank('goat', documents);
    const { status, body } = await ask(path, { query: 'goat', documents });
    expect(status).toBe(200);
    expect(body).toEqual({
      id: expect.stringMatching(/^rerank-/),
      object: 'list',
      model: 'bert-cross',
      results: ranked.map(({ index, score }) => ({
        index,
        relevance_score: score,
        document: { text: documents[index] },
      })),
      usage: { prompt_tokens: 25, total_tokens: 25 },
    });
  });
});

describe('/rerank', () => {
  it('gives the first `top_n`, and documents only where they are wanted', async () => {
    const ranked = await reranker.rank('goat', documents);
    const asked = { query: { text: 'goat' }, documents: documents.map((text) => ({ text })), return_documents: false };
    const { body } = await ask('/rerank', { ...asked, top_n: 2 });
    const results = ranked.map(({ index, score }) => ({ index, relevance_score: score }));
    expect(body.results).toEqual(results.slice(0, 2));
    expect((await ask('/rerank', { ...asked, top_n: 0 })).body.results).toEqual(results);
    expect((await ask('/rerank', { ...asked, top_n: 9 })).body.results).toEqual(results);
  });

  it("answers TEI's form in TEI's", async () => {
    const ranked = await reranker.rank('goat', documents, { raw: true });
    const { body } = await ask('/rerank', { query: 'goat', texts: documents, return_text: true, raw_scores: true });
    expect(body).toEqual(ranked.map((entry) => ({ ...entry, text: documents[entry.index] })));
    const { body: bare } = await ask('/rerank', { query: 'goat', texts: documents });
    expect(bare).toEqual(await reranker.rank('goat', documents));
  });

  it("compares an embedding model's vectors", async () => {
    const { body } = await ask('/rerank', { model: 'bert', query: 'goat', documents: ['hay', 'goat'] });
    const [first] = body.results as { index: number; relevance_score: number }[];
    expect(first!.index).toBe(1);
    expect(first!.relevance_score).toBeCloseTo(1, 5);
  });

  it('refuses what is too long by the name of the document, or cuts it', async () => {
    const long = ['a', 'hay '.repeat(3000)];
    expect(await ask('/rerank', { query: 'goat', documents: long })).toMatchObject({
      status: 400,
      body: { error: { code: 'context_length_exceeded', param: 'documents[1]' } },
    });
    const { body } = await ask('/rerank', { query: 'goat', documents: long, truncate: true });
    expect(body.usage).toEqual({ prompt_tokens: 5 + 64, total_tokens: 5 + 64 });
    const few = await ask('/rerank', { query: 'goat', documents: ['hay hay hay'], truncate_prompt_tokens: 5 });
    expect(few.body.results).toMatchObject([{ relevance_score: (await reranker.scorePairs([['goat', 'hay']]))[0] }]);
  });

  it.each([
    [{ documents }, 'query'],
    [{ query: 'goat' }, 'documents'],
    [{ query: 'goat', documents: [] }, 'documents'],
    [{ query: 'goat', documents: 'hay' }, 'documents'],
    [{ query: 'goat', documents: ['a', 5] }, 'documents[1]'],
    [{ query: 'goat', documents: [{ title: 'a' }] }, 'documents[0].text'],
    [{ query: 'goat', documents, texts: documents }, 'documents'],
    [{ query: 'goat', documents, top_n: -1 }, 'top_n'],
    [{ query: 'goat', documents, max_tokens_per_doc: 10 }, 'max_tokens_per_doc'],
    [{ query: 'goat', documents, topn: 1 }, 'topn'],
    [{ query: 'goat', documents: Array.from({ length: 2049 }, () => 'a') }, 'documents'],
  ])('refuses %j by name', async (body, param) => {
    expect(await ask('/rerank', body)).toMatchObject({
      status: 400,
      body: { error: { type: 'invalid_request_error', param } },
    });
  });

  it('refuses a model that writes text, and a reranker refuses to be another', async () => {
    expect(await ask('/rerank', { model: modelId, query: 'a', documents })).toMatchObject({
      status: 400,
      body: { error: { code: 'unsupported_model', param: 'model' } },
    });
    expect(await ask('/v1/embeddings', { input: 'a' })).toMatchObject({
      status: 400,
      body: { error: { code: 'unsupported_model', message: expect.stringContaining('use rank()') } },
    });
    expect(await ask('/rerank', { model: 'nope', query: 'a', documents })).toMatchObject({ status: 404 });
    expect(await ask('/rerank', { model: undefined, query: 'a', documents })).toMatchObject({ status: 400 });
  });
});

describe('/score', () => {
  it('scores a query with each document, and pairs', async () => {
    const one = await ask('/v1/score', { queries: 'goat', documents });
    const scores = await reranker.scorePairs(documents.map((text) => ['goat', text] as const));
    expect(one).toEqual({
      status: 200,
      body: {
        id: expect.stringMatching(/^score-/),
        object: 'list',
        created: expect.any(Number),
        model: 'bert-cross',
        data: scores.map((score, index) => ({ index, object: 'score', score })),
        usage: { prompt_tokens: 25, total_tokens: 25 },
      },
    });
    const pairs = await ask('/score', { text_1: ['hay', 'a'], text_2: ['b', 'goat'], use_activation: false });
    const logits = await reranker.scorePairs(
      [
        ['hay', 'b'],
        ['a', 'goat'],
      ],
      { raw: true },
    );
    expect(pairs.body.data).toMatchObject(logits.map((score) => ({ score })));
  });

  it.each([
    [{ documents }, 'queries'],
    [{ queries: 'a' }, 'documents'],
    [{ queries: ['a', 'b'], documents }, 'queries'],
    [{ queries: [], documents }, 'queries'],
    [{ queries: 5, documents }, 'queries'],
  ])('refuses %j by name', async (body, param) => {
    expect(await ask('/score', body)).toMatchObject({ status: 400, body: { error: { param } } });
  });
});
