// The tokenizers of encoders against what the tokenizers and sentencepiece libraries gave (encoders.py).

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { tokenizerFromGguf } from '../../../lib/text/tokenizer/gguf-tokenizer.js';
import { exactNormalizer, type NormalizerJson } from '../../../lib/text/tokenizer/normalizer.js';
import type { TokenizerJson } from '../../../lib/text/tokenizer/parts.js';
import { Tokenizer } from '../../../lib/text/tokenizer/tokenizer.js';
import { timesAsMuch } from '../../processor-time.js';

type Pair = [a: string, b: string, maxLength: number | null, ids: number[], typeIds: number[]];

interface Recorded {
  texts: string[];
  tokenizers: Record<string, { json: TokenizerJson; ids: number[][]; decoded: string[]; pairs: Pair[] }>;
  normalizers: { json: NormalizerJson; texts: string[] }[];
  sentencepiece: {
    tokens: string[];
    scores: number[];
    types: number[];
    charsmap: string;
    ids: { remove: boolean; prefix: boolean; ids: number[][] }[];
  };
}

const { texts, tokenizers, normalizers, sentencepiece } = JSON.parse(
  readFileSync(new URL('encoders.json', import.meta.url), 'utf8'),
) as Recorded;

const tokenizerOf = (json: TokenizerJson): Tokenizer =>
  new Tokenizer({ json, config: {}, templates: new Map(), source: 'test' });

describe('normalizers', () => {
  it.each(normalizers.map(({ json, texts }) => [JSON.stringify(json).slice(0, 110), json, texts] as const))(
    '%s',
    (_, json, expected) => {
      const normalizer = exactNormalizer(json);
      texts.forEach((text, i) => expect(normalizer(text), `text ${i}`).toBe(expected[i]));
    },
  );
});

describe.each(Object.entries(tokenizers))('%s', (_, { json, ids, decoded, pairs }) => {
  const tokenizer = tokenizerOf(json);

  it('gives the recorded ids and texts', () => {
    texts.forEach((text, i) => expect(tokenizer.encode(text), `text ${i}`).toEqual(ids[i]));
    ids.forEach((row, i) => expect(tokenizer.decode(row), `text ${i}`).toBe(decoded[i]));
  });

  it('gives the recorded pairs, cut to length', () => {
    for (const [a, b, length, expected, typeIds] of pairs) {
      const found = tokenizer.encodePair(a, b, length === null ? {} : { maxLength: length });
      expect(found, `${a} | ${b} | ${length}`).toEqual({ ids: expected, typeIds });
    }
  });
});

/** Metadata of a file with the recorded SentencePiece model. */
function unigramMetadata(extra: Record<string, unknown> = {}): Map<string, unknown> {
  const { tokens, scores, types, charsmap } = sentencepiece;
  return new Map(
    Object.entries({
      'tokenizer.ggml.model': 't5',
      'tokenizer.ggml.tokens': tokens,
      'tokenizer.ggml.scores': Float32Array.from(scores),
      'tokenizer.ggml.token_type': Int32Array.from(types),
      'tokenizer.ggml.precompiled_charsmap': Int8Array.from(Buffer.from(charsmap, 'base64')),
      'tokenizer.ggml.unknown_token_id': 3,
      ...extra,
    }),
  );
}

