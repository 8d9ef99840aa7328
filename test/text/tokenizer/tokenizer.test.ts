// Tokenizers of model folders against recorded results: llama.cpp's vectors, transformers.js's fixtures, prompt ids.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TokenizerJson } from '../../../lib/text/tokenizer/parts.js';
import { Tokenizer } from '../../../lib/text/tokenizer/tokenizer.js';
import { timesAsMuch } from '../../processor-time.js';
import { dataText, describeWithData, fixtures, folderTokenizer, vocabularyVectors } from '../data.js';

describeWithData('tokenizers of folders', () => {
  for (const [path, name] of [
    ['tokenizer-gpt2', 'gpt-2'],
    ['tokenizer-qwen3', 'qwen2'],
  ] as const) {
    it(`${path} gives llama.cpp's ids and takes them back`, async () => {
      const tokenizer = await folderTokenizer(path);
      const vectors = vocabularyVectors(name);
      expect(vectors).toHaveLength(47);
      for (const { text, ids } of vectors) {
        expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids);
        expect(tokenizer.decode(ids)).toBe(text);
      }
    });
  }

  for (const [path, family, name, count] of [
    ['tokenizer-gpt2', 'gpt2', 'Xenova/gpt2', 26],
    ['tokenizer-gpt2', 'gpt2', 'openai-community/gpt2', 26],
    ['tokenizer-qwen3', 'qwen2', 'Xenova/Qwen1.5-0.5B-Chat', 25],
  ] as const) {
    it(`${path} gives the ids of ${name}`, async () => {
      const tokenizer = await folderTokenizer(path);
      const rows = fixtures(family, name);
      expect(rows).toHaveLength(count);
      for (const { text, ids } of rows) expect(tokenizer.encode(text)).toEqual(ids);
    });
  }

  for (const [path, name] of [
    ['stories260K/hf', 'stories260K'],
    ['tinystories-656k', 'tinystories656K'],
    ['babyllama-105/hf', 'babyllama105'],
  ] as const) {
    it(`${path} gives the prompt of a recorded run`, async () => {
      const tokenizer = await folderTokenizer(path);
      const golden = JSON.parse(dataText('golden/greedy_tokens.json')) as Record<string, { prompt_ids: number[] }>;
      const ids = golden[name]!.prompt_ids;
      expect(tokenizer.encode('Once upon a time')).toEqual(ids);
      expect(tokenizer.bosId).toBe(ids[0]);
      expect(tokenizer.encode('Once upon a time', { addSpecialTokens: false })).toEqual(ids.slice(1));
      expect(tokenizer.decode(ids)).toBe('Once upon a time');
    });
  }

  it('knows its special tokens, and finds them in a text', async () => {
    const tokenizer = await folderTokenizer('tokenizer-qwen3');
    const end = tokenizer.tokenToId('<|im_end|>');
    expect(tokenizer.eosId).toBe(end);
    expect(tokenizer.endIds).toEqual(new Set([end]));
    expect(tokenizer.bosId).toBeUndefined();
    expect(tokenizer.vocabSize).toBe(151669);
    expect(tokenizer.specialIds.has(end!)).toBe(true);
    // A thinking tag is an added token that belongs to the text.
    expect(tokenizer.specialIds.has(tokenizer.tokenToId('<think>')!)).toBe(false);
    const ids = tokenizer.encode('<think>a</think>b<|im_end|>');
    expect(ids.at(-1)).toBe(end);
    expect(tokenizer.decode(ids)).toBe('<think>a</think>b');
    expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe('<think>a</think>b<|im_end|>');
    expect(tokenizer.idToToken(end!)).toBe('<|im_end|>');
    expect(tokenizer.idToToken(10_000_000)).toBeUndefined();
    expect(tokenizer.decode([10_000_000])).toBe('');
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.encode('')).toEqual([]);
  });

  it('takes a text in rows of 4 KB for what it takes in lines', async () => {
    const tokenizer = await folderTokenizer('tokenizer-qwen3');
    const text = dataText('tinyshakespeare/input.txt').slice(0, 81_920);
    const encodeIn = (length: number) => (): void => {
      for (let at = 0; at < text.length; at += length) tokenizer.encode(text.slice(at, at + length));
    };
    expect(await timesAsMuch(encodeIn(4096), encodeIn(64))).toBeLessThan(2);
  });
});

