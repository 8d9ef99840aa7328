// Which blocks of the KV cache are whose: no bytes, only numbers.
//
// A block belongs to any number of sequences. A block that has a name (the hash of all tokens up to its end, and of the
// adapter) keeps its content when its last owner leaves, so that a later sequence with the same beginning takes it over.
// Blocks without content are taken first, then the named ones that were left longest ago.
import { createHash } from 'node:crypto';

export class BlockPool {
  readonly #owners: Uint32Array;
  readonly #names: (string | undefined)[];
  readonly #byName = new Map<string, number>();
  // The block that was freed last is the first to be taken again: memory that no block was ever taken from stays
  // untouched.
  readonly #empty: number[];
  // In the order in which they were left.
  readonly #left = new Set<number>();

  constructor(readonly total: number) {
    this.#owners = new Uint32Array(total);
    this.#names = new Array<string | undefined>(total);
    this.#empty = Array.from({ length: total }, (_, i) => total - 1 - i);
  }

  /** Blocks that can be taken now. */
  get available(): number {
    return this.#empty.length + this.#left.size;
  }

  /** Blocks that sequences hold. */
  get used(): number {
    return this.total - this.available;
  }

  /** The blocks from `first` to before `end` whose names are known, up to the first that is not. They are not taken. */
  find(names: BlockNames, first: number, end: number): number[] {
    const found: number[] = [];
    while (first + found.length < end) {
      const block = this.#byName.get(names.at(first + found.length));
      if (block === undefined) break;
      found.push(block);
    }
    return found;
  }

  /** The number of `blocks` without an owner: sharing them makes that many fewer available. */
  unowned(blocks: readonly number[]): number {
    return blocks.filter((block) => this.#owners[block] === 0).length;
  }

  /** How many of `blocks` would become available if one owner of each left. */
  freedBy(blocks: readonly number[]): number {
    return blocks.filter((block) => this.#owners[block] === 1).length;
  }

  /** One more owner of a block that `find` gave. */
  share(block: number): void {
    if (this.#owners[block]!++ === 0) this.#left.delete(block);
  }

  /** A block without owner and content; undefined if all are held. */
  take(): number | undefined {
    let block = this.#empty.pop();
    if (block === undefined) {
      const [oldest] = this.#left;
      if (oldest === undefined) return undefined;
      this.#left.delete(oldest);
      this.#byName.delete(this.#names[oldest]!);
      this.#names[oldest] = undefined;
      block = oldest;
    }
    this.#owners[block] = 1;
    return block;
  }

  /** Makes a full block known. Of two with the same content the first keeps the name. */
  name(block: number, name: string): void {
    if (this.#byName.has(name) || this.#names[block] !== undefined) return;
    this.#names[block] = name;
    this.#byName.set(name, block);
  }

  /** Gives a sequence's blocks back. The last are forgotten first: a beginning is shared more often than an end. */
  free(blocks: readonly number[]): void {
    for (const block of blocks.toReversed()) {
      if (--this.#owners[block]! > 0) continue;
      if (this.#names[block] === undefined) this.#empty.push(block);
      else this.#left.add(block);
    }
  }

  /** Forgets the content of blocks without an owner, and the names of the others. */
  forget(): void {
    for (const block of this.#byName.values()) this.#names[block] = undefined;
    this.#byName.clear();
    this.#empty.push(...this.#left);
    this.#left.clear();
  }
}

/**
 * The names of the full blocks of `tokens`, made as they are asked for: each depends on all before it, and on `kind`, the
 * adapter and what else they were computed with.
 */
export class BlockNames {
  readonly #names: string[] = [];

  constructor(
    private readonly tokens: readonly number[],
    private readonly size: number,
    readonly kind: string,
  ) {}

  at(index: number): string {
    for (let i = this.#names.length; i <= index; i++) {
      const content = Int32Array.from(this.tokens.slice(i * this.size, (i + 1) * this.size));
      const before = this.#names[i - 1] ?? this.kind;
      this.#names.push(createHash('sha256').update(before).update('\0').update(content).digest('base64'));
    }
    return this.#names[index]!;
  }
}
