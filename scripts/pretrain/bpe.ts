// A byte-level BPE trainer: counts words, merges the most frequent pair until the vocabulary is full, and writes the
// result as a Hugging Face `tokenizer.json`.
//
// Words are split with GPT-2's pattern and spelled in GPT-2's byte alphabet, so that `ByteLevel` of any tokenizers
// library reads the file. Equal counts are decided by spelling: the same text gives the same file.

/** GPT-2's split, the one that `ByteLevel` with `use_regex` applies. */
const pattern = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** GPT-2's alphabet: each byte as one visible character, printable ones as themselves. */
export function byteAlphabet(): string[] {
  const visible = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(visible(byte) ? byte : next++));
}

interface Word {
  symbols: string[];
  count: number;
}

export interface Trained {
  /** Tokens in the order of their ids: the special ones, the 256 bytes, the merged ones. */
  vocab: string[];
  merges: [string, string][];
}

/**
 * Learns a vocabulary of exactly `size` tokens from `texts`, which hold no special tokens.
 *
 * @throws RangeError if the size leaves no room for the bytes, or the texts do not yield that many merges.
 */
export function trainBpe(texts: Iterable<string>, size: number, special: readonly string[]): Trained {
  const alphabet = byteAlphabet();
  if (size < alphabet.length + special.length) {
    throw new RangeError(
      `trainBpe: a vocabulary of ${size} has no room for 256 bytes and ${special.length} special tokens`,
    );
  }
  const words = count(texts, alphabet);
  const vocab = [...special, ...alphabet];
  const known = new Set(vocab);
  const merges: [string, string][] = [];
  while (vocab.length < size) {
    const best = commonest(words);
    if (best === undefined) throw new RangeError(`trainBpe: the texts yield only ${vocab.length} of ${size} tokens`);
    const [left, right] = best;
    for (const word of words) merge(word.symbols, left, right);
    merges.push(best);
    // Two ways to build the same token are two merges, but one entry.
    if (!known.has(left + right)) vocab.push(left + right);
    known.add(left + right);
  }
  return { vocab, merges };
}

function count(texts: Iterable<string>, alphabet: readonly string[]): Word[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(pattern)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const encoder = new TextEncoder();
  return [...counts].map(([word, times]) => ({
    symbols: Array.from(encoder.encode(word), (byte) => alphabet[byte] as string),
    count: times,
  }));
}

/** The most frequent pair; `\u0000` stands between its halves in the map, no byte is spelled so. */
function commonest(words: readonly Word[]): [string, string] | undefined {
  const pairs = new Map<string, number>();
  for (const { symbols, count: times } of words) {
    for (let i = 1; i < symbols.length; i++) {
      const pair = `${symbols[i - 1]}\u0000${symbols[i]}`;
      pairs.set(pair, (pairs.get(pair) ?? 0) + times);
    }
  }
  let best: string | undefined;
  let most = 0;
  for (const [pair, times] of pairs) {
    if (times > most || (times === most && best !== undefined && pair < best)) {
      best = pair;
      most = times;
    }
  }
  return best?.split('\u0000') as [string, string] | undefined;
}

function merge(symbols: string[], left: string, right: string): void {
  for (let i = 0; i + 1 < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) symbols.splice(i, 2, left + right);
  }
}

/** The content of `tokenizer.json`; `begin` is put before every text that is encoded with special tokens. */
export function tokenizerJson(trained: Trained, special: readonly string[], begin: string): object {
  const ids = Object.fromEntries(trained.vocab.map((token, id) => [token, id]));
  const one = { SpecialToken: { id: begin, type_id: 0 } };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content) => ({
      id: ids[content],
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: {
      type: 'TemplateProcessing',
      single: [one, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [one, { Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { [begin]: { id: begin, ids: [ids[begin]], tokens: [begin] } },
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: ids,
      merges: trained.merges.map((pair) => pair.join(' ')),
    },
  };
}
