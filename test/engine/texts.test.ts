// Embeddings and scores of texts: prompts, lengths, dimensions, pairs, questions; and what models of vectors and scores refuse.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type SavedTensor, saveSafetensors } from '../../lib/files/safetensors.js';
import { loadModel, type Model } from '../../lib/model.js';
import { WrongKind } from '../../lib/models/kind.js';
import { testDevice } from '../device.js';
import { type GoldenModel, readEncoder, seeded, writeFolder } from '../golden/seeded.js';

const letters = [...'abcdefghijklmnopqrstuvwxyz'];
const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '<|im_start|>', '<|im_end|>'];
const vocab = [...special, 'yes', 'no', ...letters, ...letters.map((letter) => `##${letter}`)];

/** A tokenizer whose tokens are letters, as BERT's files have it. */
const tokenizer = {
  added_tokens: special.map((content, id) => ({ id, content, special: true, normalized: false })),
  normalizer: { type: 'BertNormalizer', lowercase: true },
  pre_tokenizer: { type: 'BertPreTokenizer' },
  model: {
    type: 'WordPiece',
    vocab: Object.fromEntries(vocab.map((token, id) => [token, id])),
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
  },
  post_processor: {
    type: 'TemplateProcessing',
    single: [
      { SpecialToken: { id: '[CLS]', type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '[SEP]', type_id: 0 } },
    ],
    pair: [
      { SpecialToken: { id: '[CLS]', type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '[SEP]', type_id: 0 } },
      { Sequence: { id: 'B', type_id: 1 } },
      { SpecialToken: { id: '[SEP]', type_id: 1 } },
    ],
    special_tokens: Object.fromEntries(
      ['[CLS]', '[SEP]'].map((token) => [token, { id: token, ids: [special.indexOf(token)], tokens: [token] }]),
    ),
  },
  decoder: { type: 'WordPiece', prefix: '##' },
};

let place: string;
let count = 0;
const open: Model[] = [];
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'helvetia-texts-'));
});
afterAll(() => {
  for (const model of open) model.dispose();
  rmSync(place, { recursive: true, force: true });
});

/** The model of a golden with that tokenizer, and with other files. */
async function made(name: string, files: Record<string, unknown> = {}, config: Record<string, unknown> = {}) {
  const golden = readEncoder(name);
  const changed: GoldenModel = {
    ...golden,
    config: { ...golden.config, ...config },
    files: { ...golden.files, 'tokenizer.json': tokenizer, ...files },
  };
  const folder = join(place, String(count++));
  mkdirSync(folder);
  await writeFolder(changed, folder);
  const model = await loadModel(folder, { dtype: 'f32', device: testDevice });
  open.push(model);
  return model;
}

const idsOf = (text: string): number[] => [...text].map((letter, i) => vocab.indexOf(i === 0 ? letter : `##${letter}`));
const [cls, sep] = [2, 3];

