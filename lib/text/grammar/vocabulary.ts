// A vocabulary as a tree over its tokens' bytes, flattened in depth-first order: a grammar walks it in one loop and
// skips a whole branch as soon as a byte may not come.
//
// Made once per tokenizer, in slices between which the event loop is free. Masks are remembered by situation.

import { setImmediate } from 'node:timers/promises';
import type { Tokenizer } from '../tokenizer.js';
import type { Grammar, Situation } from './machine.js';

const sliceMilliseconds = 4;
/** Places a grammar may look at for one mask, some tens of milliseconds; then single bytes must do. */
const mostWork = 100_000;
const maskBytes = 64 << 20;

const known = new WeakMap<Tokenizer, Promise<Vocabulary>>();

/** The tree of a tokenizer's tokens. Control tokens stand for no text and are left out. */
export function vocabularyOf(tokenizer: Tokenizer): Promise<Vocabulary> {
  const made = known.get(tokenizer) ?? build(tokenizer);
  known.set(tokenizer, made);
  return made;
}

/** Nodes while the tree grows; node 0 is the root. */
interface Growing {
  byte: number[];
  child: number[];
  sibling: number[];
  tokens: (number[] | undefined)[];
}

async function build(tokenizer: Tokenizer): Promise<Vocabulary> {
  const tree: Growing = { byte: [0], child: [0], sibling: [0], tokens: [undefined] };
  let until = performance.now() + sliceMilliseconds;
  const breathe = async (): Promise<void> => {
    if (performance.now() < until) return;
    await setImmediate();
    until = performance.now() + sliceMilliseconds;
  };
  for (let token = 0; token < tokenizer.vocabSize; token += 1) {
    if (!tokenizer.specialIds.has(token)) insert(tree, tokenizer.tokenBytes(token), token);
    if (token % 64 === 0) await breathe();
  }

  const nodes = tree.byte.length;
  const flat: Tree = {
    byte: new Uint8Array(nodes),
    depth: new Uint16Array(nodes),
    after: new Int32Array(nodes),
    first: new Int32Array(nodes + 1),
    tokens: new Int32Array(tokenizer.vocabSize),
    plain: new Uint8Array(nodes),
    count: 0,
    deepest: 0,
  };
  const path: [node: number, place: number][] = [];
  let count = 0;
  for (let node = tree.child[0]!; node !== 0 || path.length > 0; ) {
    if (node === 0) {
      const [parent, place] = path.pop()!;
      flat.after[place] = flat.count;
      const above = path.at(-1)?.[1];
      if (above !== undefined && flat.plain[place] === 0) flat.plain[above] = 0;
      node = tree.sibling[parent]!;
      continue;
    }
    path.push([node, flat.count]);
    flat.byte[flat.count] = tree.byte[node]!;
    flat.plain[flat.count] = isPlain(tree.byte[node]!) ? 1 : 0;
    flat.depth[flat.count] = path.length;
    flat.deepest = Math.max(flat.deepest, path.length);
    flat.first[flat.count] = count;
    for (const token of tree.tokens[node] ?? []) flat.tokens[count++] = token;
    flat.count += 1;
    flat.first[flat.count] = count;
    node = tree.child[node]!;
    if (flat.count % 256 === 0) await breathe();
  }
  return new Vocabulary(tokenizer, flat);
}

function insert(tree: Growing, bytes: Uint8Array, token: number): void {
  if (bytes.length === 0 || bytes.length >= 1 << 16) return;
  let node = 0;
  for (const value of bytes) {
    let next = tree.child[node]!;
    while (next !== 0 && tree.byte[next] !== value) next = tree.sibling[next]!;
    if (next === 0) {
      next = tree.byte.length;
      tree.byte.push(value);
      tree.child.push(0);
      tree.sibling.push(tree.child[node]!);
      tree.tokens.push(undefined);
      tree.child[node] = next;
    }
    node = next;
  }
  const there = tree.tokens[node];
  if (there) there.push(token);
  else tree.tokens[node] = [token];
}

/** What stands in a JSON string for itself, of ASCII. */
function isPlain(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c;
}

const plainBytes = Array.from({ length: 128 }, (_, byte) => byte).filter(isPlain);

/** In depth-first order: node i's byte, its depth from 1, the node after its branch, and where its tokens begin. */
interface Tree {
  byte: Uint8Array;
  depth: Uint16Array;
  after: Int32Array;
  first: Int32Array;
  tokens: Int32Array;
  /** 1 where the whole branch, the node with it, has plain bytes only. */
  plain: Uint8Array;
  count: number;
  deepest: number;
}

export class Vocabulary {
  readonly size: number;
  readonly #masks = new Map<Situation, Uint8Array>();

  /** @internal Made by `vocabularyOf`. */
  constructor(
    readonly tokenizer: Tokenizer,
    private readonly tree: Tree,
  ) {
    this.size = tokenizer.vocabSize;
  }

  bytesOf(token: number): Uint8Array {
    return this.tokenizer.specialIds.has(token) ? noBytes : this.tokenizer.tokenBytes(token);
  }

  /** 1 for each token all of whose bytes may come next. Shared: not to be written to. */
  mask(grammar: Grammar, from: Situation): Uint8Array {
    let mask = this.#masks.get(from);
    if (mask) this.#masks.delete(from);
    else mask = this.#walk(grammar, from);
    this.#masks.set(from, mask);
    if (this.#masks.size * this.size > maskBytes && this.#masks.size > 1) {
      this.#masks.delete(this.#masks.keys().next().value!);
    }
    return mask;
  }

  #walk(grammar: Grammar, from: Situation): Uint8Array {
    const { byte, depth, after, first, tokens, plain, count, deepest } = this.tree;
    const until = grammar.work + mostWork;
    const mask = new Uint8Array(this.size);
    const reached = new Array<Situation>(deepest + 1);
    reached[0] = from;
    for (let node = 0; node < count; ) {
      const value = byte[node]!;
      const level = depth[node]!;
      const before = reached[level - 1]!;
      const known = before.next[value];
      const next = known === undefined ? grammar.step(before, value) : known;
      if (next === null) {
        node = after[node]!;
        continue;
      }
      reached[level] = next;
      // Inside a string a plain character changes nothing, so a branch of plain characters is allowed as a whole.
      if (next === before && plain[node] === 1 && plainBytes.every((other) => grammar.step(next, other) === next)) {
        for (let i = first[node]!; i < first[after[node]!]!; i += 1) mask[tokens[i]!] = 1;
        node = after[node]!;
        continue;
      }
      for (let i = first[node]!; i < first[node + 1]!; i += 1) mask[tokens[i]!] = 1;
      node = grammar.work < until ? node + 1 : after[node]!;
    }
    return mask;
  }
}

const noBytes = new Uint8Array(0);
