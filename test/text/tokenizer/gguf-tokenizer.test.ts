// Tokenizers out of GGUF metadata against llama.cpp's vectors and Hugging Face's results.

import { describe, expect, it } from 'vitest';
import { byteOfCharacter } from '../../../lib/text/tokenizer/detokenizer.js';
import { tokenizerFromGguf } from '../../../lib/text/tokenizer/gguf-tokenizer.js';
import { wordPatterns } from '../../../lib/text/tokenizer/word-patterns.js';
import { dataText, describeWithData, fixtures, ggufTokenizer, smollm2, vocabularyVectors } from '../data.js';

describeWithData('tokenizers of GGUF files', () => {
  for (const name of ['gpt-2', 'phi-3', 'mpt', 'falcon']) {
    it(`${name} gives llama.cpp's ids and takes them back`, () => {
      const tokenizer = ggufTokenizer(`llamacpp-vocab-tests/gguf/ggml-vocab-${name}.gguf`);
      const vectors = vocabularyVectors(name);
      expect(vectors).toHaveLength(47);
      for (const { text, ids } of vectors) {
        expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids);
        expect(tokenizer.decode(ids)).toBe(text);
      }
    });
  }

  it("bert-bge gives llama.cpp's ids", () => {
    const tokenizer = ggufTokenizer('llamacpp-vocab-tests/gguf/ggml-vocab-bert-bge.gguf');
    const vectors = vocabularyVectors('bert-bge');
    expect(vectors).toHaveLength(47);
    for (const { text, ids } of vectors) {
      expect(tokenizer.encode(text, { addSpecialTokens: false }), text).toEqual(ids);
      expect(tokenizer.encode(text)).toEqual([101, ...ids, 102]);
    }
    expect(tokenizer.encodePair('a', 'b')).toEqual({ ids: [101, 1037, 102, 1038, 102], typeIds: [0, 0, 0, 1, 1] });
    expect(tokenizer.decode(tokenizer.encode("Don't embed, re-embeddings!"))).toBe("don ' t embed, re - embeddings!");
  });

  it("bert-bge gives the ids of Hugging Face's BERT without case", () => {
    const tokenizer = ggufTokenizer('llamacpp-vocab-tests/gguf/ggml-vocab-bert-bge.gguf');
    const rows = fixtures('bert', 'Xenova/bert-base-uncased');
    expect(rows).toHaveLength(30);
    for (const { text, text_pair: second, ids } of rows) {
      const found = second === undefined ? tokenizer.encode(text) : tokenizer.encodePair(text, second).ids;
      expect(found, text).toEqual(ids);
    }
  });

  it("falcon gives the ids of Hugging Face's falcon-7b", () => {
    const tokenizer = ggufTokenizer('llamacpp-vocab-tests/gguf/ggml-vocab-falcon.gguf');
    const rows = fixtures('falcon', 'tiiuae/falcon-7b');
    expect(rows).toHaveLength(24);
    for (const { text, ids } of rows) expect(tokenizer.encode(text)).toEqual(ids);
  });

  it('SmolLM2 gives the recorded ids, prompts and answers', () => {
    const { tokenizer, expected } = smollm2();
    expect(expected.tokenizer).toHaveLength(20);
    for (const { text, ids } of expected.tokenizer) expect(tokenizer.encode(text)).toEqual(ids);
    expect(expected.chats).toHaveLength(8);
    for (const { messages, prompt, prompt_ids, greedy, text } of expected.chats) {
      expect(tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true })).toBe(prompt);
      expect(tokenizer.encode(prompt, { addSpecialTokens: false })).toEqual(prompt_ids);
      expect(tokenizer.decode(greedy)).toBe(text);
    }
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual([1, 2, 2]);
    expect(tokenizer.endIds).toEqual(new Set([2, 0]));
    expect(tokenizer.vocabSize).toBe(49152);
  });

  for (const [path, name] of [
    ['stories260K/stories260K-q8_0.gguf', 'stories260K'],
    ['tinystories-656k/gguf/tinystories-656k-q8_0.gguf', 'tinystories656K'],
  ] as const) {
    it(`${name} gives the prompt of a recorded run`, () => {
      const golden = JSON.parse(dataText('golden/greedy_tokens.json')) as Record<string, { prompt_ids: number[] }>;
      expect(ggufTokenizer(path).encode('Once upon a time')).toEqual(golden[name]!.prompt_ids);
    });
  }

  it("lets Phi-3's control tokens swallow the white space behind them", () => {
    const tokenizer = ggufTokenizer('llamacpp-vocab-tests/gguf/ggml-vocab-phi-3.gguf');
    const with32007 = tokenizer.encode('<|user|>\nHi<|end|>\n', { addSpecialTokens: false });
    expect(with32007).toEqual([32010, ...tokenizer.encode('Hi', { addSpecialTokens: false }), 32007]);
    expect(tokenizer.encode('Hi')[0]).toBe(1);
  });
});

