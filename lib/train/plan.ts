// The plan of a run: epochs and batches as given, completed by `auto` once the data is known.
import { autoBatchSize, autoEpochs, microBatches } from './auto.js';
import type { BatchSize } from './data/batches.js';
import { LoadedSource, type Source } from './data/dataset.js';
import type { Settings } from './options.js';

/** How the rows pass through the model. */
export interface Passes {
  /** Undefined where the run is a number of steps. */
  epochs: number | undefined;
  size: BatchSize;
  gradientAccumulation: number;
  gradientCheckpointing: boolean;
}

/** Batches where neither they nor the number of rows are given. */
const streamedTokens = 2048;

/** Completes what `settings` leave open. */
export function passesOf({ batch, epochs, steps, seqLength }: Settings, source: Source): Passes {
  const known = source instanceof LoadedSource ? { rows: source.size, longestRow: source.examples.longest } : undefined;
  const { batchTokens, batchSize, gradientAccumulation, gradientCheckpointing } = batch;
  const open = batchTokens === undefined && batchSize === undefined && gradientAccumulation === undefined;
  const auto = open && known ? microBatches(autoBatchSize(known.rows), known.longestRow) : undefined;
  const size = batchSize ?? auto?.batchSize;
  return {
    epochs: steps === undefined ? (epochs ?? autoEpochs(known!.rows)) : undefined,
    size:
      size === undefined ? { batchTokens: batchTokens ?? Math.max(streamedTokens, seqLength) } : { batchSize: size },
    gradientAccumulation: gradientAccumulation ?? auto?.gradientAccumulation ?? 1,
    gradientCheckpointing: gradientCheckpointing ?? auto?.gradientCheckpointing ?? false,
  };
}