describe('embed', () => {
  const prompts = { prompts: { query: 'query ', passage: 'text ' }, default_prompt_name: 'passage' };

  it('puts a prompt before texts, and special tokens around them', async () => {
    const model = await made('bert', { 'config_sentence_transformers.json': prompts });
    const around = (...words: string[]) => [cls, ...words.flatMap(idsOf), sep];
    const want = (...words: string[]) => model.engine.embed(around(...words));
    expect(await model.embed(['abc', around('goat')], { prompt: '' })).toEqual([await want('abc'), await want('goat')]);
    expect(await model.embed(['abc'])).toEqual([await want('text', 'abc')]);
    expect(await model.embed(['abc'], { promptName: 'query' })).toEqual([await want('query', 'abc')]);
    expect(await model.embed(['abc'], { prompt: 'x' })).toEqual([await want('xabc')]);
    await expect(model.embed(['abc'], { promptName: 'other' })).rejects.toThrow(
      "embed: option 'promptName' must be the name of a prompt of the model (query, passage), got 'other'",
    );
    await expect(model.embed(['abc'], { promptName: 'query', prompt: 'x' })).rejects.toThrow(TypeError);
    expect(model.kind).toBe('embedding model');
    expect(model.embedder).toMatchObject({ size: 48, pooling: ['mean'], normalizes: true });
  });

  it('leaves the tokens of a prompt out of the pooling where the model says so', async () => {
    const pooling = { word_embedding_dimension: 48, pooling_mode_mean_tokens: true, include_prompt: false };
    const model = await made('bert', { '1_Pooling/config.json': pooling });
    const ids = [cls, ...idsOf('query'), ...idsOf('goat'), sep];
    const [got] = await model.embed(['goat'], { prompt: 'query ' });
    expect(got).toEqual(await model.engine.embed(ids, { skipped: 1 + 'query'.length }));
    expect(got).not.toEqual(await model.engine.embed(ids));
  });

  it('cuts vectors to the asked dimensions, of length 1 again', async () => {
    const model = await made('bert');
    const [[whole], [short], [plain]] = await Promise.all([
      model.embed(['goat']),
      model.embed(['goat'], { dimensions: 7 }),
      model.embed(['goat'], { normalize: false }),
    ]);
    const length = Math.hypot(...whole!.subarray(0, 7));
    expect(short).toHaveLength(7);
    short!.forEach((x, i) => expect(x).toBeCloseTo(whole![i]! / length, 6));
    expect(Math.hypot(...plain!)).not.toBeCloseTo(1, 2);
    await expect(model.embed(['goat'], { dimensions: 49 })).rejects.toThrow(
      "embed: option 'dimensions' is 49, more than the model's 48",
    );
  });

  it('refuses what is too long, or cuts it before its last special token', async () => {
    const model = await made('bert', { 'sentence_bert_config.json': { max_seq_length: 6, do_lower_case: false } });
    await expect(model.embed(['ab', 'abcdefgh'])).rejects.toThrow(
      /^embed: text 1 has \d+ tokens.* 6: shorten it, or set 'truncate'$/,
    );
    const [got] = await model.embed(['abcdefgh'], { truncate: true });
    expect(got).toEqual(await model.engine.embed([cls, ...idsOf('abcd'), sep]));
    await expect(model.embed([''], { prompt: '' })).resolves.toHaveLength(1);
    await expect(model.embed([[]])).rejects.toThrow(RangeError);
  });
});

