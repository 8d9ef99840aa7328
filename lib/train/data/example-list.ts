// Examples in memory, end to end in a few large arrays: 8 bytes a token and 16 a row. An object per row would take
// several times the memory of a short row's tokens.
import type { Example } from './rows.js';

// Tokens in an array. A longer row has an array of its own.
const arrayTokens = 2 ** 20;

interface Piece {
  ids: Int32Array;
  labels: Int32Array;
  used: number;
}

export class ExampleList {
  readonly #pieces: Piece[] = [];
  /** Of each example: its piece, where it begins there, its length, and its mark or 0. */
  #places = new Uint32Array(4 * 1024);
  #length = 0;
  #tokens = 0;
  #longest = 0;

  get length(): number {
    return this.#length;
  }

  get tokens(): number {
    return this.#tokens;
  }

  /** The tokens of the longest example. */
  get longest(): number {
    return this.#longest;
  }

  add({ ids, labels, mark }: Example): void {
    let piece = this.#pieces.at(-1);
    if (!piece || piece.used + ids.length > piece.ids.length) {
      const size = Math.max(arrayTokens, ids.length);
      piece = { ids: new Int32Array(size), labels: new Int32Array(size), used: 0 };
      this.#pieces.push(piece);
    }
    piece.ids.set(ids, piece.used);
    piece.labels.set(labels, piece.used);
    if (4 * this.#length === this.#places.length) {
      const wider = new Uint32Array(2 * this.#places.length);
      wider.set(this.#places);
      this.#places = wider;
    }
    this.#places.set([this.#pieces.length - 1, piece.used, ids.length, mark ?? 0], 4 * this.#length);
    piece.used += ids.length;
    this.#tokens += ids.length;
    this.#longest = Math.max(this.#longest, ids.length);
    this.#length++;
  }

  /** Undefined behind the last. */
  at(index: number): Example | undefined {
    if (!(index < this.#length)) return undefined;
    const [piece, start, length, mark] = this.#places.subarray(4 * index, 4 * index + 4) as unknown as number[];
    const { ids, labels } = this.#pieces[piece!]!;
    const end = start! + length!;
    const example = { ids: ids.subarray(start, end), labels: labels.subarray(start, end) };
    return mark === 0 ? example : { ...example, mark: mark! };
  }
}
