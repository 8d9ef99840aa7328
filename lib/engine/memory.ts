// What sequences hold of the model's memory: no bytes and no device, only numbers.
//
// Layers with the same window are a group with blocks of its own. A sequence's table in a group names its blocks by their
// place in the text; blocks that all coming tokens look past (a window's) are freed, and a table holds no more than a
// window and a step need. Parts that keep a state have a place for each running sequence. Copies of the state at some
// block ends of prompts (snapshots) let other prompts begin there, as blocks do.
import { type BlockNames, BlockPool } from './blocks.js';
import { StatePlaces } from './states.js';

export interface MemoryLimits {
  /** For each group of layers its blocks, and how many tokens its layers look back upon; undefined is all. */
  groups: readonly { readonly blocks: number; readonly window: number | undefined }[];
  /** Places for states, the zero one, running sequences and snapshots together; 0 where no part keeps a state. */
  states: number;
  /** Lengths beyond which all of a sequence's keys are others. */
  switches: readonly number[];
  /** Tokens in a block. */
  blockSize: number;
  /** Tokens in one step. */
  stepTokens: number;
}

/** A sequence's blocks in one group: block `i` holds its tokens from `i · blockSize` on. Those before `first` are freed. */
export interface BlockTable {
  first: number;
  readonly blocks: number[];
}

/** What one sequence holds. */
export interface Held {
  readonly tables: readonly BlockTable[];
  /** The place of its state; undefined where no part keeps one. */
  readonly place: number | undefined;
  /** How many of the limits' switches its length was beyond. */
  readonly switched: number;
}

/** States that are to be copied from one place to another. */
export interface StateCopy {
  from: number;
  to: number;
}

interface Request {
  readonly length: number;
  readonly promptLength: number;
  /** Of its prompt's blocks, where others' may be taken over. */
  readonly names: BlockNames | undefined;
}

/** The most tokens between two snapshots of a prompt. */
const snapshotDistance = 1024;

export class SequenceMemory {
  readonly #pools: readonly BlockPool[];
  readonly #states: StatePlaces | undefined;

  constructor(private readonly limits: MemoryLimits) {
    this.#pools = limits.groups.map(({ blocks }) => new BlockPool(blocks));
    if (limits.states > 0) this.#states = new StatePlaces(limits.states);
  }

  /** Blocks of all groups. */
  get total(): number {
    return this.#pools.reduce((sum, { total }) => sum + total, 0);
  }

  /** Blocks that sequences hold. */
  get used(): number {
    return this.#pools.reduce((sum, { used }) => sum + used, 0);
  }

  get available(): number {
    return this.total - this.used;
  }

