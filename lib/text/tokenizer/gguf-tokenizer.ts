// A GGUF file's tokenizer as the parts of a tokenizer.json.
//
// Three kinds are supported, by `tokenizer.ggml.model`. "gpt2": byte-level pairs by a merge list, with the word pattern that
// `tokenizer.ggml.pre` names. "llama": SentencePiece's pairs by score, with byte tokens and a space put in front. "gemma4":
// pairs of characters by a merge list, over whole lines, with byte tokens.
// Token types: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.

import { splitOn } from './pretokenizer.js';
import { type AddedTokenJson, Tokenizer, type TokenizerConfig, type TokenizerParts } from './tokenizer.js';
import { begunTexts, wholeWordFirst, wordPatterns } from './word-patterns.js';

type Metadata = ReadonlyMap<string, unknown>;

const unknown = 2;
const control = 3;
const userDefined = 4;
const byte = 6;

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
  const config = configOf(metadata, tokens, kind);
  const built = kind.build({ metadata, tokens, vocab, types, added });
  return { config, endIds, templates: templatesOf(metadata), source: 'tokenizer', ...built };
}

interface Vocabulary {
  metadata: Metadata;
  tokens: readonly string[];
  vocab: Map<string, number>;
  types: ArrayLike<number>;
  added: AddedTokenJson[];
}

/** A value of `tokenizer.ggml.model`. */
interface Kind {
  title: string;
  /** Ids where the file does not say. */
  presets: { bos?: number; eos?: number; unknown?: number };
  /** Whether a text begins with a token where the file does not say. */
  begins(metadata: Metadata): boolean;
  build(vocabulary: Vocabulary): Built;
}

const kinds: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  [
    'gpt2',
    {
      title: 'byte-level pairs',
      presets: {},
      begins: (metadata) => begunTexts.has(String(metadata.get('tokenizer.ggml.pre'))),
      build: byteLevel,
    },
  ],
  [
    'llama',
    { title: 'SentencePiece', presets: { bos: 1, eos: 2, unknown: 0 }, begins: () => true, build: sentencePiece },
  ],
  ['gemma4', { title: "Gemma 4's pairs", presets: {}, begins: () => false, build: characterPairs }],
]);

type Built = Pick<TokenizerParts, 'json' | 'bytePairs'>;

function byteLevel({ metadata, vocab, added }: Vocabulary): Built {
  const pre = metadata.get('tokenizer.ggml.pre') ?? 'default';
  const patterns = typeof pre === 'string' ? wordPatterns.get(pre) : undefined;
  if (!patterns) {
    const names = [...wordPatterns.keys()].join(', ');
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
    decoder: { type: 'ByteLevel' },
  };
  return { json, bytePairs: { vocab, merges, ignoreMerges: wholeWordFirst.has(String(pre)) } };
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

function sentencePiece({ metadata, vocab, types, added, tokens }: Vocabulary): Built {
  const scores = numbers(metadata, 'scores', tokens.length);
  if (!scores) throw new Error('tokenizer.ggml.scores is missing: expected a score for each token');
  const prefix = metadata.get('tokenizer.ggml.add_space_prefix') !== false;
  const unkId = metadata.get('tokenizer.ggml.unknown_token_id') ?? 0;
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
  const unkToken = tokens[Number(unkId)];
  return { json, bytePairs: { vocab, scores, unjoinable, byteFallback: true, fuseUnk: true, unkToken } };
}

function tokenTexts(metadata: Metadata): string[] {
  const tokens = metadata.get('tokenizer.ggml.tokens');
  if (!isStrings(tokens)) throw new Error('tokenizer.ggml.tokens is missing: expected a list of strings');
  return tokens.map((token, id) => (token === '' ? `[EMPTY_${id}]` : token));
}

function numbers(metadata: Metadata, field: string, count: number): ArrayLike<number> | undefined {
  const values = metadata.get(`tokenizer.ggml.${field}`);
  if (values === undefined) return undefined;
  const list = values as ArrayLike<number>;
  if (typeof values !== 'object' || typeof list?.length !== 'number' || list.length < count) {
    throw new Error(`tokenizer.ggml.${field} has ${list?.length ?? 'no'} entries: expected ${count}`);
  }
  return list;
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

function configOf(metadata: Metadata, tokens: readonly string[], { presets, begins }: Kind): TokenizerConfig {
  const text = (name: string, preset?: number): string | undefined =>
    tokens[idAt(metadata, name, tokens.length) ?? preset ?? -1];
  const flag = (name: string, preset: boolean): boolean => {
    const value = metadata.get(`tokenizer.ggml.add_${name}_token`);
    return typeof value === 'boolean' ? value : preset;
  };
  return {
    bos_token: text('bos', presets.bos),
    eos_token: text('eos', presets.eos),
    pad_token: text('padding'),
    unk_token: text('unknown', presets.unknown),
    add_bos_token: flag('bos', begins(metadata)),
    add_eos_token: flag('eos', false),
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
