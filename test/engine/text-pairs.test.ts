// Scores of a query and a text, and texts that are cut, against the same from token ids.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel, type Model } from '../../lib/model.js';
import { testDevice } from '../device.js';
import { encoderFolder, idsOf } from '../server/encoder-models.js';

let place: string;
let embedder: Model;
let reranker: Model;
beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), 'helvetia-texts-'));
  const prompts = { prompts: { query: 'query : ', document: 'passage : ' } };
  embedder = await loadModel(await encoderFolder(place, 'bert', { 'config_sentence_transformers.json': prompts }), {
    device: testDevice,
  });
  reranker = await loadModel(await encoderFolder(place, 'bert.cross'), { device: testDevice });
});
afterAll(() => {
  embedder?.dispose();
  reranker?.dispose();
  rmSync(place, { recursive: true, force: true });
});

const rated = (ids: number[], types: number[]): Promise<number> =>
  reranker.engine.rate(ids, reranker.decoder.config.ranker!, { types });

describe('rank', () => {
  it("gives a cross-encoder its tokenizer's pairs", async () => {
    const want = await rated(idsOf('[CLS]', 'goat', '[SEP]', 'hay', '##s', 'a', '[SEP]'), [0, 0, 0, 1, 1, 1, 1]);
    const other = await rated(idsOf('[CLS]', 'goat', '[SEP]', 'b', '[SEP]'), [0, 0, 0, 1, 1]);
    expect(await reranker.scorePairs([['goat', 'hays a']])).toEqual([want]);
    const ranked = await reranker.rank('goat', ['hays a', 'b', 'hays a'], { top: 2 });
    const best = want >= other ? [0, 2] : [1, 0];
    expect(ranked.map(({ index }) => index)).toEqual(best);
    expect(want).not.toBeCloseTo(other, 5);
  });

  it('refuses a pair that is too long, or cuts the longer text', async () => {
    const text = 'hay '.repeat(80);
    await expect(reranker.rank('goat', ['a', text])).rejects.toThrow(
      "rank: text 1 with its query has 84 tokens or more, expected at most 64: shorten it, or set 'truncate'",
    );
    const ids = idsOf('[CLS]', 'goat', '[SEP]', ...new Array<string>(60).fill('hay'), '[SEP]');
    const want = await rated(
      ids,
      ids.map((_, at) => (at > 2 ? 1 : 0)),
    );
    expect(await reranker.scorePairs([['goat', text]], { truncate: true })).toEqual([want]);
  });

  it("compares an embedding model's vectors, behind its prompts", async () => {
    const [query, one, two] = await embedder.embed([
      idsOf('[CLS]', 'query', ':', 'goat', '[SEP]'),
      idsOf('[CLS]', 'passage', ':', 'hay', '[SEP]'),
      idsOf('[CLS]', 'passage', ':', 'b', '[SEP]'),
    ]);
    const cosine = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
    const scores = await embedder.scorePairs([
      ['goat', 'hay'],
      ['goat', 'b'],
      ['goat', 'hay'],
    ]);
    expect(scores).toEqual([cosine(query!, one!), cosine(query!, two!), cosine(query!, one!)]);
  });
});

describe('embed', () => {
  it('puts special tokens and prompts around texts, and keeps them where a text is cut', async () => {
    const [plain, prompted, cut] = await embedder.embed([
      idsOf('[CLS]', 'goat', '##s', '[SEP]'),
      idsOf('[CLS]', 'query', ':', 'goat', '##s', '[SEP]'),
      idsOf('[CLS]', ...new Array<string>(62).fill('hay'), '[SEP]'),
    ]);
    expect(await embedder.embed(['goats'])).toEqual([plain]);
    expect(await embedder.embed(['Goats'], { promptName: 'query' })).toEqual([prompted]);
    expect(await embedder.embed(['hay '.repeat(5000)], { truncate: true })).toEqual([cut]);
    await expect(embedder.embed(['a', 'hay '.repeat(80)])).rejects.toThrow('embed: text 1 has 82 tokens or more');
  });
});
