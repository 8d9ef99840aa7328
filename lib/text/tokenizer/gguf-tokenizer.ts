// A GGUF file's tokenizer as the parts of a tokenizer.json.
//
// Five kinds are supported, by `tokenizer.ggml.model`. "gpt2": byte-level pairs by a merge list, with the word pattern that
// `tokenizer.ggml.pre` names. "llama": SentencePiece's pairs by score, with byte tokens and a space put in front. "gemma4":
// pairs of characters by a merge list, over whole lines, with byte tokens. "bert" and "t5": those of encoders.
// Token types: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.

import { unigram, wordPieces } from './gguf-encoders.js';
import {
  type Built,
  byte,
  control,
  flag,
  type Kind,
  type Metadata,
  numbers,
  scoresOf,
  templateOf,
  unknown,
  userDefined,
  type Vocabulary,
} from './gguf-kind.js';
import type { AddedTokenJson, TokenizerConfig, TokenizerParts } from './parts.js';
import { splitOn } from './pretokenizer.js';
import { Tokenizer } from './tokenizer.js';
import { begunTexts, characterPieces, separatedTexts, wholeWordFirst, wordPatterns } from './word-patterns.js';

/** Tokens that end a turn, by name: files seldom say, and some converters leave their type "normal". */
const turnEnds = new Set([
  '<|eot_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|return|>',
  '<|call|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '<|eom_id|>',
  '<|end_of_text|>',
  '<end_of_utterance>',
  '<EOT>',
  '[EOT]',
  '[EOS]',
  '<｜end▁of▁sentence｜>',
]);

/**
 * The tokenizer in the metadata of a GGUF file at `path`.
 *
 * @throws Error that names the file, and the field that is missing or the tokenizer that is not supported.
 */
export function tokenizerFromGguf(metadata: Metadata, path = 'gguf'): Tokenizer {
  try {
    return new Tokenizer(partsOf(metadata));
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

function partsOf(metadata: Metadata): TokenizerParts {
  const name = metadata.get('tokenizer.ggml.model');
  const kind = typeof name === 'string' ? kinds.get(name) : undefined;
  if (!kind) {
    const found = typeof name === 'string' ? `"${name}" is not supported` : 'is missing';
    const known = [...kinds].map(([model, { title }]) => `"${model}" (${title})`).join(', ');
    throw new Error(`tokenizer.ggml.model ${found}: expected one of ${known}`);
  }
  const tokens = tokenTexts(metadata);
  const vocab = new Map(tokens.map((token, id) => [token, id]));
  const types = numbers(metadata, 'token_type', tokens.length) ?? new Array<number>(tokens.length).fill(1);
  const endIds = endOfTurn(metadata, tokens);
  const added = addedTokens(metadata, tokens, types, endIds);
  const special = specialTokens(metadata, tokens, kind);
  const presets = kind.adds(metadata);
  const adds = {
    bos: flag(metadata, 'add_bos_token', presets.bos ?? false),
    eos: flag(metadata, 'add_eos_token', presets.eos ?? false),
    separator: flag(metadata, 'add_sep_token', presets.separator ?? false),
  };
  const config: TokenizerConfig = {
    bos_token: special.bos,
    eos_token: special.eos,
    pad_token: tokens[idAt(metadata, 'padding', tokens.length) ?? -1],
    unk_token: special.unknown,
    add_bos_token: adds.bos,
    add_eos_token: adds.eos,
  };
  const built = kind.build({ metadata, tokens, vocab, types, added, special, adds });
  return { config, endIds, templates: templatesOf(metadata), source: 'tokenizer', ...built };
}

const preOf = (metadata: Metadata): unknown => metadata.get('tokenizer.ggml.pre') ?? 'default';

const kinds: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  [
    'gpt2',
    {
      title: 'byte-level pairs',
      presets: {},
      adds(metadata) {
        const pre = String(preOf(metadata));
        return { bos: begunTexts.has(pre), separator: separatedTexts.has(pre) };
      },
      build: bytePairs,
    },
  ],
  [
    'llama',
    {
      title: 'SentencePiece',
      presets: { bos: 1, eos: 2, unknown: 0 },
      adds: () => ({ bos: true }),
      build: sentencePiece,
    },
  ],
  ['gemma4', { title: "Gemma 4's pairs", presets: {}, adds: () => ({}), build: characterPairs }],
  [
    'bert',
    {
      title: 'WordPiece',
      presets: { bos: 101, unknown: 100, separator: 102 },
      adds: () => ({ bos: true, separator: true }),
      build: wordPieces,
    },
  ],
  [
    't5',
    {
      title: 'Unigram',
      presets: { eos: 1, unknown: 2 },
      // Texts of T5 begin without a token, those of XLM-RoBERTa with one; the latter's pairs have two between.
      adds: (metadata) => ({ eos: true, separator: flag(metadata, 'add_bos_token', false) }),
      build: unigram,
    },
  ],
]);

