// Byte-pair encoding on token ids: the model inside a tokenizer, in place of the library's, whose string pairs cost
// up to several microseconds a character and which can't break ties as SentencePiece does.
//
// Two rules say which neighbours join first: the merge list of a tokenizer.json (rank = place in the list), or
// SentencePiece's scores (rank = place of the joined token's score, highest first; any split of a token may join).
// Equal ranks join leftmost first. A word of n symbols costs O(n log n).

/** Joins of two neighbouring tokens: open addressing over (left, right), kept in one Int32Array. */
class Joins {
  private readonly slots: Int32Array;
  private readonly mask: number;

  constructor(capacity: number) {
    let size = 16;
    while (size < capacity * 2) size *= 2;
    this.mask = size - 1;
    this.slots = new Int32Array(size * 4).fill(-1);
  }

  /** Keeps the first rank given for a pair, as a merge list repeated by mistake is read elsewhere. */
  add(left: number, right: number, rank: number, joined: number): void {
    const at = this.slot(left, right);
    if (this.slots[at] !== -1) return;
    this.slots.set([left, right, rank, joined], at);
  }

  /** Offset of the pair's slot, whose first entry is -1 where the pair doesn't join. */
  slot(left: number, right: number): number {
    const slots = this.slots;
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let index = hash & this.mask; ; index = (index + 1) & this.mask) {
      const at = index * 4;
      const found = slots[at];
      if (found === -1 || (found === left && slots[at + 1] === right)) return at;
    }
  }

  /** -1 where the pair doesn't join. */
  rank(left: number, right: number): number {
    return left < 0 || right < 0 ? -1 : this.slots[this.slot(left, right) + 2]!;
  }

  joined(left: number, right: number): number {
    return this.slots[this.slot(left, right) + 3]!;
  }
}

export interface BytePairOptions {
  /** Token text to id. */
  vocab: Map<string, number>;
  /** Pairs in order of rank; `"a b"` or `["a", "b"]`. */
  merges?: readonly (string | readonly [string, string])[];
  /** SentencePiece's score of each id, and the ids that text can never join to (bytes, controls). */
  scores?: ArrayLike<number>;
  unjoinable?: ReadonlySet<number>;
  unkToken?: string | undefined;
  fuseUnk?: boolean;
  byteFallback?: boolean;
  ignoreMerges?: boolean;
}

// Joins rarely pay for words longer than this to be remembered; both limits keep the memory below some megabytes.
const cachedWordLength = 64;
const cachedWords = 16384;
// A heap entry is rank * 2^27 + position: exact in a double for ranks below 2^26 and words below 2^27 symbols.
const positions = 2 ** 27;

export class BytePairModel {
  readonly unkToken: string | undefined;
  /** Token text of each id. */
  readonly tokens: (string | undefined)[] = [];
  private readonly joins: Joins;
  private readonly symbols: Map<string, number>;
  private readonly cache = new Map<string, string[]>();
  private readonly options: BytePairOptions;
  private readonly vocab: ReadonlyMap<string, number>;
  private readonly encoder = new TextEncoder();

  constructor(options: BytePairOptions) {
    this.options = options;
    this.vocab = options.vocab;
    this.unkToken = options.unkToken;
    for (const [token, id] of options.vocab) this.tokens[id] = token;
    this.symbols = options.vocab;
    if (options.merges) {
      this.joins = joinsOfMerges(options.vocab, options.merges);
    } else {
      // Characters that are no tokens themselves may still be joined to one: they get ids of their own.
      this.symbols = new Map(options.vocab);
      this.joins = joinsOfScores(this.symbols, this.tokens, options.scores ?? [], options.unjoinable ?? new Set());
    }
  }

  /** The tokens of words that were cut already. */
  encode(words: readonly string[]): string[] {
    const output: string[] = [];
    for (const word of words) {
      for (const token of this.word(word)) output.push(token);
    }
    return output;
  }

  private word(word: string): string[] {
    if (this.options.ignoreMerges && this.vocab.has(word)) return [word];
    const known = this.cache.get(word);
    if (known) return known;
    const tokens = this.joinedTokens(word);
    if (word.length <= cachedWordLength) {
      if (this.cache.size >= cachedWords) this.cache.clear();
      this.cache.set(word, tokens);
    }
    return tokens;
  }

