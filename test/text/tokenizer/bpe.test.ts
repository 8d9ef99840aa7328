// Byte-pair joins against the rule said plainly: of all neighbours, the best rank first, the leftmost of equals.

import { describe, expect, it } from 'vitest';
import { BytePairModel } from '../../../lib/text/tokenizer/bpe.js';

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Joins one pair at a time; a rank of undefined joins never. */
function plainly(word: string, rank: (left: string, right: string) => number | undefined): string[] {
  const tokens = Array.from(word);
  for (;;) {
    let best: { at: number; rank: number } | undefined;
    for (let at = 0; at + 1 < tokens.length; at += 1) {
      const found = rank(tokens[at]!, tokens[at + 1]!);
      if (found !== undefined && (best === undefined || found < best.rank)) best = { at, rank: found };
    }
    if (!best) return tokens;
    tokens.splice(best.at, 2, tokens[best.at]! + tokens[best.at + 1]!);
  }
}

describe('BytePairModel', () => {
  const next = random(11);
  const letters = [...'abc😂'];
  const word = (length: number): string => Array.from({ length }, () => letters[next(4)]!).join('');

  it('joins by a merge list', () => {
    for (let round = 0; round < 100; round += 1) {
      const tokens = [...letters];
      const merges: [string, string][] = [];
      for (let count = 0; count < 12; count += 1) {
        const pair: [string, string] = [tokens[next(tokens.length)]!, tokens[next(tokens.length)]!];
        merges.push(pair);
        if (!tokens.includes(pair.join(''))) tokens.push(pair.join(''));
      }
      const vocab = new Map(tokens.map((token, id) => [token, id]));
      const model = new BytePairModel({ vocab, merges });
      const rank = (left: string, right: string): number | undefined => {
        const found = merges.findIndex(([a, b]) => a === left && b === right);
        return found < 0 ? undefined : found;
      };
      for (let sample = 0; sample < 20; sample += 1) {
        const text = word(1 + next(100));
        expect(model.encode([text])).toEqual(plainly(text, rank));
      }
    }
  });

  it('joins by scores, equal ones too, and characters that are no tokens', () => {
    for (let round = 0; round < 100; round += 1) {
      const tokens = ['a', 'b', ...new Set(Array.from({ length: 14 }, () => word(2 + next(3))))];
      const scores = tokens.map(() => -next(5) / 3);
      const vocab = new Map(tokens.map((token, id) => [token, id]));
      const model = new BytePairModel({ vocab, scores, unkToken: '?' });
      const rank = (left: string, right: string): number | undefined => {
        const id = vocab.get(left + right);
        return id === undefined ? undefined : -scores[id]!;
      };
      for (let sample = 0; sample < 20; sample += 1) {
        const text = word(1 + next(100));
        const expected = plainly(text, rank).map((token) => (vocab.has(token) ? token : '?'));
        expect(model.encode([text])).toEqual(expected);
      }
    }
  });

  it('writes unknown characters as bytes, then as the unknown token, then not at all', () => {
    const vocab = new Map(['a', '<0xC3>', '<0xA9>', '?'].map((token, id) => [token, id]));
    const encode = (options: object): string[] =>
      new BytePairModel({ vocab, merges: [], ...options }).encode(['aéüüa']);
    expect(encode({ byteFallback: true, unkToken: '?', fuseUnk: true })).toEqual(['a', '<0xC3>', '<0xA9>', '?', 'a']);
    expect(encode({ unkToken: '?' })).toEqual(['a', '?', '?', '?', 'a']);
    expect(encode({})).toEqual(['a', 'a']);
  });

  it('takes whole words first only where told to', () => {
    const vocab = new Map(['a', 'b', 'c', 'ab', 'abc'].map((token, id) => [token, id]));
    const merges = ['a b'];
    expect(new BytePairModel({ vocab, merges }).encode(['abc', 'abc'])).toEqual(['ab', 'c', 'ab', 'c']);
    expect(new BytePairModel({ vocab, merges, ignoreMerges: true }).encode(['abc'])).toEqual(['abc']);
  });

  it('names a merge that is out of the vocabulary', () => {
    const vocab = new Map([['a', 0]]);
    expect(() => new BytePairModel({ vocab, merges: ['a b'] })).toThrow('merge 0 joins "a" and "b"');
  });

  it('takes a word of a million characters', () => {
    const vocab = new Map(['a', 'aa', 'aaaa'].map((token, id) => [token, id]));
    const model = new BytePairModel({ vocab, merges: ['a a', 'aa aa'] });
    expect(model.encode(['a'.repeat(1_000_001)])).toHaveLength(250_001);
  });
});