describe('Tokenizer.fromFolder', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'helvetia-tokenizer-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const write = (name: string, value: unknown): Promise<void> =>
    writeFile(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));

  it('finds nothing in an empty folder', async () => {
    expect(await Tokenizer.fromFolder(folder)).toBeUndefined();
  });

  it('names the file that is broken', async () => {
    await write('tokenizer.json', '{ "model": ');
    await expect(Tokenizer.fromFolder(folder)).rejects.toThrow(/tokenizer\.json: not valid JSON at line 1/);
    await write('tokenizer.json', { model: 5 });
    await expect(Tokenizer.fromFolder(folder)).rejects.toThrow('tokenizer.json: expected a "model" object');
    await write('tokenizer.json', { model: { type: 'BPE', vocab: { a: 0 }, merges: ['a b'] } });
    await expect(Tokenizer.fromFolder(folder)).rejects.toThrow(/tokenizer\.json: .*merge 0 joins "a" and "b"/);
  });

  it('names the field whose value is no model or no id', async () => {
    const words = { type: 'WordLevel', vocab: { a: 0, b: 1 }, unk_token: 'a' };
    const broken: [json: object, words: string][] = [
      [{ model: { ...words, type: 'Charwise' } }, `'model.type' must be one of BPE, Unigram`],
      [{ model: { ...words, vocab: { a: 0, b: -1 } } }, `'model.vocab["b"]' must be an id: an integer from 0, got -1`],
      [
        { model: { ...words, vocab: { a: 0, b: 1.5 } } },
        `'model.vocab["b"]' must be an id: an integer from 0, got 1.5`,
      ],
      [{ model: { ...words, vocab: { a: '0' } } }, `'model.vocab["a"]' must be an id: an integer from 0, got "0"`],
      [{ model: { ...words, vocab: 'a b' } }, `'model.vocab' must be an object of tokens and ids`],
      [{ model: { type: 'Unigram', vocab: [['a', -1], 'b'] } }, `'model.vocab[1]' must be a token and its score`],
      [{ model: { type: 'Unigram', vocab: [['a']] } }, `'model.vocab[0]' must be a token and its score`],
      [
        { model: { type: 'Unigram', vocab: [['a', -1]], unk_id: 1 } },
        `'model.unk_id' must be the id of a token, below 1, got 1`,
      ],
      [{ model: words, added_tokens: [{ id: -2, content: 'c' }] }, `'added_tokens[0].id' must be an integer from 0`],
      [{ model: words, added_tokens: [{ id: 2 }] }, `'added_tokens[0].content' must be a string`],
      [{ model: words, added_tokens: { id: 2 } }, `'added_tokens' must be a list`],
    ];
    for (const [json, words] of broken) {
      await write('tokenizer.json', json);
      await expect(Tokenizer.fromFolder(folder)).rejects.toThrow(`tokenizer.json: field ${words}`);
    }
    await write('tokenizer.json', { model: words });
    await write('tokenizer_config.json', { added_tokens_decoder: { '-3': { content: 'c' } } });
    await expect(Tokenizer.fromFolder(folder)).rejects.toThrow(
      `tokenizer_config.json: field 'added_tokens_decoder' must have ids for keys, integers from 0, got "-3"`,
    );
    await rm(join(folder, 'tokenizer_config.json'));
  });

  it("reads BERT's vocab.txt where there is no tokenizer.json", async () => {
    const old = join(folder, 'old');
    await mkdir(old);
    await writeFile(join(old, 'vocab.txt'), '[PAD]\n[UNK]\n[CLS]\n[SEP]\nzürich\nzurich\n##s\n漢\n');
    const tokenizer = (await Tokenizer.fromFolder(old))!;
    expect(tokenizer.encode('Zürichs 漢漢?')).toEqual([2, 5, 6, 7, 7, 1, 3]);
    expect(tokenizer.encodePair('zurich', '漢').typeIds).toEqual([0, 0, 0, 1, 1]);
    expect(tokenizer.decode([2, 5, 6, 7, 3])).toBe('zurichs 漢');
    expect([tokenizer.vocabSize, tokenizer.padId]).toEqual([8, 0]);
    await writeFile(
      join(old, 'tokenizer_config.json'),
      JSON.stringify({ do_lower_case: false, tokenizer_class: 'BertTokenizer' }),
    );
    expect((await Tokenizer.fromFolder(old))!.encode('zürich Zürich')).toEqual([2, 4, 1, 3]);
    await writeFile(join(old, 'tokenizer_config.json'), JSON.stringify({ tokenizer_class: 'EsmTokenizer' }));
    await expect(Tokenizer.fromFolder(old)).rejects.toThrow(
      `vocab.txt: is read as a BertTokenizer's, but tokenizer_class is "EsmTokenizer": add tokenizer.json`,
    );
    await rm(join(old, 'tokenizer_config.json'));
    await writeFile(join(old, 'vocab.txt'), '[PAD]\n[UNK]\n[CLS]\n');
    await expect(Tokenizer.fromFolder(old)).rejects.toThrow('vocab.txt: has no line "[SEP]", the sep_token');
  });

  it("has the config's word on special tokens where tokenizer.json adds none", async () => {
    const own = join(folder, 'own');
    await mkdir(own);
    const json = (post_processor: object) =>
      writeFile(
        join(own, 'tokenizer.json'),
        JSON.stringify({ model: { type: 'BPE', vocab: { a: 0, '<s>': 1, '</s>': 2 }, merges: [] }, post_processor }),
      );
    await writeFile(join(own, 'tokenizer_config.json'), JSON.stringify({ bos_token: '<s>', add_bos_token: true }));
    await json({ type: 'ByteLevel' });
    expect((await Tokenizer.fromFolder(own))!.encode('a')).toEqual([1, 0]);
    expect((await Tokenizer.fromFolder(own))!.encodePair('a', 'a')).toEqual({
      ids: [1, 0, 1, 0],
      typeIds: [0, 0, 1, 1],
    });
    await json({ type: 'TemplateProcessing', single: [{ Sequence: { id: 'A' } }, { SpecialToken: { id: '</s>' } }] });
    expect((await Tokenizer.fromFolder(own))!.encode('a')).toEqual([0, 2]);
  });

  it('merges the config, the special tokens map and the templates', async () => {
    await write('tokenizer.json', {
      model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2, '<s>': 3, '</s>': 4 }, merges: [['a', 'b']] },
      decoder: { type: 'Fuse' },
    });
    await write('special_tokens_map.json', { bos_token: { content: '<s>' }, eos_token: '</s>' });
    await write('tokenizer_config.json', {
      add_bos_token: true,
      added_tokens_decoder: { 5: { content: '<tool>', special: false } },
      chat_template: [
        { name: 'default', template: 'plain' },
        { name: 'tool_use', template: 'tools' },
      ],
    });
    const tokenizer = (await Tokenizer.fromFolder(folder))!;
    expect(tokenizer.encode('ab</s><tool>a')).toEqual([3, 2, 4, 5, 0]);
    expect(tokenizer.vocabSize).toBe(6);
    expect([...tokenizer.specialIds]).toEqual([3, 4]);
    expect(tokenizer.decode([3, 2, 5, 4])).toBe('ab<tool>');
    expect(tokenizer.chatTemplate).toBe('plain');
    expect(tokenizer.applyChatTemplate([])).toBe('plain');
    expect(tokenizer.applyChatTemplate([], { tools: [{}] })).toBe('tools');
    await write('chat_template.jinja', '{{ bos_token }}{{ messages[0].content }}{{ eos_token }}');
    const again = (await Tokenizer.fromFolder(folder))!;
    expect(again.applyChatTemplate([{ role: 'user', content: 'hi' }])).toBe('<s>hi</s>');
  });
});