function bytePairs(vocabulary: Vocabulary): Built {
  const { metadata, vocab, added, adds } = vocabulary;
  const pre = preOf(metadata);
  if (characterPieces.lines.has(String(pre))) return characterPairs(vocabulary);
  if (characterPieces.words.has(String(pre))) return wordPairs(vocabulary);
  const patterns = typeof pre === 'string' ? wordPatterns.get(pre) : undefined;
  if (!patterns) {
    const names = [...wordPatterns.keys(), ...characterPieces.lines, ...characterPieces.words].join(', ');
    throw new Error(`tokenizer.ggml.pre "${String(pre)}" is not supported: expected one of ${names}`);
  }
  const merges = mergesOf(metadata);
  const json = {
    model: { type: 'BPE' },
    added_tokens: added,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [...patterns.map(splitOn), { type: 'ByteLevel', add_prefix_space: false, use_regex: false }],
    },
    post_processor: adds.separator ? templateOf(vocabulary) : null,
    decoder: { type: 'ByteLevel' },
  };
  return { json, bytePairs: { vocab, merges, ignoreMerges: wholeWordFirst.has(String(pre)) } };
}

/** Pairs of characters within words, whose spaces are left out. */
function wordPairs(vocabulary: Vocabulary): Built {
  const { metadata, vocab, added, adds, special } = vocabulary;
  const json = {
    model: { type: 'BPE' },
    added_tokens: added,
    normalizer: flag(metadata, 'normalizer.lowercase', false) ? { type: 'Lowercase' } : null,
    pre_tokenizer: { type: 'WhitespaceSplit' },
    post_processor: adds.separator ? templateOf(vocabulary) : null,
    decoder: { type: 'Fuse' },
  };
  return { json, bytePairs: { vocab, merges: mergesOf(metadata), unkToken: special.unknown } };
}

function mergesOf(metadata: Metadata): string[] {
  const merges = metadata.get('tokenizer.ggml.merges');
  if (!isStrings(merges)) throw new Error('tokenizer.ggml.merges is missing: expected a list of strings');
  return merges;
}

const spacesWritten = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
const spacesRead = [
  { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
  { type: 'ByteFallback' },
  { type: 'Fuse' },
];

function characterPairs({ metadata, vocab, added }: Vocabulary): Built {
  const json = {
    model: { type: 'BPE' },
    added_tokens: added,
    normalizer: spacesWritten,
    // No token has a line's end beside other characters, and words of whole texts would be remembered for nothing.
    pre_tokenizer: splitOn(String.raw`[^\n]+|\n+`),
    decoder: { type: 'Sequence', decoders: spacesRead },
  };
  const unkToken = vocab.has('<unk>') ? '<unk>' : undefined;
  return { json, bytePairs: { vocab, merges: mergesOf(metadata), byteFallback: true, fuseUnk: true, unkToken } };
}

function sentencePiece(vocabulary: Vocabulary): Built {
  const { metadata, vocab, types, added, tokens, special } = vocabulary;
  const scores = scoresOf(vocabulary);
  const prefix = flag(metadata, 'add_space_prefix', true);
  const json = {
    model: { type: 'BPE' },
    added_tokens: added,
    normalizer: {
      type: 'Sequence',
      normalizers: [...(prefix ? [{ type: 'Prepend', prepend: '▁' }] : []), spacesWritten],
    },
    decoder: {
      type: 'Sequence',
      decoders: [...spacesRead, ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [])],
    },
  };
  const unjoinable = new Set(tokens.keys());
  for (const id of tokens.keys()) if (types[id] !== byte && types[id] !== control) unjoinable.delete(id);
  const unkToken = special.unknown;
  return { json, bytePairs: { vocab, scores, unjoinable, byteFallback: true, fuseUnk: true, unkToken } };
}

