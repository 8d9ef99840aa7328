// Masks made of grammars' masks, for control tokens: these are no text, so no grammar can have them inside.

import type { TokenMask } from '../mask.js';

/** An answer in `text`, or calls, where the answer's first token is `opener`. */
export class OpenedMask implements TokenMask {
  #chosen: TokenMask | undefined;

  constructor(
    private readonly text: TokenMask,
    /** From behind the opener on. */
    private readonly calls: TokenMask,
    private readonly opener: number,
  ) {}

  get done(): boolean {
    return this.#chosen?.done ?? false;
  }

  allowed(): Uint8Array {
    if (this.#chosen) return this.#chosen.allowed();
    const either = this.text.allowed().slice();
    either[this.opener] = 1;
    return either;
  }

  accept(token: number): void {
    if (this.#chosen || token !== this.opener) {
      this.#chosen ??= this.text;
      this.#chosen.accept(token);
    } else {
      this.#chosen = this.calls;
    }
  }
}

export interface CallParts {
  /** The tokens behind a name, behind a call's id (where ids are written), and before a further call. */
  tokens: { name: number; id: number | undefined; next: number | undefined };
  /** A name, ended by `endIds`. */
  name(endIds: readonly number[]): TokenMask;
  id(endIds: readonly number[]): TokenMask;
  arguments(name: string, endIds: readonly number[]): TokenMask;
  textOf(token: number): Uint8Array;
  endIds: readonly number[];
  most: number;
}

/** Calls as `name`, a control token, `arguments`, each part with a mask of its own. */
export class CallPartsMask implements TokenMask {
  #part: 'name' | 'id' | 'arguments' = 'name';
  #mask: TokenMask;
  #name: number[] = [];
  #calls = 1;

  constructor(private readonly parts: CallParts) {
    this.#mask = parts.name([parts.tokens.name]);
  }

  get done(): boolean {
    return this.#part === 'arguments' && !this.#more && this.#mask.done;
  }

  allowed(): Uint8Array {
    return this.#mask.allowed();
  }

  accept(token: number): void {
    const { parts } = this;
    const { tokens, endIds } = parts;
    this.#mask.accept(token);
    if (this.#part === 'name' && token !== tokens.name) {
      this.#name.push(...parts.textOf(token));
    } else if (this.#part === 'name' && tokens.id !== undefined) {
      this.#part = 'id';
      this.#mask = parts.id([tokens.id]);
    } else if (this.#part === 'name' || (this.#part === 'id' && token === tokens.id)) {
      this.#part = 'arguments';
      const name = Buffer.from(this.#name).toString().trim();
      this.#mask = parts.arguments(name, this.#more ? [...endIds, tokens.next!] : endIds);
    } else if (this.#part === 'arguments' && token === tokens.next) {
      this.#part = 'name';
      this.#name = [];
      this.#calls += 1;
      this.#mask = parts.name([tokens.name]);
    }
  }

  get #more(): boolean {
    return this.parts.tokens.next !== undefined && this.#calls < this.parts.most;
  }
}