  /** Tokens that one sequence may have. */
  get capacity(): number {
    const { groups, blockSize } = this.limits;
    return Math.min(...groups.map(({ blocks }, g) => (blocks < this.#mostHeld(g) ? blocks * blockSize : Infinity)));
  }

  /** How many switches a length is beyond. Only what was computed for the same number of them is of use to each other. */
  switched(length: number): number {
    return this.limits.switches.filter((at) => length > at).length;
  }

  /**
   * Takes blocks for all tokens of a sequence, and takes over those of its prompt that are known. `spare` blocks of each
   * group are left for others; `leaving` is given up for it. `begin` is the copy that its state begins with, to be made
   * before its first step.
   *
   * @returns undefined, with nothing changed, if there is no room.
   */
  open(
    request: Request,
    spare: number,
    leaving?: Held,
  ): { held: Held; known: number; begin: StateCopy | undefined } | undefined {
    const { blockSize } = this.limits;
    const prefix = this.#prefix(request);
    const all = Math.ceil(request.length / blockSize);
    const needs = this.#pools.map((_, g) => {
      const first = this.#firstSeen(g, prefix * blockSize);
      const shared = prefix > 0 ? this.#pools[g]!.find(request.names!, first, prefix) : [];
      return { first, shared, taken: Math.max(0, Math.min(all - first, this.#mostHeld(g)) - shared.length) };
    });
    for (const [g, { shared, taken }] of needs.entries()) {
      const pool = this.#pools[g]!;
      const given = leaving ? pool.freedBy(held(leaving.tables[g]!).filter((block) => !shared.includes(block))) : 0;
      if (taken + spare > pool.available - pool.unowned(shared) + given) return undefined;
    }
    if (this.#states && !leaving && !this.#states.available) return undefined;
    for (const [g, { shared }] of needs.entries()) for (const block of shared) this.#pools[g]!.share(block);
    if (leaving) this.close(leaving);
    const tables = needs.map(({ first, shared, taken }, g) => {
      const blocks = new Array<number>(first).fill(-1);
      blocks.push(...shared, ...Array.from({ length: taken }, () => this.#pools[g]!.take()!));
      return { first, blocks };
    });
    const place = this.#states?.take();
    // Where the place was that of the snapshot itself, its content is there already.
    const from = prefix > 0 ? this.#states?.find(request.names!.at(prefix - 1)) : this.#states?.zero;
    const begin = place === undefined || from === undefined ? undefined : { from, to: place };
    return { held: { tables, place, switched: this.switched(request.length) }, known: prefix * blockSize, begin };
  }

  /**
   * Makes room for the tokens from `from` to `end`, and frees what those and later ones look past. False if a group has
   * no block left: the sequence keeps what it has.
   */
  extend({ tables }: Held, from: number, end: number): boolean {
    const { blockSize } = this.limits;
    for (const [g, table] of tables.entries()) {
      const pool = this.#pools[g]!;
      const first = Math.min(this.#firstSeen(g, from), table.blocks.length);
      if (first > table.first) pool.free(table.blocks.slice(table.first, first));
      table.first = Math.max(table.first, first);
      while (table.blocks.length * blockSize < end) {
        const block = pool.take();
        if (block === undefined) return false;
        table.blocks.push(block);
      }
    }
    return true;
  }

  /** Gives all that a sequence holds back. */
  close({ tables, place }: Held): void {
    for (const [g, table] of tables.entries()) this.#pools[g]!.free(held(table));
    if (place !== undefined) this.#states!.free(place);
  }

  /**
   * The tokens from `from` to `end` of a prompt are on their way to the device: their full blocks may be taken over from
   * now on. Gives the snapshot that is to be made after the step, if the state after them is worth one.
   */
  name(
    { tables, place }: Held,
    names: BlockNames,
    promptLength: number,
    from: number,
    end: number,
  ): StateCopy | undefined {
    const { blockSize } = this.limits;
    const full = Math.floor(Math.min(end, promptLength) / blockSize);
    for (const [g, { blocks, first }] of tables.entries()) {
      for (let i = Math.max(first, Math.floor(from / blockSize)); i < full; i++)
        this.#pools[g]!.name(blocks[i]!, names.at(i));
    }
    if (place === undefined || !this.#isSnapshot(end, promptLength)) return undefined;
    const to = this.#states!.snapshot(names.at(end / blockSize - 1));
    return to === undefined ? undefined : { from: place, to };
  }

  /** Where a step that begins at token `from` of a prompt must end at the latest, so that its snapshots can be made. */
  nextStop(from: number, promptLength: number): number {
    if (!this.#states) return promptLength;
    const { blockSize } = this.limits;
    const last = shareable(promptLength, blockSize) * blockSize;
    const next = (Math.floor(from / snapshotDistance) + 1) * snapshotDistance;
    return from < last ? Math.min(next, last) : promptLength;
  }

  /** Forgets all content that no sequence holds, and the names of the rest. */
  forget(): void {
    for (const pool of this.#pools) pool.forget();
    this.#states?.forget();
  }

  #isSnapshot(end: number, promptLength: number): boolean {
    const last = shareable(promptLength, this.limits.blockSize) * this.limits.blockSize;
    return end > 0 && (end === last || (end < last && end % snapshotDistance === 0));
  }

  /** The block of a group that holds the first token that the token at `position` looks back upon. */
  #firstSeen(group: number, position: number): number {
    const { groups, blockSize } = this.limits;
    const { window } = groups[group]!;
    return window === undefined ? 0 : Math.floor(Math.max(0, position - window + 1) / blockSize);
  }

  #mostHeld(group: number): number {
    const { groups, blockSize, stepTokens } = this.limits;
    return mostHeld(groups[group]!.window, stepTokens, blockSize);
  }

  /** How many blocks of the prompt every group and the states know, so that the sequence may begin behind them. */
  #prefix({ promptLength, names }: Request): number {
    if (!names) return 0;
    const { blockSize } = this.limits;
    let most = shareable(promptLength, blockSize);
    const windowed: number[] = [];
    for (const [g, { window }] of this.limits.groups.entries()) {
      if (window === undefined) most = this.#pools[g]!.find(names, 0, most).length;
      else windowed.push(g);
    }
    for (let prefix = most; prefix > 0; prefix--) {
      if (this.#states && this.#states.find(names.at(prefix - 1)) === undefined) continue;
      const known = (g: number): boolean => {
        const first = this.#firstSeen(g, prefix * blockSize);
        return this.#pools[g]!.find(names, first, prefix).length === prefix - first;
      };
      if (windowed.every(known)) return prefix;
    }
    return 0;
  }
}

/** The most blocks that a sequence needs at once: a window's and a step's tokens, wherever they begin in a block. */
export const mostHeld = (window: number | undefined, stepTokens: number, blockSize: number): number =>
  window === undefined ? Infinity : Math.ceil((window + stepTokens - 2) / blockSize) + 1;

const held = ({ blocks, first }: BlockTable): number[] => blocks.slice(first);

/** Blocks of a prompt that others may take over: at least two tokens are left, because one alone takes another path. */
const shareable = (promptLength: number, blockSize: number): number =>
  Math.max(0, Math.floor((promptLength - 2) / blockSize));