describe('pre-tokenizers that the library reads more narrowly', () => {
  const characters = [...' \ufeff\u0085a1²३.,▁'];
  const cut = (pre_tokenizer: TokenizerJson['pre_tokenizer'], text: string): string[] => {
    const pieces = new Set<string>();
    for (let at = 0; at < text.length; at += 1) {
      for (let end = at + 1; end <= text.length; end += 1) pieces.add(text.slice(at, end));
    }
    const vocab = Object.fromEntries([...characters, ...pieces].map((piece, id) => [piece, id]));
    const tokenizer = new Tokenizer({
      json: {
        model: { type: 'BPE', vocab, merges: [], ignore_merges: true },
        pre_tokenizer: pre_tokenizer!,
      },
      config: {},
      templates: new Map(),
      source: 'test',
    });
    return tokenizer.encode(text).map((id) => tokenizer.idToToken(id)!);
  };

  // The expected pieces are those of the Rust library.
  it('counts all numbers as digits', () => {
    expect(cut({ type: 'Digits', individual_digits: true }, 'a1²३')).toEqual(['a', '1', '²', '३']);
    expect(cut({ type: 'Digits', individual_digits: false }, 'a1²३')).toEqual(['a', '1²३']);
  });

  it('merges what a split finds into its neighbours', () => {
    const split = (behavior: string, pattern: object = { String: ' ' }): string[] =>
      cut({ type: 'Split', pattern, behavior, invert: false }, 'a  1 .');
    expect(split('Isolated')).toEqual(['a', ' ', ' ', '1', ' ', '.']);
    expect(split('Removed')).toEqual(['a', '1', '.']);
    expect(split('MergedWithPrevious')).toEqual(['a ', ' ', '1 ', '.']);
    expect(split('MergedWithNext')).toEqual(['a', ' ', ' 1', ' .']);
    expect(split('Contiguous', { Regex: '\\s' })).toEqual(['a', '  ', '1', ' ', '.']);
  });

  it('cuts before each "▁" unless told not to', () => {
    expect(cut({ type: 'Metaspace', split: true, prepend_scheme: 'never' }, 'a▁1▁.')).toEqual(['a', '▁1', '▁.']);
    expect(cut({ type: 'Metaspace', split: false, prepend_scheme: 'never' }, 'a▁1▁.')).toEqual(['a▁1▁.']);
  });

  it('isolates punctuation', () => {
    expect(cut({ type: 'Punctuation' }, 'a.,1')).toEqual(['a', '.', ',', '1']);
    expect(cut({ type: 'Punctuation', behavior: 'Contiguous' }, 'a.,1')).toEqual(['a', '.,', '1']);
  });
});
