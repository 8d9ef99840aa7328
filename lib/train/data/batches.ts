// Micro-batches: whole examples packed end to end, never padded, in an epoch's order.
//
// A micro-batch takes examples from the order until the next one would pass `batchTokens`, or until it has `batchSize`
// of them. A position in the order is therefore all that a resumed run needs.
import type { TimeSlice } from '../../flow/pause.js';
import type { Source } from './dataset.js';
import type { Example } from './rows.js';

/** The next example to take. */
export interface Position {
  epoch: number;
  row: number;
}

export interface BatchSize {
  batchTokens?: number | undefined;
  batchSize?: number | undefined;
}

/** Whether a micro-batch of `count` examples and `tokens` tokens has no room for one more of `length`. */
function full({ batchTokens, batchSize }: BatchSize, count: number, tokens: number, length: number): boolean {
  if (count === 0) return false;
  return (
    (batchSize !== undefined && count >= batchSize) || (batchTokens !== undefined && tokens + length > batchTokens)
  );
}

export class Batches {
  #epoch: number;
  #row: number;

  constructor(
    private readonly source: Source,
    private readonly size: BatchSize,
    start: Position = { epoch: 0, row: 0 },
  ) {
    this.#epoch = start.epoch;
    this.#row = start.row;
  }

  get position(): Position {
    return { epoch: this.#epoch, row: this.#row };
  }

  /**
   * The micro-batches of one step: `accumulation` of them, or fewer at the end of an epoch, which no step crosses.
   */
  async step(accumulation: number): Promise<Example[][]> {
    const out: Example[][] = [];
    while (out.length < accumulation) {
      const batch = await this.next();
      if (batch.length > 0) out.push(batch);
      else if (out.length > 0) break;
    }
    return out;
  }

  /** The next micro-batch; empty once at the end of each epoch. */
  async next(): Promise<Example[]> {
    const batch: Example[] = [];
    let tokens = 0;
    for (;;) {
      const example = await this.source.at(this.#epoch, this.#row);
      if (example === undefined) break;
      if (full(this.size, batch.length, tokens, example.ids.length)) return batch;
      batch.push(example);
      tokens += example.ids.length;
      this.#row++;
    }
    if (batch.length === 0) {
      this.#epoch++;
      this.#row = 0;
    }
    return batch;
  }
}

/** The number of steps in one epoch. */
export async function stepsInEpoch(
  source: Source,
  size: BatchSize,
  accumulation: number,
  epoch: number,
  slice: TimeSlice,
): Promise<number> {
  let batches = 0;
  let count = 0;
  let tokens = 0;
  for (let row = 0; ; row++) {
    const example = await source.at(epoch, row);
    if (example === undefined) break;
    if (count === 0 || full(size, count, tokens, example.ids.length)) {
      batches++;
      count = 0;
      tokens = 0;
    }
    count++;
    tokens += example.ids.length;
    if (row % 1024 === 0 && slice.over) await slice.pause();
  }
  return Math.ceil(batches / accumulation);
}

/** The target of each position of the packed batch: the label of the next position of its example, or -1. */
export function targetsOf(batch: readonly Example[]): { targets: Int32Array; count: number; tokens: number } {
  const tokens = batch.reduce((sum, { ids }) => sum + ids.length, 0);
  const targets = new Int32Array(tokens).fill(-1);
  let count = 0;
  let start = 0;
  for (const { labels } of batch) {
    for (let t = 1; t < labels.length; t++) {
      const label = labels[t]!;
      if (label < 0) continue;
      targets[start + t - 1] = label;
      count++;
    }
    start += labels.length;
  }
  return { targets, count, tokens };
}