describe('rank', () => {
  it('scores pairs by a cross-encoder, whose tokens have types, and puts the best first', async () => {
    const model = await made('bert.cross');
    const texts = ['goat', 'cheese', 'a'];
    const pair = (text: string) => {
      const [first, second] = [
        [cls, ...idsOf('milk'), sep],
        [...idsOf(text), sep],
      ];
      return { ids: [...first!, ...second!], types: [...first!.map(() => 0), ...second!.map(() => 1)] };
    };
    const want = await Promise.all(
      texts.map((text) => {
        const { ids, types } = pair(text);
        return model.engine.rate(ids, model.decoder.config.ranker!, { types });
      }),
    );
    expect(await model.scorePairs(texts.map((text) => ['milk', text]))).toEqual(want);
    const ranked = await model.rank('milk', texts);
    expect(ranked.map(({ score }) => score)).toEqual(want.toSorted((a, b) => b - a));
    expect(ranked.map(({ index }) => want[index])).toEqual(ranked.map(({ score }) => score));
    expect(await model.rank('milk', texts, { top: 1 })).toEqual(ranked.slice(0, 1));
    expect(model.kind).toBe('reranker');
    await expect(model.scorePairs([['milk', 'a'.repeat(80)]])).rejects.toThrow(
      /^rank: text 0 with its query has \d+ tokens or more, expected at most 64: /,
    );
  });

  it('gives probabilities unless the model or the caller wants logits', async () => {
    const model = await made('bert.cross', {}, { sentence_transformers: null });
    const [[score], [logit]] = await Promise.all([
      model.scorePairs([['milk', 'goat']]),
      model.scorePairs([['milk', 'goat']], { raw: true }),
    ]);
    expect(score).toBeCloseTo(1 / (1 + Math.exp(-logit!)), 9);
  });

  it('compares the vectors of an embedding model, each behind its prompt', async () => {
    const settings = { prompts: { query: 'query ', document: 'text ' } };
    const model = await made('bert', { 'config_sentence_transformers.json': settings });
    const [query] = await model.embed(['milk'], { promptName: 'query' });
    const [goat] = await model.embed(['goat'], { promptName: 'document' });
    const [best] = await model.rank('milk', ['goat']);
    expect(best!.score).toBeCloseTo(
      query!.reduce((sum, x, i) => sum + x * goat![i]!, 0),
      9,
    );
  });

  it('asks a Qwen3 whether the text is relevant, and takes yes against no', async () => {
    const model = await made('qwen3.asked', { 'modules.json': [] }, { max_position_embeddings: 1024 });
    const asks = model.decoder.config.asks!;
    const parts = [asks.before, asks.between('milk', 'goat', 'Be strict'), asks.after];
    const ids = parts.flatMap((part) => model.tokenizer.encode(part, { addSpecialTokens: false }));
    expect(ids.filter((id) => vocab[id] === '<|im_start|>')).toHaveLength(3);
    using logits = model.forward(ids);
    const last = (await logits.data()).slice(-logits.dim(1));
    const logit = last[vocab.indexOf('yes')]! - last[vocab.indexOf('no')]!;
    const [score] = await model.scorePairs([['milk', 'goat']], { instruction: 'Be strict', raw: true });
    expect(Math.abs(score! - logit)).toBeLessThan(1e-4);
    // A text that spells a control token stays a text.
    const spelled = asks.between('milk', '<|im_end|>', asks.instruction);
    expect(model.tokenizer.encode(model.tokenizer.literal(spelled), { literals: true })).not.toContain(5);
    await expect(model.rank('milk', ['a '.repeat(2000)])).rejects.toThrow(/expected at most 1024/);
    expect(await model.rank('milk', ['goat '.repeat(300)], { truncate: true })).toHaveLength(1);
  });

  it('asks by the chat template where modules say so and it knows the roles, else as the family is asked', async () => {
    const pair = [['milk', 'goat']] as const;
    const roles = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + ' ' + m['content'] }}{% endfor %}";
    const written = `${roles}{# "query", "document" #}`;
    const settings = { 'tokenizer_config.json': { chat_template: written } };
    const model = await made('qwen3.asked', settings, { max_position_embeddings: 1024 });
    expect(model.kind).toBe('reranker');
    const words = ['query', 'milk', 'document', 'goat'].map(idsOf);
    const ids = [4, ...words[0]!, ...words[1]!, 4, ...words[2]!, ...words[3]!];
    const { engine, decoder } = model;
    expect(await model.scorePairs(pair, { raw: true })).toEqual([await engine.rate(ids, decoder.config.ranker!)]);
    const plain = await made('qwen3.asked', {}, { max_position_embeddings: 1024 });
    const asks = plain.decoder.config.asks!;
    const parts = [asks.before, asks.between('milk', 'goat', asks.instruction), asks.after];
    const asked = parts.flatMap((part) => plain.tokenizer.encode(part, { addSpecialTokens: false }));
    const logit = await plain.engine.rate(asked, plain.decoder.config.ranker!);
    expect(await plain.scorePairs(pair, { raw: true })).toEqual([logit]);
  });
});

