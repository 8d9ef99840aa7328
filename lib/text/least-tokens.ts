// A mask that holds a text's end back until it has a number of tokens, around another mask or around none.

import type { TokenMask } from './mask.js';

/** None of `endIds` before `least` tokens, unless `mask` allows nothing else. */
export function leastTokens(
  least: number,
  endIds: readonly number[],
  vocabSize: number,
  mask: TokenMask | undefined,
): TokenMask {
  let left = least;
  const every = new Uint8Array(vocabSize).fill(1);
  return {
    allowed() {
      const allowed = mask?.allowed() ?? every;
      if (left <= 0 || mask?.done) return allowed;
      const held = allowed.slice();
      for (const id of endIds) held[id] = 0;
      return held.includes(1) ? held : allowed;
    },
    accept(token) {
      left -= 1;
      mask?.accept(token);
    },
    get done() {
      return mask?.done ?? false;
    },
  };
}
