// A vocabulary as a trie over its tokens' bytes, flattened in depth-first order: a grammar walks it in one loop and
// skips a whole branch as soon as a byte may not come.
//
// A string of any length takes every token of whole characters, which most are, so only the others are tried. A string
// of limited length takes the same tokens, as long as they begin no more characters than are left.
//
// Made once per tokenizer, in slices between which the event loop is free. Masks are remembered by situation.

import { isUtf8 } from 'node:buffer';
import { TimeSlice } from '../../flow/pause.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { Grammar, Situation } from './machine.js';

/** Places a grammar may visit for one mask, some tens of milliseconds; beyond, only tokens of one byte are tried. */
const mostWork = 100_000;
const maskBytes = 64 << 20;

const known = new WeakMap<Tokenizer, Promise<Vocabulary>>();

/** The trie of a tokenizer's tokens. Control tokens stand for no text and are left out. */
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
  const slice = new TimeSlice();
  const { vocabSize, specialIds } = tokenizer;
  const begun = new Uint16Array(vocabSize);
  const closing = new Uint8Array(vocabSize);
  const plain = new Uint8Array(vocabSize);
  for (let token = 0; token < vocabSize; token += 1) {
    if (specialIds.has(token)) continue;
    const bytes = tokenizer.tokenBytes(token);
    if (bytes.length === 0 || bytes.length >= 1 << 16) continue;
    insert(tree, bytes, token);
    const read = inString(bytes);
    begun[token] = read.begun;
    closing[token] = read.closing ? 1 : 0;
    plain[token] = read.plain ? 1 : 0;
    if (token % 64 === 0 && slice.over) await slice.pause();
  }

  const nodes = tree.byte.length;
  const flat: Tree = {
    byte: new Uint8Array(nodes),
    depth: new Uint16Array(nodes),
    after: new Int32Array(nodes),
    first: new Int32Array(nodes + 1),
    tokens: new Int32Array(vocabSize),
    ascii: new Uint8Array(nodes),
    whole: new Uint8Array(nodes),
    begun,
    closing,
    plain,
    longest: begun.reduce((most, count) => Math.max(most, count), 0),
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
      if (above !== undefined) {
        flat.ascii[above]! &= flat.ascii[place]!;
        flat.whole[above]! &= flat.whole[place]!;
      }
      node = tree.sibling[parent]!;
      continue;
    }
    path.push([node, flat.count]);
    flat.byte[flat.count] = tree.byte[node]!;
    flat.ascii[flat.count] = isPlain(tree.byte[node]!) ? 1 : 0;
    flat.whole[flat.count] = 1;
    flat.depth[flat.count] = path.length;
    flat.deepest = Math.max(flat.deepest, path.length);
    flat.first[flat.count] = count;
    for (const token of tree.tokens[node] ?? []) {
      flat.tokens[count++] = token;
      flat.whole[flat.count]! &= plain[token]!;
    }
    flat.count += 1;
    flat.first[flat.count] = count;
    node = tree.child[node]!;
    if (flat.count % 256 === 0 && slice.over) await slice.pause();
  }
  return new Vocabulary(tokenizer, flat);
}

function insert(tree: Growing, bytes: Uint8Array, token: number): void {
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

/** Whether an ASCII byte stands in a JSON string without an escape. */
function isPlain(byte: number): boolean {
  return byte >= 0x20 && byte < 0x80 && byte !== quote && byte !== backslash;
}

const quote = 0x22;
const backslash = 0x5c;

/** A token before a character of a string: how many it begins, whether it ends the string, whether it is plain. */
function inString(bytes: Uint8Array): { begun: number; closing: boolean; plain: boolean } {
  let begun = 0;
  let ascii = true;
  for (let i = 0; i < bytes.length; begun += 1) {
    const value = bytes[i]!;
    if (value === quote) return { begun, closing: true, plain: false };
    ascii &&= isPlain(value);
    if (value === backslash) i += bytes[i + 1] === 0x75 ? 6 : 2;
    else i += value < 0x80 ? 1 : value < 0xe0 ? 2 : value < 0xf0 ? 3 : 4;
  }
  return {
    begun,
    closing: false,
    plain: ascii || (bytes.every((value) => value >= 0x80 || isPlain(value)) && isUtf8(bytes)),
  };
}

/** In depth-first order: node i's byte, its depth from 1, the node after its branch, and where its tokens begin. */
interface Tree {
  byte: Uint8Array;
  depth: Uint16Array;
  after: Int32Array;
  first: Int32Array;
  tokens: Int32Array;
  /** 1 where the branch, with its node, has plain ASCII only. */
  ascii: Uint8Array;
  /** 1 where all tokens of the branch are plain. */
  whole: Uint8Array;
  /** By token, before a character of a string: how many it begins, and 1 where it ends the string. */
  begun: Uint16Array;
  closing: Uint8Array;
  /** By token: 1 where it is whole characters that need no escape. */
  plain: Uint8Array;
  /** The most characters that a token begins. */
  longest: number;
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
    else mask = from.open ? this.#walk(grammar, from) : this.#cut(grammar, from);
    this.#masks.set(from, mask);
    if (this.#masks.size * this.size > maskBytes && this.#masks.size > 1) {
      this.#masks.delete(this.#masks.keys().next().value!);
    }
    return mask;
  }

  /** A counted string takes the tokens of an uncounted one, less those that begin too many characters or end it early. */
  #cut(grammar: Grammar, from: Situation): Uint8Array {
    const { counted, others } = grammar.apart(from);
    if (counted.length === 0) return this.#walk(grammar, from);
    const { begun, closing, longest } = this.tree;
    const [only] = counted;
    if (others.closed && counted.length === 1 && only!.owed === 0 && only!.left >= longest) {
      return this.mask(grammar, only!.open);
    }
    const mask = others.closed ? new Uint8Array(this.size) : this.#walk(grammar, others);
    for (const { open, left, owed } of counted) {
      const uncounted = this.mask(grammar, open);
      for (let token = 0; token < mask.length; token += 1) {
        if (uncounted[token] === 1 && begun[token]! <= left && (closing[token] === 0 || begun[token]! >= owed))
          mask[token] = 1;
      }
    }
    return mask;
  }

  #walk(grammar: Grammar, from: Situation): Uint8Array {
    const { byte, depth, after, first, tokens, ascii, whole, plain, count, deepest } = this.tree;
    const until = grammar.work + mostWork;
    const mask = from.open ? plain.slice() : new Uint8Array(this.size);
    const reached = new Array<Situation>(deepest + 1);
    reached[0] = from;
    for (let node = 0; node < count; ) {
      if (from.open && whole[node] === 1) {
        node = after[node]!;
        continue;
      }
      const level = depth[node]!;
      const before = reached[level - 1]!;
      if (before.open && ascii[node] === 1) {
        for (let i = first[node]!; i < first[after[node]!]!; i += 1) mask[tokens[i]!] = 1;
        node = after[node]!;
        continue;
      }
      const value = byte[node]!;
      const known = before.next[value];
      const next = known === undefined ? grammar.step(before, value) : known;
      if (next === null) {
        node = after[node]!;
        continue;
      }
      reached[level] = next;
      for (let i = first[node]!; i < first[node + 1]!; i += 1) mask[tokens[i]!] = 1;
      node = grammar.work < until ? node + 1 : after[node]!;
    }
    return mask;
  }
}

const noBytes = new Uint8Array(0);