describe('an adapter', () => {
  it.each([
    ['bert', 'encoder.layer.1.attention.self.query', 48],
    ['qwen3', 'layers.1.self_attn.q_proj', 64],
  ])(
    'of the base model %s fits, whose names have no prefix, and changes vectors as the merged model does',
    async (name, path, out) => {
      const model = await made(name);
      const folder = join(place, `adapter.${name}`);
      mkdirSync(folder);
      const settings = { peft_type: 'LORA', task_type: 'FEATURE_EXTRACTION', r: 2, lora_alpha: 4 };
      const target_modules = [path.split('.').at(-1)];
      writeFileSync(
        join(folder, 'adapter_config.json'),
        JSON.stringify({ ...settings, target_modules: `.*1.*${target_modules}` }),
      );
      const tensor = (which: 'A' | 'B', shape: number[]): [string, SavedTensor] => {
        const values = seeded(`adapter.${which}`, shape, 0.5);
        return [
          `base_model.model.${path}.lora_${which}.weight`,
          { dtype: 'F32', shape, bytes: new Uint8Array(values.buffer) },
        ];
      };
      const tensors = new Map([tensor('A', [2, 48]), tensor('B', [out, 2])]);
      await saveSafetensors(join(folder, 'adapter_model.safetensors'), tensors);
      using adapter = await model.loadAdapter(folder);
      using merged = model.mergeAdapter(adapter);
      const [[plain], [adapted], [want]] = await Promise.all([
        model.embed([[5, 6, 7]]),
        model.embed([[5, 6, 7]], { adapter }),
        merged.embed([[5, 6, 7]]),
      ]);
      expect(Math.max(...adapted!.map((x, i) => Math.abs(x - want![i]!)))).toBeLessThan(1e-5);
      expect(Math.max(...adapted!.map((x, i) => Math.abs(x - plain![i]!)))).toBeGreaterThan(1e-3);
    },
  );
});

describe('a model of vectors or scores', () => {
  it('is refused what it is not for, in one sentence', async () => {
    const [encoder, reranker] = [await made('bert'), await made('bert.cross')];
    const sentence = 'this model is an encoder (bert) and writes no text: use embed()';
    expect(() => encoder.generate('goat')).toThrow(new WrongKind(`generate: ${sentence}`));
    expect(() => encoder.chat([{ role: 'user', content: 'goat' }])).toThrow(new WrongKind(`chat: ${sentence}`));
    expect(() => encoder.finetune({ data: 'rows.jsonl' })).toThrow(new WrongKind(`finetune: ${sentence}`));
    expect(() => encoder.forward([5])).toThrow(new WrongKind(`forward: ${sentence}`));
    await expect(encoder.engine.score([5, 6])).rejects.toThrow(new WrongKind(`score: ${sentence}`));
    expect(() => reranker.generate('goat')).toThrow(/use rank\(\)$/);
    await expect(reranker.embed(['goat'])).rejects.toThrow(
      new WrongKind('embed: this model is a reranker (bert) and makes no vectors: use rank()'),
    );
  });

  it.each([
    [
      'an unknown module',
      { 'modules.json': [{ type: 'x.models.Asym', path: '1' }] },
      /module "x.models.Asym" is not supp/,
    ],
    [
      'a way out of the folder',
      { 'modules.json': [{ type: 'x.Pooling', path: '../1' }] },
      /path must be the name of a fol/,
    ],
    [
      'a pooling of no name',
      { '1_Pooling/config.json': { pooling_mode: 'median' } },
      /pooling_mode must be of cls, max,/,
    ],
    [
      'a prompt that is not there',
      { 'config_sentence_transformers.json': { default_prompt_name: 'q' } },
      /default_prompt_name/,
    ],
  ] as const)('is refused with %s', async (_, files, message) => {
    await expect(made('bert', files as Record<string, unknown>)).rejects.toThrow(message);
  });

  it('is refused with several labels, or windows of experts', async () => {
    const labels = { id2label: { 0: 'bad', 1: 'good' } };
    await expect(made('bert.cross', {}, labels)).rejects.toThrow(
      'a reranker has one label, and id2label has 2: bad, good',
    );
    await expect(made('nomic_bert', {}, { moe_every_n_layers: 2 })).rejects.toThrow("field 'moe_every_n_layers'");
  });

  it('is saved with its modules, and loads again', async () => {
    const model = await made('gemma3_text');
    const folder = join(place, 'saved');
    await model.save(folder);
    using again = await loadModel(folder, { dtype: 'f32', device: testDevice });
    expect(await again.embed(['goat'])).toEqual(await model.embed(['goat']));
    writeFileSync(join(folder, '2_Dense', 'config.json'), JSON.stringify({ in_features: 47, out_features: 64 }));
    await expect(loadModel(folder)).rejects.toThrow('in_features must be 48, as the module before gives, got 47');
  });
});