  private joinedTokens(word: string): string[] {
    const characters = Array.from(word);
    const count = characters.length;
    const ids = Int32Array.from(characters, (character) => this.symbols.get(character) ?? -1);
    const next = Int32Array.from(ids, (_, index) => (index + 1 < count ? index + 1 : -1));
    const previous = Int32Array.from(ids, (_, index) => index - 1);
    const heap = new Heap();
    const offer = (left: number, right: number): void => {
      if (left < 0 || right < 0) return;
      const rank = this.joins.rank(ids[left]!, ids[right]!);
      if (rank >= 0) heap.push(rank * positions + left);
    };
    for (let index = 1; index < count; index += 1) offer(index - 1, index);
    for (let entry = heap.pop(); entry >= 0; entry = heap.pop()) {
      const left = entry % positions;
      const right = next[left]!;
      // An entry is out of date when either symbol has joined since; then the pair at its place has another rank.
      if (right < 0 || this.joins.rank(ids[left]!, ids[right]!) !== Math.floor(entry / positions)) continue;
      ids[left] = this.joins.joined(ids[left]!, ids[right]!);
      ids[right] = -2;
      const after = next[right]!;
      next[left] = after;
      next[right] = -1;
      if (after >= 0) previous[after] = left;
      offer(previous[left]!, left);
      offer(left, after);
    }
    const output: string[] = [];
    let unknown = false;
    for (let index = 0; index >= 0 && index < count; index = next[index]!) {
      const token = this.tokens[ids[index]!];
      if (token !== undefined) output.push(token);
      else unknown = this.pushUnknown(output, characters[index]!, unknown);
      if (token !== undefined) unknown = false;
    }
    return output;
  }

  /** Says whether an unknown token was the last thing written. */
  private pushUnknown(output: string[], character: string, afterUnknown: boolean): boolean {
    if (this.options.byteFallback) {
      const bytes = Array.from(this.encoder.encode(character), byteToken);
      if (bytes.every((token) => this.vocab.has(token))) {
        output.push(...bytes);
        return false;
      }
    }
    if (this.unkToken !== undefined && !(afterUnknown && this.options.fuseUnk)) output.push(this.unkToken);
    return true;
  }
}

/** SentencePiece's name of a byte: `<0x0A>`. */
export function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

function joinsOfMerges(vocab: Map<string, number>, merges: NonNullable<BytePairOptions['merges']>): Joins {
  const joins = new Joins(merges.length);
  merges.forEach((merge, rank) => {
    // A token may hold a space itself, never as its first character: the first space after that divides.
    const space = typeof merge === 'string' ? merge.indexOf(' ', 1) : 0;
    const left = typeof merge === 'string' ? merge.slice(0, space) : merge[0];
    const right = typeof merge === 'string' ? merge.slice(space + 1) : merge[1];
    const joined = vocab.get(left + right);
    const leftId = vocab.get(left);
    const rightId = vocab.get(right);
    if (joined === undefined || leftId === undefined || rightId === undefined) {
      throw new Error(`tokenizer: merge ${rank} joins "${left}" and "${right}", which are not all in the vocabulary`);
    }
    joins.add(leftId, rightId, rank, joined);
  });
  return joins;
}

function joinsOfScores(
  symbols: Map<string, number>,
  tokens: readonly (string | undefined)[],
  scores: ArrayLike<number>,
  unjoinable: ReadonlySet<number>,
): Joins {
  const distinct = [...new Set(Array.from(scores))].sort((a, b) => b - a);
  const ranks = new Map(distinct.map((score, rank) => [score, rank]));
  const found: [left: number, right: number, rank: number, joined: number][] = [];
  let virtual = tokens.length;
  tokens.forEach((token, id) => {
    if (token === undefined || unjoinable.has(id)) return;
    const characters = Array.from(token);
    if (characters.length < 2) return;
    for (const character of characters) if (!symbols.has(character)) symbols.set(character, virtual++);
    const rank = ranks.get(scores[id] ?? 0) ?? distinct.length;
    for (let cut = 0, index = 0; index < characters.length - 1; index += 1) {
      cut += characters[index]!.length;
      const left = symbols.get(token.slice(0, cut));
      const right = symbols.get(token.slice(cut));
      if (left === undefined || right === undefined || unjoinable.has(left) || unjoinable.has(right)) continue;
      found.push([left, right, rank, id]);
    }
  });
  const joins = new Joins(found.length);
  for (const join of found) joins.add(...join);
  return joins;
}

/** The smallest number first; -1 when empty. */
class Heap {
  private readonly entries: number[] = [];

  push(entry: number): void {
    const entries = this.entries;
    let at = entries.length;
    entries.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (entries[parent]! <= entry) break;
      entries[at] = entries[parent]!;
      at = parent;
    }
    entries[at] = entry;
  }

  pop(): number {
    const entries = this.entries;
    const top = entries[0];
    const last = entries.pop();
    if (top === undefined || last === undefined) return -1;
    const count = entries.length;
    if (count === 0) return top;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= count) break;
      if (child + 1 < count && entries[child + 1]! < entries[child]!) child += 1;
      if (entries[child]! >= last) break;
      entries[at] = entries[child]!;
      at = child;
    }
    entries[at] = last;
    return top;
  }
}
