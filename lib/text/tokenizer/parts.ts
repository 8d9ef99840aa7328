// What a tokenizer is made of, as a tokenizer.json has it; a GGUF file and a vocab.txt are brought to the same form.

import type { BytePairOptions } from './bpe.js';
import type { DecoderJson } from './detokenizer.js';
import type { NormalizerJson } from './normalizer.js';
import type { PreTokenizerJson } from './pretokenizer.js';

export interface AddedTokenJson {
  id: number;
  content: string;
  special?: boolean;
  normalized?: boolean;
  lstrip?: boolean;
  rstrip?: boolean;
  single_word?: boolean;
}

/** The parts of a tokenizer.json that are read here; the rest goes to the library as it is. */
export interface TokenizerJson {
  model: { type?: string; [field: string]: unknown };
  added_tokens?: AddedTokenJson[];
  normalizer?: NormalizerJson | null;
  pre_tokenizer?: PreTokenizerJson | null;
  post_processor?: unknown;
  decoder?: DecoderJson | null;
  [field: string]: unknown;
}

/** tokenizer_config.json, with special_tokens_map.json underneath. */
export type TokenizerConfig = Record<string, unknown>;

export interface TokenizerParts {
  json: TokenizerJson;
  config: TokenizerConfig;
  /** Chat templates by name. */
  templates: ReadonlyMap<string, string>;
  /** Takes the place of the byte-pair model that `json` describes. */
  bytePairs?: BytePairOptions;
  /** Takes the place of `json.normalizer`. */
  normalizer?: (text: string) => string;
  /** Tokens besides `eos_token` that end a turn. */
  endIds?: readonly number[];
  /** For error messages. */
  source: string;
}

/** A special token is written as a string or as an AddedToken. */
export function tokenText(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  if (typeof token !== 'object' || token === null || !('content' in token)) return undefined;
  return typeof token.content === 'string' ? token.content : undefined;
}
