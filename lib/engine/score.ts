// Log probabilities of a text's own tokens, each after the tokens before it. Logits are computed for some rows at a time,
// so that the logits of a whole chunk never exist.

import { scope } from '../core/scope.js';
import { type Tensor, tensor } from '../core/tensor.js';
import type { Decoder } from '../models/decoder.js';
import { slice } from '../ops/view.js';
import type { Job, JobOptions } from './job.js';
import { type Logprobs, logprobsOf, readLogprobs } from './logits.js';
import { Reading } from './reading.js';

/** Logits that are there at a time: 16 megabytes. Fewer would read the projection's weights too often. */
const mostLogits = 2 ** 22;

export interface ScoreOptions extends JobOptions {
  /** How many of the likeliest tokens to give in the place of each. Default 0. */
  top?: number | undefined;
}

export class Scoring extends Reading<Logprobs[]> {
  /** A text that was scored is often continued: its blocks stay in the prefix cache. */
  readonly named = true;
  readonly #next: readonly number[];
  readonly #top: number;
  readonly #scores: Logprobs[] = [];

  /** Of `ids`, two at least. What follows the last is not asked for, so that it is not computed. */
  constructor(ids: readonly number[], options: ScoreOptions, onEnd: (job: Job) => void) {
    super(ids.slice(0, -1), options, onEnd);
    this.#next = ids.slice(1);
    this.#top = options.top ?? 0;
  }

  override async read(hidden: Tensor, from: number, decoder: Decoder): Promise<() => void> {
    const count = hidden.dim(0);
    const rows = Math.max(1, Math.floor(mostLogits / decoder.config.vocabSize));
    const reads: Promise<Logprobs>[] = [];
    for (let at = 0; at < count; at += rows) {
      const to = Math.min(at + rows, count);
      scope(() => {
        const logits = decoder.logits(slice(hidden, 0, at, to));
        const next = this.#next.slice(from + at, from + to);
        const own = tensor(Int32Array.from(next), { device: decoder.device });
        const all = logprobsOf(logits, [...next.keys()]);
        const counts = next.map(() => this.#top);
        reads.push(...readLogprobs(all, own, counts));
      });
    }
    const scores = await Promise.all(reads);
    return () => {
      if (scores.some(({ logprob }) => Number.isNaN(logprob)))
        throw new Error('score: the logits hold NaN, as those of a model or an adapter that has diverged do');
      this.#scores.length = from;
      for (const score of scores) this.#scores.push(score);
      if (from + count === this.promptLength) this.complete(this.#scores);
    };
  }
}
