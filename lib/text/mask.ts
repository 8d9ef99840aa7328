// What constrained decoding asks of a running request: the tokens that may come next, told after every token.

/** The tokens one running request may produce next. */
export interface TokenMask {
  /** 1 where a token may come next, [vocab]; valid until the next accept. End tokens are allowed where the text may end. */
  allowed(): Uint8Array;
  /**
   * Moves past a produced token.
   * @throws if the token was not allowed
   */
  accept(token: number): void;
  /** Whether nothing but an end token may follow. */
  readonly done: boolean;
}
