// The tokenizers of encoders' GGUF files: BERT's WordPiece, and Unigram with SentencePiece's rewriting of a text.

import { Charsmap } from './charsmap.js';
import { type Built, flag, scoresOf, templateOf, userDefined, type Vocabulary } from './gguf-kind.js';
import type { Normalizer } from './normalizer.js';

/** BERT's spelling: files have "▁" in front of tokens that begin a word, and "##" not in front of others. */
function spelled(token: string): string {
  if (token.startsWith('[') && token.endsWith(']')) return token;
  return token.startsWith('▁') ? token.slice(1) : `##${token}`;
}

/** `tokenizer.ggml.model` "bert". */
export function wordPieces({ metadata, tokens, added, special }: Vocabulary): Built {
  const [cls, sep, unk] = (['bos', 'separator', 'unknown'] as const).map((name) => {
    const token = special[name];
    if (token !== undefined) return spelled(token);
    throw new Error(`tokenizer.ggml.tokens has ${tokens.length} entries: expected one for the ${name} token's id`);
  });
  const lowercase = flag(metadata, 'normalizer.lowercase', true);
  const json = {
    model: {
      type: 'WordPiece',
      vocab: Object.fromEntries(tokens.map((token, id) => [spelled(token), id])),
      unk_token: unk,
    },
    added_tokens: added.map((token) => ({ ...token, content: spelled(token.content) })),
    normalizer: {
      type: 'BertNormalizer',
      lowercase,
      strip_accents: flag(metadata, 'normalizer.strip_accents', lowercase),
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', cls: [cls], sep: [sep] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  };
  return { json };
}

/** `tokenizer.ggml.model` "t5": the tokens with the best scores, of a text that SentencePiece's rules rewrote. */
export function unigram(vocabulary: Vocabulary): Built {
  const { metadata, tokens, types, added, special, vocab } = vocabulary;
  const scores = scoresOf(vocabulary);
  const prefix = flag(metadata, 'add_space_prefix', true);
  const json = {
    model: {
      type: 'Unigram',
      vocab: tokens.map((token, id) => [token, types[id] === userDefined ? 0 : scores[id]!]),
      unk_id: special.unknown === undefined ? undefined : vocab.get(special.unknown),
    },
    added_tokens: added,
    post_processor: templateOf(vocabulary),
    decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: prefix ? 'always' : 'never' },
  };
  const merges = flag(metadata, 'remove_extra_whitespaces', false);
  return { json, normalizer: sentencePieceNormalizer(charsmapOf(metadata.get(charsmapKey)), prefix, merges) };
}

const charsmapKey = 'tokenizer.ggml.precompiled_charsmap';

function charsmapOf(value: unknown): Charsmap | undefined {
  if (value === undefined) return undefined;
  const list = value as ArrayLike<number>;
  if (typeof value !== 'object' || typeof list?.length !== 'number')
    throw new Error(`${charsmapKey} is no list of bytes`);
  // Converters write it as signed bytes or as unsigned ones.
  return list.length === 0 ? undefined : new Charsmap(Uint8Array.from(list));
}

/** Spaces become "▁", with `prefix` one stands in front, and where `merges` none beside others or at either end. */
function sentencePieceNormalizer(map: Charsmap | undefined, prefix: boolean, merges: boolean): Normalizer {
  return (text) => {
    const mapped = map ? map.byLongest(text) : text;
    const words = mapped.split(' ');
    const written = (merges ? words.filter((word) => word !== '') : words).join('▁');
    let end = written.length;
    while (merges && written[end - 1] === '▁') end -= 1;
    return end > 0 && prefix ? `▁${written.slice(0, end)}` : written.slice(0, end);
  };
}