describe('tokenizerFromGguf', () => {
  const spm = (extra: Record<string, unknown> = {}): Map<string, unknown> =>
    new Map(
      Object.entries({
        'tokenizer.ggml.model': 'llama',
        'tokenizer.ggml.tokens': ['<unk>', '<s>', '</s>', '<0x0A>', '▁', 'a', 'b', 'ab', 'ba', '▁a', '<tool>'],
        'tokenizer.ggml.scores': Float32Array.of(0, 0, 0, 0, -9, -9, -9, -1, -1, -2, 0),
        'tokenizer.ggml.token_type': Int32Array.of(2, 3, 3, 6, 1, 1, 1, 1, 1, 1, 4),
        ...extra,
      }),
    );

  it('joins equal scores from the left', () => {
    const tokenizer = tokenizerFromGguf(spm({ 'tokenizer.ggml.add_space_prefix': false }));
    expect(tokenizer.encode('aba', { addSpecialTokens: false })).toEqual([7, 5]);
    expect(tokenizer.encode('bab', { addSpecialTokens: false })).toEqual([8, 6]);
  });

  it('puts a space in front, unless the file says not to', () => {
    const tokenizer = tokenizerFromGguf(spm());
    expect(tokenizer.encode('a')).toEqual([1, 9]);
    expect(tokenizer.decode([1, 9])).toBe('a');
    expect(tokenizer.decode([9], { continues: true })).toBe(' a');
    expect(tokenizer.encode('a<tool>\nb')).toEqual([1, 9, 10, 4, 3, 6]);
    const bare = tokenizerFromGguf(
      spm({ 'tokenizer.ggml.add_space_prefix': false, 'tokenizer.ggml.add_bos_token': false }),
    );
    expect(bare.encode('a')).toEqual([5]);
    expect(bare.decode([9])).toBe(' a');
  });

  it('takes unknown characters for the unknown token', () => {
    const tokenizer = tokenizerFromGguf(spm({ 'tokenizer.ggml.add_space_prefix': false }));
    expect(tokenizer.encode('aéüb', { addSpecialTokens: false })).toEqual([5, 0, 6]);
  });

  it("joins Gemma 4's characters by its merges, over the spaces of a line", () => {
    const tokens = ['<pad>', '<eos>', '<bos>', '<unk>', 'a', 'b', '▁', '\n', '▁a', 'b▁a', '\n\n', '<0xC3>', '<0xA9>'];
    const tokenizer = tokenizerFromGguf(
      new Map<string, unknown>([
        ['tokenizer.ggml.model', 'gemma4'],
        ['tokenizer.ggml.tokens', tokens],
        ['tokenizer.ggml.token_type', Int32Array.of(3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 6, 6)],
        ['tokenizer.ggml.merges', ['▁ a', 'b ▁a', '\n \n']],
        ['tokenizer.ggml.bos_token_id', 2],
        ['tokenizer.ggml.add_bos_token', true],
      ]),
    );
    const text = 'b a  a\n\n\né a';
    const ids = [2, 9, 6, 8, 10, 7, 11, 12, 8];
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(text);
    expect(tokenizer.encode('x', { addSpecialTokens: false })).toEqual([3]);
  });

  it('knows tokens that end a turn by name', () => {
    const tokens = ['<s>', '<|im_end|>', '<|end|>', '<|return|>', '<|call|>', 'a'];
    const tokenizer = tokenizerFromGguf(
      new Map<string, unknown>([
        ['tokenizer.ggml.model', 'gpt2'],
        ['tokenizer.ggml.pre', 'gpt-4o'],
        ['tokenizer.ggml.tokens', tokens],
        ['tokenizer.ggml.merges', []],
        ['tokenizer.ggml.eot_token_id', 1],
        ['tokenizer.chat_template', 'one'],
        ['tokenizer.chat_template.tool_use', 'two'],
      ]),
    );
    expect(tokenizer.endIds).toEqual(new Set([1, 3, 4]));
    expect(tokenizer.eosId).toBeUndefined();
    expect(tokenizer.chatTemplate).toBe('one');
    expect(tokenizer.applyChatTemplate([], { chatTemplate: 'tool_use' })).toBe('two');
  });

  it('cuts words with every pattern it names', () => {
    for (const pre of wordPatterns.keys()) {
      const tokens = [...byteOfCharacter.keys()];
      const tokenizer = tokenizerFromGguf(
        new Map<string, unknown>([
          ['tokenizer.ggml.model', 'gpt2'],
          ['tokenizer.ggml.pre', pre],
          ['tokenizer.ggml.tokens', tokens],
          ['tokenizer.ggml.merges', []],
        ]),
      );
      const text = "Don't 12345 ½ 日本語\r\n\n  été (x_y) 😂 ";
      const ids = tokenizer.encode(text);
      expect(ids).toHaveLength(Buffer.byteLength(text));
      expect(tokenizer.decode(ids)).toBe(text);
    }
  });

  it("puts a separator between RoBERTa's pairs", () => {
    const tokens = ['<s>', '</s>', 'a', 'b'];
    const tokenizer = tokenizerFromGguf(
      new Map<string, unknown>([
        ['tokenizer.ggml.model', 'gpt2'],
        ['tokenizer.ggml.pre', 'roberta-bpe'],
        ['tokenizer.ggml.tokens', tokens],
        ['tokenizer.ggml.token_type', Int32Array.of(3, 3, 1, 1)],
        ['tokenizer.ggml.merges', []],
        ['tokenizer.ggml.bos_token_id', 0],
        ['tokenizer.ggml.eos_token_id', 1],
        ['tokenizer.ggml.seperator_token_id', 1],
        ['tokenizer.ggml.add_bos_token', true],
        ['tokenizer.ggml.add_eos_token', true],
      ]),
    );
    expect(tokenizer.encode('ab')).toEqual([0, 2, 3, 1]);
    expect(tokenizer.encodePair('a', 'b').ids).toEqual([0, 2, 1, 1, 3, 1]);
  });

  it('joins the characters of words, without the spaces between', () => {
    const metadata = new Map<string, unknown>([
      ['tokenizer.ggml.model', 'gpt2'],
      ['tokenizer.ggml.pre', 'whitespace'],
      ['tokenizer.ggml.tokens', ['<unk>', '漢', '字', '漢字', 'a']],
      ['tokenizer.ggml.token_type', Int32Array.of(2, 1, 1, 1, 1)],
      ['tokenizer.ggml.merges', ['漢 字']],
      ['tokenizer.ggml.unknown_token_id', 0],
    ]);
    expect(tokenizerFromGguf(metadata).encode(' 漢字 a\nA')).toEqual([3, 4, 0]);
    metadata.set('tokenizer.ggml.normalizer.lowercase', true);
    expect(tokenizerFromGguf(metadata).encode('漢 字a A')).toEqual([1, 2, 4, 4]);
  });

  it("keeps the case and the accents of BERT's words where the file says so", () => {
    const bert = (extra: Record<string, unknown> = {}): Map<string, unknown> =>
      new Map(
        Object.entries({
          'tokenizer.ggml.model': 'bert',
          'tokenizer.ggml.tokens': ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '▁a', '▁A', '▁á', 'b', '▁['],
          'tokenizer.ggml.token_type': Int32Array.of(3, 3, 3, 3, 1, 1, 1, 1, 1),
          'tokenizer.ggml.cls_token_id': 2,
          'tokenizer.ggml.seperator_token_id': 3,
          'tokenizer.ggml.unknown_token_id': 1,
          ...extra,
        }),
      );
    const text = 'a A á Áb [ x';
    expect(tokenizerFromGguf(bert()).encode(text)).toEqual([2, 4, 4, 4, 4, 7, 8, 1, 3]);
    const cased = tokenizerFromGguf(bert({ 'tokenizer.ggml.normalizer.lowercase': false }));
    expect(cased.encode(text)).toEqual([2, 4, 5, 6, 1, 8, 1, 3]);
    const accents = tokenizerFromGguf(bert({ 'tokenizer.ggml.normalizer.strip_accents': false }));
    expect(accents.encode(text)).toEqual([2, 4, 4, 6, 6, 7, 8, 1, 3]);
    expect(cased.decode([2, 4, 7, 5, 3])).toBe('ab A');
  });

  it('says what is missing or not supported', () => {
    const without = (field: string): Map<string, unknown> => {
      const metadata = spm();
      metadata.delete(`tokenizer.ggml.${field}`);
      return metadata;
    };
    expect(() => tokenizerFromGguf(new Map())).toThrow('gguf: tokenizer.ggml.model is missing: expected one of "gpt2"');
    expect(() => tokenizerFromGguf(spm({ 'tokenizer.ggml.model': 'rwkv' }))).toThrow('"rwkv" is not supported');
    expect(() => tokenizerFromGguf(spm({ 'tokenizer.ggml.model': 'bert' }))).toThrow(
      "tokenizer.ggml.tokens has 11 entries: expected one for the bos token's id",
    );
    expect(() => tokenizerFromGguf(without('tokens'))).toThrow('tokenizer.ggml.tokens is missing');
    expect(() => tokenizerFromGguf(without('scores'))).toThrow('tokenizer.ggml.scores is missing');
    expect(() => tokenizerFromGguf(spm({ 'tokenizer.ggml.scores': [1] }))).toThrow('has 1 entries: expected 11');
    const bpe = spm({ 'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'characters' });
    expect(() => tokenizerFromGguf(bpe)).toThrow(/pre "characters" is not supported: expected one of default, gpt-2, /);
    bpe.set('tokenizer.ggml.pre', 'smollm');
    expect(() => tokenizerFromGguf(bpe)).toThrow('tokenizer.ggml.merges is missing');
  });
});
