// The Unigram model of XLM-RoBERTa's and T5's tokenizers: of all ways to spell a word with tokens, the one whose scores
// (logarithms of probabilities) have the largest sum.
//
// Viterbi from left to right: best[end] = max over tokens [start, end) of best[start] + score; of equal sums the first
// found. A character that no single token spells may be an unknown token, ten below the worst score; unknown neighbours are
// one token. A word costs its length times the length of the longest token.

import { byteToken } from './bpe.js';
import { Trie } from './trie.js';
import type { WordModel } from './word-model.js';

export interface UnigramOptions {
  /** Tokens and their scores, in the order of the ids. */
  vocab: readonly (readonly [token: string, score: number])[];
  unkId: number | undefined;
  byteFallback: boolean;
  /** Control tokens, which no text is spelled with. */
  excluded: ReadonlySet<number>;
}

const unknownPenalty = 10;

export class UnigramModel implements WordModel {
  readonly unkToken: string | undefined;
  readonly tokens: (string | undefined)[];
  private readonly trie = new Trie();
  private readonly scores: Float64Array;
  private readonly unknownScore: number;
  private readonly unkId: number;
  /** Tokens of the 256 bytes; undefined where a character without a token is unknown. */
  private readonly byteTokens: readonly string[] | undefined;

  constructor({ vocab, unkId, byteFallback, excluded }: UnigramOptions) {
    this.tokens = vocab.map(([token]) => token);
    this.scores = Float64Array.from(vocab, ([, score]) => score);
    this.unkToken = unkId === undefined ? undefined : this.tokens[unkId];
    this.unkId = unkId ?? -1;
    this.unknownScore =
      this.scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY) - unknownPenalty;
    const known = new Set(this.tokens);
    const bytes = Array.from({ length: 256 }, (_, byte) => byteToken(byte));
    this.byteTokens = byteFallback && bytes.every((token) => known.has(token)) ? bytes : undefined;
    vocab.forEach(([token], id) => {
      if (token !== '' && id !== unkId && !excluded.has(id)) this.trie.add(token, id);
    });
  }

  encode(words: readonly string[]): string[] {
    const output: string[] = [];
    for (const word of words) for (const token of this.spelled(word)) output.push(token);
    return output;
  }

  private spelled(word: string): string[] {
    const { trie, scores } = this;
    const count = word.length;
    const best = new Float64Array(count + 1).fill(Number.NEGATIVE_INFINITY);
    const starts = new Int32Array(count + 1).fill(-1);
    const ids = new Int32Array(count + 1).fill(-1);
    best[0] = 0;
    const offer = (start: number, end: number, id: number, score: number): void => {
      const sum = best[start]! + score;
      if (starts[end] !== -1 && sum <= best[end]!) return;
      best[end] = sum;
      starts[end] = start;
      ids[end] = id;
    };
    for (let start = 0; start < count; ) {
      const next = start + (isPair(word, start) ? 2 : 1);
      let single = false;
      let node = 0;
      for (let end = start + 1; end <= count; end += 1) {
        node = trie.step(node, word.charCodeAt(end - 1));
        if (node < 0) break;
        const id = trie.value(node);
        if (id < 0) continue;
        offer(start, end, id, scores[id]!);
        single ||= end === next;
      }
      if (!single) offer(start, next, this.unkId, this.unknownScore);
      start = next;
    }
    return this.walkedBack(word, starts, ids);
  }

  private walkedBack(word: string, starts: Int32Array, ids: Int32Array): string[] {
    const output: string[] = [];
    for (let end = word.length; end > 0; ) {
      const id = ids[end]!;
      const last = end;
      do end = starts[end]!;
      while (id === this.unkId && end > 0 && ids[end] === id);
      if (id !== this.unkId) output.push(this.tokens[id]!);
      else if (this.byteTokens) output.push(...this.bytesOf(word.slice(end, last)).reverse());
      else if (this.unkToken !== undefined) output.push(this.unkToken);
    }
    return output.reverse();
  }

  private bytesOf(text: string): string[] {
    return Array.from(new TextEncoder().encode(text), (byte) => this.byteTokens![byte]!);
  }
}

function isPair(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  const next = text.charCodeAt(at + 1);
  return unit >= 0xd800 && unit < 0xdc00 && next >= 0xdc00 && next < 0xe000;
}
