// WordPiece, the model of BERT's tokenizers: the longest token a word begins with, then the longest continuation, which the
// vocabulary has behind a prefix such as "##". A word with a rest that no token covers is one unknown token.

import { Trie } from './trie.js';
import type { WordModel } from './word-model.js';

export interface WordPieceOptions {
  /** Token text to id. */
  vocab: ReadonlyMap<string, number>;
  unkToken: string;
  /** In front of tokens that go on with a word. */
  prefix: string;
  /** In code points: a longer word is unknown. */
  mostCharacters: number;
}

export class WordPieceModel implements WordModel {
  readonly unkToken: string;
  readonly tokens: (string | undefined)[] = [];
  private readonly trie = new Trie();
  /** Where the walk of a continuation begins; -1 where the vocabulary has none. */
  private readonly inside: number;
  private readonly mostCharacters: number;

  constructor({ vocab, unkToken, prefix, mostCharacters }: WordPieceOptions) {
    this.unkToken = unkToken;
    this.mostCharacters = mostCharacters;
    for (const [token, id] of vocab) {
      this.tokens[id] = token;
      this.trie.add(token, id);
    }
    let inside = 0;
    for (let at = 0; at < prefix.length && inside >= 0; at += 1) inside = this.trie.step(inside, prefix.charCodeAt(at));
    this.inside = inside;
  }

  encode(words: readonly string[]): string[] {
    const output: string[] = [];
    for (const word of words) {
      const pieces = this.pieces(word);
      if (pieces) for (const id of pieces) output.push(this.tokens[id]!);
      else output.push(this.unkToken);
    }
    return output;
  }

  private pieces(word: string): number[] | undefined {
    if (word.length > this.mostCharacters && countPoints(word) > this.mostCharacters) return undefined;
    const { trie } = this;
    const ids: number[] = [];
    for (let from = 0; from < word.length; ) {
      let [best, end] = [-1, from];
      let node = from === 0 ? 0 : this.inside;
      for (let at = from; node >= 0 && at < word.length; at += 1) {
        node = trie.step(node, word.charCodeAt(at));
        const id = node < 0 ? -1 : trie.value(node);
        if (id >= 0) [best, end] = [id, at + 1];
      }
      if (best < 0) return undefined;
      ids.push(best);
      from = end;
    }
    return ids;
  }
}

function countPoints(word: string): number {
  let count = 0;
  for (const _ of word) count += 1;
  return count;
}
