// The hyperparameters of a run where none are given: a rule from the model's width and the data's rows. The library, the
// command line and the jobs API (`auto`) all take their numbers from here.
//
//   learning rate   the method's, times (2000 / width)^0.781 down to a width of 128; a tenth where all weights train
//   epochs          3; for fewer than 67 rows as many as see 200 rows, at most 25; for more than 8,333 as see 25,000
//   batch size      0.2 % of the rows, at least 1 and at most 32
//   schedule        linear decay to 0, without a warm-up: an adapter begins at nothing, and a short run has no step to lose
//   adapter         rank 16, alpha 32 (`defaultLora`)
import { defaultLora } from '../lora/config.js';
import type { ScheduleName } from './schedule.js';

/** What a method says of its own, as a rate is a matter of its loss. */
export interface AutoRule {
  /** Peak learning rate of an adapter for a model 2000 wide. */
  readonly learningRate: number;
}

export interface ModelFacts {
  readonly hiddenSize: number;
}

export interface DataFacts {
  readonly rows: number;
  /** In tokens. */
  readonly longestRow: number;
}

export interface AutoHyperparameters {
  /** Of a fresh adapter. */
  lora: { r: number; alpha: number };
  learningRate: number;
  epochs: number;
  /** Rows in a step. */
  batchSize: number;
}

export const autoSchedule: ScheduleName = 'linear';

// The exponent is that of Tinker's fit over Llama models: 10 · 5e-5 · (2000 / width)^0.781 (tinker-docs, "SL hyperparameters").
const referenceWidth = 2000;
const widthExponent = 0.781;
// Below the widths that were measured the power law asks for too much: 4e-3 ruins a model 64 wide.
const narrowestWidth = 128;
// "LoRA Without Regret": the best rate of an adapter is ten times that of all weights.
const fullShare = 1 / 10;

/** Peak learning rate, for an adapter or for all weights. */
export function autoLearningRate(rule: AutoRule, { hiddenSize }: ModelFacts, allWeights = false): number {
  const width = Math.max(hiddenSize, narrowestWidth);
  const rate = rule.learningRate * (referenceWidth / width) ** widthExponent * (allWeights ? fullShare : 1);
  return Number(rate.toPrecision(2));
}

// OpenAI's cookbook estimates its own `auto` so: 3 epochs, at most 25, and 25,000 rows seen at most. It has 100 at least, in
// which ten rows that differ are not remembered (docs/fine-tuning.md).
const usualEpochs = 3;
const leastSeen = 200;
const mostSeen = 25_000;
const mostEpochs = 25;

/** Passes over so many rows. */
export function autoEpochs(rows: number): number {
  if (rows * usualEpochs < leastSeen) return Math.min(mostEpochs, Math.ceil(leastSeen / rows));
  return Math.max(1, Math.min(usualEpochs, Math.floor(mostSeen / rows)));
}

// OpenAI: about 0.2 % of the rows. Its cap is 256; LoRA loses more by large batches than full training does.
const batchShare = 1 / 500;
const largestBatch = 32;

/** Rows in a step. */
export const autoBatchSize = (rows: number): number =>
  Math.min(largestBatch, Math.max(1, Math.round(rows * batchShare)));

/** The rule as a whole. */
export const autoHyperparameters = (rule: AutoRule, model: ModelFacts, { rows }: DataFacts): AutoHyperparameters => ({
  learningRate: autoLearningRate(rule, model),
  epochs: autoEpochs(rows),
  batchSize: autoBatchSize(rows),
  lora: defaultLora,
});

// A step's rows pass through the model in micro-batches of at most so many tokens, or of one row.
const microBatchTokens = 4096;
// Beyond this many tokens, recomputing activations is cheaper than their memory.
const checkpointingTokens = 2048;

/** How the rows of a step pass through the model: in micro-batches of one size, so that a step has exactly these rows. */
export function microBatches(
  batchSize: number,
  longestRow: number,
): { batchSize: number; gradientAccumulation: number; gradientCheckpointing: boolean } {
  const sizes = Array.from({ length: batchSize }, (_, i) => batchSize - i);
  const size = sizes.find((rows) => batchSize % rows === 0 && rows * longestRow <= microBatchTokens) ?? 1;
  return {
    batchSize: size,
    gradientAccumulation: batchSize / size,
    gradientCheckpointing: size * longestRow > checkpointingTokens,
  };
}
