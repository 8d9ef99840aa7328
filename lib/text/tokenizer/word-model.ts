// What the models inside a tokenizer have in common: words to tokens, after normalizing and cutting.

export interface WordModel {
  readonly unkToken: string | undefined;
  /** Token text of each id. */
  readonly tokens: (string | undefined)[];
  /** The tokens of words that were cut already. */
  encode(words: readonly string[]): string[];
}
