// Streams of tokens: whole characters only, pieces that add up to the text, and SentencePiece's leading space.

import { describe, expect, it } from 'vitest';
import { Detokenizer, decodingRules, TokenBytes } from '../../../lib/text/tokenizer/detokenizer.js';
import { timesAsMuch } from '../../processor-time.js';
import { dataText, describeWithData, folderTokenizer } from '../data.js';

/** The same numbers each time, in 0..1. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const sentencePiece = {
  type: 'Sequence',
  decoders: [
    { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    { type: 'Strip', content: ' ', start: 1, stop: 0 },
  ],
};

function stream(json: Parameters<typeof decodingRules>[0], tokens: string[], options = {}): string[] {
  const bytes = new TokenBytes(decodingRules(json), (id) => tokens[id], new Set(), new Set());
  const detokenizer = new Detokenizer(bytes, options);
  return [...tokens.keys()].map((id) => detokenizer.push(id)).concat(detokenizer.flush());
}

describe('Detokenizer', () => {
  it('waits for the last byte of a character', () => {
    // 😂 is F0 9F 98 82, in GPT-2's alphabet ð Ł ĺ Ĥ.
    expect(stream({ type: 'ByteLevel' }, ['a', 'ð', 'Łĺ', 'Ĥb', 'Ġ'])).toEqual(['a', '', '', '😂b', ' ', '']);
    expect(stream(sentencePiece, ['<0xF0>', '<0x9F>', '<0x98>', '<0x82>', '▁'])).toEqual(['', '', '', '😂', ' ', '']);
  });

  it('gives up a character that is never finished', () => {
    expect(stream({ type: 'ByteLevel' }, ['ð', 'Ł', 'a'])).toEqual(['', '', '\ufffda', '']);
    expect(stream({ type: 'ByteLevel' }, ['a', 'ð'])).toEqual(['a', '', '\ufffd']);
    expect(stream(sentencePiece, ['<0xFF>', 'x'])).toEqual(['\ufffd', 'x', '']);
  });

  it("takes SentencePiece's space off the beginning only", () => {
    expect(stream(sentencePiece, ['▁Once', '▁upon'])).toEqual(['Once', ' upon', '']);
    expect(stream(sentencePiece, ['▁', '▁a'])).toEqual(['', ' a', '']);
    expect(stream(sentencePiece, ['▁▁a'])).toEqual([' a', '']);
    expect(stream(sentencePiece, ['a', '▁b'])).toEqual(['a', ' b', '']);
    expect(stream(sentencePiece, ['▁Once', '▁upon'], { continues: true })).toEqual([' Once', ' upon', '']);
    expect(stream({ type: 'Metaspace' }, ['▁a', '▁b'])).toEqual(['a', ' b', '']);
    expect(stream({ type: 'Metaspace', prepend_scheme: 'never' }, ['▁a', '▁b'])).toEqual([' a', ' b', '']);
  });

  it('keeps a byte order mark', () => {
    expect(stream({ type: 'ByteLevel' }, ['ï', '»', '¿', 'a']).join('')).toBe('\ufeffa');
  });

  it('puts spaces between words where there is no decoder', () => {
    expect(stream(null, ['a', 'b', 'c'])).toEqual(['a', ' b', ' c', '']);
  });

  it('names a decoder it does not have', () => {
    expect(() => decodingRules({ type: 'CTC' })).toThrow('decoder "CTC" is not supported');
    expect(() => decodingRules({ type: 'Strip', content: ' ', start: 0, stop: 1 })).toThrow('cuts the end');
    expect(() => decodingRules({ type: 'Replace', pattern: { Regex: 'a' } })).toThrow('needs a "String" pattern');
  });
});

describeWithData('streams of real tokenizers', () => {
  for (const path of ['tokenizer-gpt2', 'tokenizer-qwen3', 'stories260K/hf', 'babyllama-105/hf']) {
    it(`${path}: pieces of random tokens add up and hold whole characters`, async () => {
      const tokenizer = await folderTokenizer(path);
      const next = random(5);
      for (let round = 0; round < 50; round += 1) {
        const ids = Array.from({ length: 60 }, () => Math.floor(next() * tokenizer.vocabSize));
        for (const skipSpecialTokens of [true, false]) {
          const detokenizer = tokenizer.stream({ skipSpecialTokens });
          const pieces = ids.map((id) => detokenizer.push(id)).concat(detokenizer.flush());
          const bytes = ids
            .filter((id) => !skipSpecialTokens || !tokenizer.specialIds.has(id))
            .map((id) => tokenizer.tokenBytes(id));
          const whole = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(bytes));
          const stripped = path.endsWith('/hf') ? whole.replace(/^ /, '') : whole;
          expect(pieces.join('')).toBe(stripped);
          expect(tokenizer.decode(ids, { skipSpecialTokens })).toBe(stripped);
          for (const piece of pieces) expect(piece).not.toMatch(/\p{Surrogate}/u);
        }
      }
    });
  }

  it('gives a text back, whatever alphabet it is in', async () => {
    const texts = [
      '👩‍👩‍👧‍👦 flags 🏴󠁧󠁢󠁥󠁮󠁧󠁿',
      'Zürich — 東京, 한국어',
      '\tcode {\n  x;\n}\r\n',
      ' leading',
      '\ufeffmark\u0085',
    ];
    const tokenizers = [await folderTokenizer('tokenizer-gpt2'), await folderTokenizer('stories260K/hf')];
    for (const tokenizer of tokenizers) {
      for (const text of texts) {
        const ids = tokenizer.encode(text);
        expect(tokenizer.decode(ids)).toBe(text);
        const detokenizer = tokenizer.stream();
        const pieces = ids.map((id) => detokenizer.push(id));
        expect(pieces.join('') + detokenizer.flush()).toBe(text);
        for (const piece of pieces) expect(piece).not.toContain('\ufffd');
      }
    }
  });

  it('costs the same per token however long the text', async () => {
    const tokenizer = await folderTokenizer('tokenizer-gpt2');
    const ids = tokenizer.encode(dataText('tinyshakespeare/input.txt').slice(0, 200_000));
    const push = (count: number) => (): void => {
      const detokenizer = tokenizer.stream();
      for (let index = 0; index < count; index += 1) detokenizer.push(ids[index % ids.length]!);
    };
    // Ten times the tokens: far from the hundred times that a cost growing with the length would be.
    expect(await timesAsMuch(push(200_000), push(20_000))).toBeLessThan(40);
  });
});
