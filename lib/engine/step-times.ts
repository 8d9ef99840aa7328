// How long steps take, and what follows from that: how many tokens of prompts a step may take beside sequences that
// decode, so that their tokens do not come much later.
import type { Part, Sequence } from './sequence.js';

/** A prompt's part of a step takes about as long as so many steps that only decode. */
const most = 2;
/** Enough for prompts to get on whatever was measured. */
const fewestTokens = 16;
/** Before anything was measured. */
const firstTokens = 64;

export class StepTimes {
  /** Milliseconds of a step that only decodes, and of one prompt token in a step; averaged over the last ones. */
  #decode: number | undefined;
  #token: number | undefined;

  get besideDecoding(): number {
    if (this.#decode === undefined || this.#token === undefined) return firstTokens;
    return Math.max(fewestTokens, Math.floor((most * this.#decode) / this.#token));
  }

  /** A step of these parts took so long. */
  note(parts: readonly Part<Sequence>[], milliseconds: number): void {
    const decoding = parts.filter(({ sequence, from }) => from >= sequence.promptLength).length;
    const tokens = parts.reduce((sum, { count }) => sum + count, 0) - decoding;
    if (tokens === 0) this.#decode = averaged(this.#decode, milliseconds);
    else
      this.#token = averaged(
        this.#token,
        Math.max(0.001, milliseconds - (decoding > 0 ? (this.#decode ?? 0) : 0)) / tokens,
      );
  }
}

const averaged = (before: number | undefined, now: number): number =>
  before === undefined ? now : before + (now - before) / 4;
