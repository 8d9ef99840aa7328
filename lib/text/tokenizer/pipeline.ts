// A text's way to tokens: Hugging Face's JavaScript library finds added tokens and cuts into words; the normalizer before
// and the model behind are ours, as the library's are not exact, or slow.

import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { BytePairModel, type BytePairOptions } from './bpe.js';
import { exactNormalizer, type Normalizer } from './normalizer.js';
import type { AddedTokenJson, TokenizerJson, TokenizerParts } from './parts.js';
import { exactPreTokenizer } from './pretokenizer.js';
import { UnigramModel } from './unigram.js';
import type { WordModel } from './word-model.js';
import { WordPieceModel } from './word-piece.js';

/** What is used of the library, whose declarations don't resolve under Node's rules. */
export interface Pipeline {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  normalizer: Normalizer | null;
  model: PipelineModel;
}

interface PipelineModel {
  (words: string[]): string[];
  tokens_to_ids: Map<string, number>;
  vocab: (string | undefined)[];
  unk_token: string | undefined;
  unk_token_id: number | undefined;
}

/** Token text to id, without added tokens. */
export function vocabularyOf(
  model: TokenizerJson['model'],
  bytePairs: BytePairOptions | undefined,
): Map<string, number> {
  if (bytePairs) return bytePairs.vocab;
  // Unigram lists its tokens with their scores, in the order of the ids.
  if (Array.isArray(model.vocab)) {
    return new Map((model.vocab as [string, number][]).map(([token], id) => [token, id]));
  }
  return new Map(Object.entries((model.vocab ?? {}) as Record<string, number>));
}

/** @throws Error about the part that is broken or not supported. */
export function pipelineOf(
  parts: TokenizerParts,
  added: readonly AddedTokenJson[],
  vocab: Map<string, number>,
): Pipeline {
  const { json, config, bytePairs } = parts;
  const model = modelOf(json.model, vocab, added, bytePairs);
  const normalizer = parts.normalizer ?? (json.normalizer ? exactNormalizer(json.normalizer) : undefined);
  const pipeline = new LibraryTokenizer(
    {
      ...json,
      added_tokens: normalizer ? added.map((token) => searched(token, normalizer)) : added,
      // Built from an empty model, as its own tables take longer to make than all the rest.
      model: model ? { type: 'BPE', vocab: {}, merges: [] } : json.model,
      // Added tokens are searched in rewritten text where there is any rewriting.
      normalizer: normalizer ? { type: 'Sequence', normalizers: [] } : null,
      pre_tokenizer: json.pre_tokenizer ? exactPreTokenizer(json.pre_tokenizer) : null,
      post_processor: null,
      decoder: null,
    },
    config,
  ) as unknown as Pipeline;
  if (normalizer) pipeline.normalizer = normalizer;
  const { tokens_to_ids: ids, vocab: tokens } = model ? { tokens_to_ids: vocab, vocab: model.tokens } : pipeline.model;
  for (const { id, content } of added) {
    ids.set(content, id);
    tokens[id] = content;
  }
  if (!model) return pipeline;
  pipeline.model = Object.assign((words: string[]) => model.encode(words), {
    tokens_to_ids: vocab,
    vocab: model.tokens,
    unk_token: model.unkToken,
    unk_token_id: model.unkToken === undefined ? undefined : vocab.get(model.unkToken),
  });
  return pipeline;
}

/** Some added tokens are searched in rewritten text, as they are rewritten themselves. */
function searched(token: AddedTokenJson, normalizer: Normalizer): AddedTokenJson {
  return (token.normalized ?? !token.special) ? { ...token, content: normalizer(token.content) } : token;
}

/** Undefined for the kinds that the library has: whole words, and the affixes of older byte-pair models. */
function modelOf(
  json: TokenizerJson['model'],
  vocab: Map<string, number>,
  added: readonly AddedTokenJson[],
  bytePairs: BytePairOptions | undefined,
): WordModel | undefined {
  const options = bytePairs ?? bytePairsOf(json, vocab);
  if (options) return new BytePairModel(options);
  const { type } = json;
  if (type === 'Unigram') {
    return new UnigramModel({
      vocab: (json.vocab ?? []) as [string, number][],
      unkId: typeof json.unk_id === 'number' ? json.unk_id : undefined,
      byteFallback: json.byte_fallback === true,
      excluded: new Set(added.filter(({ special }) => special).map(({ id }) => id)),
    });
  }
  // Files of the format's first versions have no type.
  if (type !== 'WordPiece' && !(type === undefined && json.max_input_chars_per_word !== undefined)) return undefined;
  const unkToken = String(json.unk_token ?? '[UNK]');
  if (!vocab.has(unkToken)) throw new Error(`'model.unk_token' must be a token of the vocabulary, got "${unkToken}"`);
  return new WordPieceModel({
    vocab,
    unkToken,
    prefix: String(json.continuing_subword_prefix ?? '##'),
    mostCharacters: Number(json.max_input_chars_per_word ?? 100),
  });
}

function bytePairsOf(model: TokenizerJson['model'], vocab: Map<string, number>): BytePairOptions | undefined {
  const { type, merges, continuing_subword_prefix: prefix, end_of_word_suffix: suffix } = model;
  if ((type !== 'BPE' && type !== undefined) || !Array.isArray(merges) || prefix || suffix) return undefined;
  return {
    vocab,
    merges: merges as NonNullable<BytePairOptions['merges']>,
    unkToken: typeof model.unk_token === 'string' ? model.unk_token : undefined,
    fuseUnk: model.fuse_unk === true,
    byteFallback: model.byte_fallback === true,
    ignoreMerges: model.ignore_merges === true,
  };
}
