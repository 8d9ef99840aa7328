// Pooled texts: the final hidden states of all tokens of a text as one vector, for embeddings and for scores. They are
// added in double, token by token, so that a text has the same vector however its tokens are spread over steps.

import { scope } from '../core/scope.js';
import type { Tensor } from '../core/tensor.js';
import { cast } from '../ops/copy.js';
import { slice } from '../ops/view.js';
import { Pool, type PoolingKind } from '../parts/pooling.js';
import type { Job, JobOptions } from './job.js';
import { Reading } from './reading.js';

export interface PoolingOptions extends JobOptions {
  /** So many tokens at the beginning do not count. Default 0. */
  skipped?: number | undefined;
}

export class Pooling extends Reading<Float64Array> {
  readonly named = false;
  readonly #skipped: number;
  #pool: Pool | undefined;

  constructor(
    ids: readonly number[],
    private readonly kinds: readonly PoolingKind[],
    options: PoolingOptions,
    onEnd: (job: Job) => void,
  ) {
    super(ids, options, onEnd);
    this.#skipped = options.skipped ?? 0;
  }

  override async read(hidden: Tensor, from: number): Promise<() => void> {
    const { kinds, promptLength: length } = this;
    const [count, width] = [hidden.dim(0), hidden.dim(1)];
    const [first, end] = Pool.rows(kinds, length, this.#skipped, from, count);
    const states = first < end ? await read(hidden, first - from, end - from) : [];
    return () => {
      if (from === 0 || !this.#pool) this.#pool = new Pool(kinds, width, length, this.#skipped);
      this.#pool.add(states, first);
      if (from + count === length) this.complete(this.#pool.result());
    };
  }
}

const read = (hidden: Tensor, first: number, end: number): Promise<ArrayLike<number>> =>
  scope(() => cast(slice(hidden, 0, first, end), 'f32').data());
