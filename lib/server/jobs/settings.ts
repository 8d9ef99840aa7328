// From a job's hyperparameters and data to the options of a fine-tune. `auto` is what a run without options would take
// (lib/train/auto.ts), the multiplier 1, and for a method's own the option's default.
import { isAbsolute } from 'node:path';
import type { Model } from '../../model.js';
import { autoHyperparameters, autoLearningRate, type DataFacts, microBatches } from '../../train/auto.js';
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

interface ReadData extends DataFacts {
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
): Promise<ReadData> {
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

/** The peak learning rate: as given, or `auto`'s times the multiplier. */
export function peakRate(model: Model, method: JobRecord['method'], hyperparameters: Hyperparameters): number {
  const { learning_rate: given, learning_rate_multiplier: multiplier } = hyperparameters;
  if (given !== undefined) return given;
  const auto = autoLearningRate(methods[method].auto, model.decoder.config);
  return Number((auto * (typeof multiplier === 'number' ? multiplier : 1)).toPrecision(6));
}

/**
 * The hyperparameters with a value for each `auto`, and the peak learning rate that the multiplier gives.
 *
 * @param isFresh whether the adapter is a fresh one; otherwise it has its own rank and alpha
 */
export function settled(
  model: Model,
  { hyperparameters: given, method }: JobRecord,
  facts: DataFacts,
  isFresh: boolean,
): Hyperparameters {
  const auto = autoHyperparameters(methods[method].auto, model.decoder.config, facts);
  const chosen = <T>(value: T | 'auto' | null | undefined, otherwise: T): T =>
    value === 'auto' || value === null || value === undefined ? otherwise : value;
  // The server must be able to serve what the job makes.
  const rank = given.lora_r ?? Math.min(auto.lora.r, model.engine.settings.maxLoraRank);
  return {
    ...given,
    n_epochs: chosen(given.n_epochs, auto.epochs),
    batch_size: chosen(given.batch_size, auto.batchSize),
    learning_rate_multiplier: chosen(given.learning_rate_multiplier, 1),
    learning_rate: peakRate(model, method, given),
    ...(isFresh ? { lora_r: rank, lora_alpha: given.lora_alpha ?? auto.lora.alpha } : {}),
    ...Object.fromEntries(
      ownHyperparameters(method).map(({ name, otherwise }) => [name, chosen(given[name], otherwise)]),
    ),
  };
}

/** The fine-tune's options of a job whose hyperparameters are settled. */
export function trainingOptions(model: Model, job: JobRecord): Omit<FinetuneOptions, 'data'> {
  const { n_epochs, batch_size, ...h } = job.hyperparameters;
  return {
    method: job.method,
    ...Object.fromEntries(ownHyperparameters(job.method).map(({ name, option }) => [option, h[name]])),
    epochs: n_epochs as number,
    ...microBatches(batch_size as number, job.longestRow ?? 1),
    // Computed again for a record of an earlier version, which has the multiplier alone.
    learningRate: peakRate(model, job.method, job.hyperparameters),
    lora: { r: h.lora_r, alpha: h.lora_alpha, dropout: h.lora_dropout, targetModules: h.target_modules },
    seqLength: lengthOf(model, job.hyperparameters),
    seed: job.seed,
    tokenAccuracy: true,
  };
}
