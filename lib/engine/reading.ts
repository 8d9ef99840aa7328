// Sequences that choose no token: something is read of the hidden states of all their tokens, chunk by chunk, in steps
// that they share with all others.

import type { Tensor } from '../core/tensor.js';
import type { Decoder } from '../models/decoder.js';
import { Job, type JobOptions } from './job.js';
import type { Sampling } from './sampling.js';

const noSampling: Sampling = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  seed: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map(),
};

export abstract class Reading<T> extends Job {
  readonly chooses = false;
  readonly sampling = noSampling;
  readonly topLogprobs = undefined;
  readonly waits = false;
  /** Rejects if the sequence fails. */
  readonly result: Promise<T>;
  #settle!: { resolve: (result: T) => void; reject: (error: unknown) => void };

  constructor(ids: readonly number[], options: JobOptions, onEnd: (job: Job) => void) {
    super(ids, ids.length, options, onEnd);
    this.result = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  /**
   * Queues what is read of `hidden [count, hidden]`, the states of the tokens from `from` on. They come in order, if need
   * be again from the first. What it resolves to takes in what was read, and throws what refuses the request.
   */
  abstract read(hidden: Tensor, from: number, decoder: Decoder): Promise<() => void>;

  protected complete(result: T): void {
    this.#settle.resolve(result);
    this.end();
  }

  protected override tell(error: unknown): void {
    this.#settle.reject(error);
  }
}