describe('Unigram of a GGUF file', () => {
  it.each(sentencepiece.ids)(
    'gives the ids of sentencepiece, remove: $remove, prefix: $prefix',
    ({ remove, prefix, ids }) => {
      const tokenizer = tokenizerFromGguf(
        unigramMetadata({
          'tokenizer.ggml.remove_extra_whitespaces': remove,
          'tokenizer.ggml.add_space_prefix': prefix,
        }),
      );
      texts.forEach((text, i) => {
        const plain = text.replace('</s>', '').replace('w'.repeat(101), 'w');
        expect(tokenizer.encode(plain, { addSpecialTokens: false }), `text ${i}`).toEqual(ids[i]);
      });
    },
  );

  it("puts XLM-RoBERTa's tokens around texts and pairs", () => {
    const tokenizer = tokenizerFromGguf(
      unigramMetadata({
        'tokenizer.ggml.bos_token_id': 0,
        'tokenizer.ggml.eos_token_id': 2,
        'tokenizer.ggml.add_bos_token': true,
      }),
    );
    const [a] = tokenizer.encode('a', { addSpecialTokens: false });
    expect(tokenizer.encode('a')).toEqual([0, a, 2]);
    expect(tokenizer.encodePair('a', 'a')).toEqual({ ids: [0, a, 2, 2, a, 2], typeIds: [0, 0, 0, 0, 0, 0] });
    expect(tokenizer.decode([0, a!, 2])).toBe('a');
    expect([tokenizer.bosId, tokenizer.eosId]).toEqual([0, 2]);
  });

  it("puts T5's token behind each text", () => {
    const tokenizer = tokenizerFromGguf(unigramMetadata({ 'tokenizer.ggml.eos_token_id': 2 }));
    const [a] = tokenizer.encode('a', { addSpecialTokens: false });
    expect(tokenizer.encode('a')).toEqual([a, 2]);
    expect(tokenizer.encodePair('a', 'a').ids).toEqual([a, 2, a, 2]);
  });

  it('spells no control token, whatever a text says', () => {
    const tokenizer = tokenizerFromGguf(unigramMetadata());
    const ids = tokenizer.encode(tokenizer.literal('a</s>'), { addSpecialTokens: false, literals: true });
    expect(ids).not.toContain(2);
    expect(tokenizer.encode('a</s>', { addSpecialTokens: false })).toContain(2);
  });

  it('names what is broken', () => {
    const broken = (field: string, value: unknown) => () =>
      tokenizerFromGguf(unigramMetadata({ [`tokenizer.ggml.${field}`]: value }), 'x.gguf');
    expect(broken('precompiled_charsmap', Uint8Array.of(9, 0, 0))).toThrow('x.gguf: precompiled_charsmap is broken');
    expect(broken('precompiled_charsmap', Uint8Array.of(8, 0, 0, 0, 0, 0))).toThrow('precompiled_charsmap is broken');
    expect(broken('precompiled_charsmap', 'abc')).toThrow('precompiled_charsmap is no list of bytes');
    expect(broken('scores', undefined)).toThrow('tokenizer.ggml.scores is missing');
  });
});

describe('encodePair', () => {
  const { bert } = tokenizers;
  const tokenizer = tokenizerOf(bert!.json);

  it('refuses a length without room, and a tokenizer without a template for two texts', () => {
    expect(() => tokenizer.encodePair('a', 'b', { maxLength: 2 })).toThrow(
      "tokenizer: 'maxLength' must be an integer from 3, the special tokens, got 2",
    );
    const single = { type: 'TemplateProcessing', single: [{ Sequence: { id: 'A', type_id: 0 } }], pair: [] };
    const without = tokenizerOf({ ...bert!.json, post_processor: single });
    expect(() => without.encodePair('a', 'b')).toThrow('tokenizer: its post_processor has no template for two texts');
  });

  it('takes ids that were encoded before, of one text too', () => {
    const ids = tokenizer.encode('the lazy dog over the fox', { addSpecialTokens: false });
    expect(tokenizer.withSpecialTokens(ids, ids)).toEqual(
      tokenizer.encodePair('the lazy dog over the fox', 'the lazy dog over the fox'),
    );
    expect(tokenizer.withSpecialTokens(ids, undefined, { maxLength: 4 }).ids).toEqual([2, ids[0], ids[1], 3]);
  });

  it('names a processor, or a token, that is not there', () => {
    const withProcessor = (post_processor: object) => () => tokenizerOf({ ...bert!.json, post_processor });
    expect(withProcessor({ type: 'Prompt' })).toThrow('test: post_processor "Prompt" is not supported');
    expect(withProcessor({ type: 'BertProcessing', cls: ['[X]'], sep: ['[SEP]', 3] })).toThrow(
      'test: post_processor puts "[X]" around texts, which is no token',
    );
    const template = { type: 'BertProcessing', cls: ['[CLS]', 2], sep: ['[SEP]', 3] };
    expect(withProcessor({ type: 'Sequence', processors: [template, template] })).toThrow(
      'several steps that add tokens',
    );
  });
});

describe('the cost of a text', () => {
  const hostile = ['a', 'é', 'e\u0301', '\r', '漢', '\u{1f468}\u200d', '▁', ' ', 'the quick', 'ａ b'];

  it.each(Object.keys(tokenizers))(
    '%s takes a character of a long text for what one of a short text costs',
    async (name) => {
      const tokenizer = tokenizerOf(tokenizers[name]!.json);
      const text = (unit: string, length: number): string => unit.repeat(Math.ceil(length / unit.length));
      const long = hostile.map((unit) => text(unit, 16_384));
      const short = hostile.map((unit) => text(unit, 1024));
      const encode = (list: string[], times: number) => (): void => {
        for (let count = 0; count < times; count += 1) for (const each of list) tokenizer.encode(each);
      };
      // What grows with the square of the length is 16 times as much.
      expect(await timesAsMuch(encode(long, 1), encode(short, 16), 3)).toBeLessThan(4);
    },
  );
});
