// The interface of constrained decoding: which tokens a running request may produce next.

/** The tokens that one request may produce next; it follows each token that was sampled. */
export interface TokenMask {
  /** `[vocab]`, 1 where a token may come next, an end token where the text may end; valid until the next accept. */
  allowed(): Uint8Array;
  /**
   * Moves past a sampled token.
   * @throws Error if the token was not allowed
   */
  accept(token: number): void;
  /** Whether nothing but an end token may follow. */
  readonly done: boolean;
}
