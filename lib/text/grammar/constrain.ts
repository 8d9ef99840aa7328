// A grammar over a vocabulary as one request's token mask.

import type { TokenMask } from '../mask.js';
import type { Grammar, Situation } from './machine.js';
import type { Vocabulary } from './vocabulary.js';

export interface ConstrainOptions {
  /** A control token that must come before the grammar's text, such as Mistral's [TOOL_CALLS]. */
  opener?: number | undefined;
}

/** The tokens that keep one request's text within a grammar; `endIds` are allowed where the text may end. */
export function maskFor(
  vocabulary: Vocabulary,
  grammar: Grammar,
  endIds: readonly number[],
  options: ConstrainOptions = {},
): TokenMask {
  return new GrammarMask(vocabulary, grammar, endIds, options.opener);
}

class GrammarMask implements TokenMask {
  #at: Situation;
  #allowed: Uint8Array | undefined;
  #ended = false;

  constructor(
    readonly vocabulary: Vocabulary,
    readonly grammar: Grammar,
    readonly endIds: readonly number[],
    private opener: number | undefined,
  ) {
    this.#at = grammar.start;
  }

  get done(): boolean {
    return this.#ended || (this.opener === undefined && this.#at.closed);
  }

  allowed(): Uint8Array {
    this.#allowed ??= this.#mask();
    return this.#allowed;
  }

  accept(token: number): void {
    if (this.allowed()[token] !== 1) throw new Error(`token ${token} is not allowed by the grammar here`);
    this.#allowed = undefined;
    if (this.opener !== undefined) {
      this.opener = undefined;
    } else if (this.endIds.includes(token)) {
      this.#ended = true;
    } else {
      for (const value of this.vocabulary.bytesOf(token)) this.#at = this.grammar.step(this.#at, value)!;
    }
  }

  #mask(): Uint8Array {
    const { size } = this.vocabulary;
    if (this.opener !== undefined) return only(size, [this.opener]);
    if (this.done) return only(size, this.endIds);
    const mask = this.vocabulary.mask(this.grammar, this.#at);
    // A vocabulary may lack a token for a byte that must come: the text then ends instead of going astray.
    if (!this.#at.complete && mask.includes(1)) return mask;
    const ending = mask.slice();
    for (const id of this.endIds) ending[id] = 1;
    return ending;
  }
}

function only(size: number, tokens: readonly number[]): Uint8Array {
  const mask = new Uint8Array(size);
  for (const token of tokens) mask[token] = 1;
  return mask;
}
