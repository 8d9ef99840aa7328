// Embeddings of texts: the mean of the final hidden states, of length 1. A text is a sequence that chooses no token; its
// hidden states are summed chunk by chunk, in steps that it shares with all others.
import { cast } from '../ops/copy.js';
import { sum } from '../ops/reduce.js';
import { slice } from '../ops/view.js';
import type { Tensor } from '../tensor.js';
import { Job, type JobOptions, type StepSettings } from './job.js';
import type { Part, Sequence } from './scheduler.js';

/** The sum of a part's hidden states `[hidden]`, and what it sums. */
export interface PartialSum<S> {
  part: Part<S>;
  read: Promise<Float32Array>;
}

/** Reads the sums of the parts whose hidden states are asked for. `hidden [tokens, hidden]` holds all parts. */
export function readSums<S extends Sequence>(hidden: Tensor, parts: readonly Part<S>[]): PartialSum<S>[] {
  let end = 0;
  const sums: PartialSum<S>[] = [];
  for (const part of parts) {
    end += part.count;
    if (!part.sequence.pooled) continue;
    const read = sum(cast(slice(hidden, 0, end - part.count, end), 'f32'), 0).data() as Promise<Float32Array>;
    read.catch(() => {}); // looked at when the step is delivered
    sums.push({ part, read });
  }
  return sums;
}

const noSampling: StepSettings = {
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

export class Embedding extends Job {
  readonly pooled = true;
  readonly settings = noSampling;
  readonly topLogprobs = undefined;
  readonly waits = false;
  readonly embedded: Promise<Float32Array>;
  #total: Float64Array | undefined;
  #settle!: { resolve: (embedding: Float32Array) => void; reject: (error: unknown) => void };

  constructor(ids: readonly number[], options: JobOptions, onEnd: (job: Job) => void) {
    super(ids, ids.length, options, onEnd);
    this.embedded = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  /** Takes the sum of the hidden states of tokens `from` to `from + count`. They come in order, if need be again. */
  add({ from, count }: Omit<Part<unknown>, 'sequence'>, sum: Float32Array): void {
    if (from === 0 || !this.#total) this.#total = new Float64Array(sum.length);
    for (const [i, x] of sum.entries()) this.#total[i]! += x;
    if (from + count < this.promptLength) return;
    this.#settle.resolve(normalized(this.#total));
    this.end();
  }

  protected override tell(error: unknown): void {
    this.#settle.reject(error);
  }
}

function normalized(x: Float64Array): Float32Array {
  const norm = Math.sqrt(x.reduce((squares, value) => squares + value * value, 0));
  return Float32Array.from(x, (value) => (norm > 0 ? value / norm : 0));
}
