// A grammar over a vocabulary as one request's token mask.

import type { TokenMask } from '../mask.js';
import { controlValue } from './expression.js';
import type { Grammar, Situation } from './machine.js';
import type { Vocabulary } from './vocabulary.js';

/**
 * The tokens that keep one request's text within a grammar; `endIds` are allowed where the text may end.
 *
 * @param controls the tokens that the grammar's `control(index)` stand for
 */
export function maskFor(
  vocabulary: Vocabulary,
  grammar: Grammar,
  endIds: readonly number[],
  controls: readonly (number | undefined)[] = [],
): TokenMask {
  return new GrammarMask(vocabulary, grammar, endIds, controls);
}

class GrammarMask implements TokenMask {
  #at: Situation;
  #allowed: Uint8Array | undefined;
  #ended = false;

  constructor(
    readonly vocabulary: Vocabulary,
    readonly grammar: Grammar,
    readonly endIds: readonly number[],
    readonly controls: readonly (number | undefined)[],
  ) {
    this.#at = grammar.start;
  }

  get done(): boolean {
    return this.#ended || this.#at.closed;
  }

  allowed(): Uint8Array {
    this.#allowed ??= this.#mask();
    return this.#allowed;
  }

  accept(token: number): void {
    if (this.allowed()[token] !== 1) throw new Error(`token ${token} is not allowed by the grammar here`);
    this.#allowed = undefined;
    const control = this.controls.indexOf(token);
    if (this.endIds.includes(token)) this.#ended = true;
    else if (control >= 0) this.#at = this.grammar.step(this.#at, controlValue(control))!;
    else for (const value of this.vocabulary.bytesOf(token)) this.#at = this.grammar.step(this.#at, value)!;
  }

  #mask(): Uint8Array {
    const { size } = this.vocabulary;
    if (this.done) return only(size, this.endIds);
    const mask = this.vocabulary.mask(this.grammar, this.#at);
    const controls = this.controls.filter(
      (token, index) => token !== undefined && this.grammar.step(this.#at, controlValue(index)) !== null,
    ) as number[];
    // A vocabulary may lack a token for a byte that must come: the text then ends instead of going astray.
    const ends = this.#at.complete || (controls.length === 0 && !mask.includes(1));
    if (controls.length === 0 && !ends) return mask;
    const own = mask.slice();
    for (const token of ends ? [...controls, ...this.endIds] : controls) own[token] = 1;
    return own;
  }
}

function only(size: number, tokens: readonly number[]): Uint8Array {
  const mask = new Uint8Array(size);
  for (const token of tokens) mask[token] = 1;
  return mask;
}
