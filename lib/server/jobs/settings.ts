// From a job's hyperparameters and data to the options of a fine-tune. What `auto` stands for:
//
//   n_epochs                  3; with fewer than 100 rows as many as make 300 in all, at most 10; 1 from 10,000 rows on
//   batch_size                a hundredth of the rows, from 4 to 32 and at most all of them
//   learning_rate_multiplier  1: of the method's learning rate
//   a method's own            the option's default
import { isAbsolute } from 'node:path';
import type { Model } from '../../model.js';
import { DataReport, examples } from '../../train/data/dataset.js';
import { methods } from '../../train/methods/index.js';
import { defaultSeqLength, type FinetuneOptions } from '../../train/options.js';
import { type Hyperparameters, ownHyperparameters } from './hyperparameters.js';
import type { JobRecord } from './record.js';

/** A failure that a job's record names. */
export class JobFailure extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly param: string | null = null,
  ) {
    super(message);
  }
}

export interface DataFacts {
  rows: number;
  /** In tokens. */
  longestRow: number;
  warnings: string[];
}

/** Rows are cut to this many tokens. */
export const lengthOf = (model: Model, { max_length }: Hyperparameters): number =>
  Math.min(max_length ?? defaultSeqLength, model.decoder.config.contextLength);

/**
 * Reads a whole file as the training will.
 *
 * @throws JobFailure that names the line.
 */
export async function readData(
  model: Model,
  job: JobRecord,
  which: 'training' | 'validation',
  path: string,
  signal: AbortSignal,
): Promise<DataFacts> {
  const { filename } = job[which]!;
  const failed = (message: string): JobFailure =>
    new JobFailure(withoutPath(message, path, filename), `invalid_${which}_file`, `${which}_file`);
  const report = new DataReport();
  const seqLength = lengthOf(model, job.hyperparameters);
  const options = {
    tokenizer: model.hasTokenizer ? model.tokenizer : undefined,
    vocabSize: model.decoder.config.vocabSize,
    seqLength,
    encode: methods[job.method].rows.encode,
  };
  let rows = 0;
  let longestRow = 0;
  try {
    for await (const { ids } of examples(path, options, report, signal)) {
      rows++;
      longestRow = Math.max(longestRow, ids.length);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw failed((error as Error).message);
  }
  if (rows === 0) throw failed(report.nothing(path));
  return { rows, longestRow, warnings: report.warnings(`'${filename}'`, seqLength) };
}

/** Reduces each path in a message to its last part: clients must not learn where files lie on this machine. */
export function withoutFolders(message: string, roots: readonly string[]): string {
  const inside = roots.filter(isAbsolute).reduce((text, root) => text.replaceAll(root, ''), message);
  return inside.replace(/(^|[\s'"(])(?:[A-Za-z]:)?(?:[/\\][^/\\\s:'"]+)*[/\\]([^/\\\s:'"]+)/g, '$1$2');
}

/** Names the file as the caller did, and its line. */
export function withoutPath(message: string, path: string, filename: string): string {
  if (!message.startsWith(path)) return message;
  const rest = message.slice(path.length);
  const line = /^:(\d+): /.exec(rest);
  return line ? `Line ${line[1]} of '${filename}': ${rest.slice(line[0].length)}` : `'${filename}'${rest}`;
}

const between = (low: number, value: number, high: number): number => Math.max(low, Math.min(value, high));

/** The hyperparameters with a value for each `auto`. */
export function settled(given: Hyperparameters, method: JobRecord['method'], rows: number): Hyperparameters {
  const chosen = <T>(value: T | 'auto' | null | undefined, otherwise: T): T =>
    value === 'auto' || value === null || value === undefined ? otherwise : value;
  const epochs = rows >= 10_000 ? 1 : rows < 100 ? between(3, Math.ceil(300 / rows), 10) : 3;
  return {
    ...given,
    n_epochs: chosen(given.n_epochs, epochs),
    batch_size: chosen(given.batch_size, Math.min(rows, between(4, Math.ceil(rows / 100), 32), 256)),
    learning_rate_multiplier: chosen(given.learning_rate_multiplier, 1),
    ...Object.fromEntries(
      ownHyperparameters(method).map(({ name, otherwise }) => [name, chosen(given[name], otherwise)]),
    ),
  };
}

// A step's rows pass through the model in micro-batches of at most so many tokens, or of one row.
const microBatchTokens = 4096;

// Beyond this many tokens, recomputing activations is cheaper than their memory.
const checkpointingTokens = 2048;

/** The fine-tune's options of a job whose hyperparameters are settled. */
export function trainingOptions(model: Model, job: JobRecord): Omit<FinetuneOptions, 'data'> {
  const { n_epochs, batch_size, learning_rate_multiplier, learning_rate, ...h } = job.hyperparameters;
  const rows = batch_size as number;
  const sizes = Array.from({ length: rows }, (_, i) => rows - i);
  // Micro-batches of equal size, so that a step has exactly `batch_size` rows.
  const micro = sizes.find((size) => rows % size === 0 && size * (job.longestRow ?? 1) <= microBatchTokens) ?? 1;
  return {
    method: job.method,
    ...Object.fromEntries(ownHyperparameters(job.method).map(({ name, option }) => [option, h[name]])),
    epochs: n_epochs as number,
    batchSize: micro,
    gradientAccumulation: rows / micro,
    gradientCheckpointing: micro * (job.longestRow ?? 1) > checkpointingTokens,
    learningRate: learning_rate ?? methods[job.method].learningRate * (learning_rate_multiplier as number),
    lora: { r: h.lora_r, alpha: h.lora_alpha, dropout: h.lora_dropout, targetModules: h.target_modules },
    seqLength: lengthOf(model, job.hyperparameters),
    seed: job.seed,
    tokenAccuracy: true,
  };
}
