// The families' word patterns against the cuts of the Rust library by the expressions of their tokenizer.json (words.py).
import { readFileSync } from 'node:fs';
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { splitOn } from '../../../lib/text/tokenizer/pretokenizer.js';
import { wordPatterns } from '../../../lib/text/tokenizer/word-patterns.js';

const { texts, words } = JSON.parse(readFileSync(new URL('words.json', import.meta.url), 'utf8')) as {
  texts: string[];
  words: Record<string, string[][]>;
};

/** The words that reach the model. */
function cut(patterns: readonly string[], text: string): string[] {
  const found: string[] = [];
  const library = new LibraryTokenizer(
    {
      model: { type: 'BPE', vocab: {}, merges: [] },
      normalizer: null,
      pre_tokenizer: { type: 'Sequence', pretokenizers: patterns.map(splitOn) },
      post_processor: null,
      decoder: null,
      added_tokens: [],
    },
    {},
  ) as unknown as { model: unknown; encode(text: string): unknown };
  const model = (list: string[]): string[] => {
    found.push(...list);
    return [];
  };
  library.model = Object.assign(model, { tokens_to_ids: new Map(), vocab: [], unk_token: undefined });
  library.encode(text);
  return found;
}

describe('word patterns', () => {
  it.each(Object.keys(words))('%s cuts as its tokenizer.json does', (name) => {
    texts.forEach((text, i) => expect(cut(wordPatterns.get(name)!, text), `text ${i}`).toEqual(words[name]![i]));
  });

  it("has recorded cuts for every pattern but those whose expressions are llama.cpp's own", () => {
    const recorded = new Set(Object.keys(words).map((name) => wordPatterns.get(name)!.join('\n')));
    const others = [...wordPatterns].filter(([, patterns]) => !recorded.has(patterns.join('\n'))).map(([name]) => name);
    expect(others).toEqual(['default', 'falcon']);
  });
});