function tokenTexts(metadata: Metadata): string[] {
  const tokens = metadata.get('tokenizer.ggml.tokens');
  if (!isStrings(tokens)) throw new Error('tokenizer.ggml.tokens is missing: expected a list of strings');
  return tokens.map((token, id) => (token === '' ? `[EMPTY_${id}]` : token));
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string');
}

function idAt(metadata: Metadata, name: string, count: number): number | undefined {
  const id = metadata.get(`tokenizer.ggml.${name}_token_id`);
  return typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < count ? id : undefined;
}

function endOfTurn(metadata: Metadata, tokens: readonly string[]): number[] {
  const named = ['eos', 'eot', 'eom'].map((name) => idAt(metadata, name, tokens.length));
  const ids = new Set(named.filter((id) => id !== undefined));
  tokens.forEach((token, id) => {
    if (turnEnds.has(token)) ids.add(id);
  });
  // gpt-oss closes each of its messages with <|end|>, and its turns with <|return|> or <|call|>.
  const [end, ...turn] = ['<|end|>', '<|return|>', '<|call|>'].map((token) => tokens.indexOf(token));
  if (turn.every((id) => id >= 0)) ids.delete(end!);
  return [...ids];
}

function addedTokens(
  metadata: Metadata,
  tokens: readonly string[],
  types: ArrayLike<number>,
  endIds: readonly number[],
): AddedTokenJson[] {
  const ends = new Set(endIds);
  // Phi-3's control tokens swallow the white space behind them, which no field of the file says.
  const phi3 = /phi-?3/i.test(String(metadata.get('general.name') ?? ''));
  const keepsSpace = new Set(['<unk>', '<s>', '<|endoftext|>']);
  const added: AddedTokenJson[] = [];
  tokens.forEach((content, id) => {
    const type = types[id];
    const special = type === control || type === unknown || ends.has(id);
    if (!special && type !== userDefined) return;
    added.push({ id, content, special, normalized: false, rstrip: phi3 && !keepsSpace.has(content) });
  });
  return added;
}

function specialTokens(metadata: Metadata, tokens: readonly string[], { presets }: Kind): Vocabulary['special'] {
  const token = (preset: number | undefined, ...names: string[]): string | undefined => {
    const ids = names.map((name) => idAt(metadata, name, tokens.length));
    return tokens[ids.find((id) => id !== undefined) ?? preset ?? -1];
  };
  return {
    bos: token(presets.bos, 'bos', 'cls'),
    eos: token(presets.eos, 'eos'),
    unknown: token(presets.unknown, 'unknown'),
    // llama.cpp's key is misspelled.
    separator: token(presets.separator, 'seperator', 'separator'),
  };
}

/** `tokenizer.chat_template`, and `tokenizer.chat_template.NAME` for others. */
function templatesOf(metadata: Metadata): Map<string, string> {
  const templates = new Map<string, string>();
  for (const [key, value] of metadata) {
    if (typeof value !== 'string' || !key.startsWith('tokenizer.chat_template')) continue;
    templates.set(key.slice('tokenizer.chat_template.'.length) || 'default', value);
  }
  return templates;
}
