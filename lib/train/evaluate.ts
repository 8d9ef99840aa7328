// How well a model answers rows of data: the loss of what rows would teach, and how many answers it gives word for word.
import { z } from 'zod';
import { checkOptions, signalOption } from '../flow/options.js';
import { Adapter } from '../lora/adapter.js';
import type { Decoder } from '../models/decoder.js';
import type { Tokenizer } from '../text/tokenizer/tokenizer.js';
import { Batches } from './data/batches.js';
import { type Data, DataReport, dataName, LoadedSource } from './data/dataset.js';
import type { Example, Row } from './data/rows.js';
import { meansOf } from './figures.js';
import { defaultMethod, methods } from './methods/index.js';
import type { Totals } from './methods/method.js';
import { defaultSeqLength } from './options.js';
import type { Turn } from './pace.js';

export interface EvaluateOptions {
  adapter?: Adapter;
  /** Tokens of a row beyond this are cut off. Default 1024, and never beyond the model's context. */
  seqLength?: number;
  /** Whether answers are generated and compared with those of the rows. Default true. */
  answers?: boolean;
  /** Called after each batch and each answer, with what is done and what there is. */
  onProgress?: (done: number, all: number) => void;
  /** Called once for each kind of finding in the data. */
  onWarning?: (warning: string) => void;
  signal?: AbortSignal;
}

export interface Evaluation {
  /** Rows, without those that have nothing to learn. */
  rows: number;
  /** The mean cross-entropy of a token that rows teach, in nats. */
  loss: number;
  /** Share of these tokens that were the likeliest. */
  tokenAccuracy: number;
  /** Rows whose last answer has something before it, so that it can be asked for. */
  asked: number;
  /** How many of them the model answered word for word, white space at the ends aside, with its likeliest tokens. */
  exact: number;
}

const schema = z.strictObject({
  adapter: z.instanceof(Adapter).describe('an Adapter').optional(),
  seqLength: z.number().int().min(2).optional(),
  answers: z.boolean().optional(),
  onProgress: z.custom<NonNullable<EvaluateOptions['onProgress']>>((f) => typeof f === 'function').optional(),
  onWarning: z.custom<NonNullable<EvaluateOptions['onWarning']>>((f) => typeof f === 'function').optional(),
  signal: signalOption.optional(),
});

/** Generates the likeliest continuation of token ids, at most so many tokens. */
export type Continue = (
  ids: readonly number[],
  most: number,
  adapter: Adapter | undefined,
) => Promise<readonly number[]>;

const batchTokens = 2048;
/** Answers that are generated side by side. */
const together = 8;
/** Tokens that an answer may be longer than the row's before it counts as another. */
const slack = 8;

/**
 * @throws TypeError or RangeError that names the option; as a rejection an Error that names a bad row's file and line.
 */
export async function evaluate(
  decoder: Decoder,
  tokenizer: Tokenizer | undefined,
  data: Data<Row>,
  given: EvaluateOptions,
  { turn, generate }: { turn?: Turn; generate: Continue },
): Promise<Evaluation> {
  const options = checkOptions('evaluate', schema, given);
  const { adapter, answers = true, onProgress, signal = new AbortController().signal } = options;
  const seqLength = Math.min(options.seqLength ?? defaultSeqLength, decoder.config.contextLength);
  const report = new DataReport();
  const encoding = { tokenizer, vocabSize: decoder.config.vocabSize, seqLength };
  const source = await LoadedSource.load(data, encoding, report, signal, undefined);
  for (const warning of report.warnings(dataName(data), seqLength)) options.onWarning?.(warning);
  const rows: Example[] = Array.from({ length: source.size }, (_, row) => source.examples.at(row)!);
  const questions = answers && tokenizer ? rows.flatMap((row) => questionOf(row) ?? []) : [];
  const all = rows.length + questions.length;
  let done = 0;
  const advance = (count: number): void => {
    done += count;
    onProgress?.(done, all);
  };
  const context = {
    ...{ decoder, tokenizer, adapter, reference: undefined },
    ...{ checkpointing: false, tokenAccuracy: true, signal, turn },
  };
  const objective = methods[defaultMethod].objective(context, {});
  const totals: Totals[] = [];
  const batches = new Batches(source, { batchTokens });
  for (let batch = await batches.next(); batch.length > 0; batch = await batches.next()) {
    signal.throwIfAborted();
    totals.push(await (await objective.prepare(batch, 0)).measure());
    advance(batch.length);
  }
  let exact = 0;
  const waiting = questions.values();
  const answer = async (): Promise<void> => {
    for (const { prompt, wanted } of waiting) {
      signal.throwIfAborted();
      const written = await generate(prompt, wanted.length + slack, adapter);
      if (textOf(tokenizer!, written) === textOf(tokenizer!, wanted)) exact += 1;
      advance(1);
    }
  };
  await Promise.all(Array.from({ length: together }, answer));
  const { loss, tokenAccuracy } = meansOf(totals) as { loss: number; tokenAccuracy: number };
  return { rows: rows.length, loss, tokenAccuracy, asked: questions.length, exact };
}

interface Question {
  prompt: number[];
  wanted: number[];
}

/** A row's last answer and all that stands before it; undefined where nothing does, or where the answer was cut off. */
function questionOf({ ids, labels }: Example): Question | undefined {
  let end = labels.length;
  while (end > 0 && labels[end - 1]! < 0) end -= 1;
  let start = end;
  while (start > 0 && labels[start - 1]! >= 0) start -= 1;
  if (start === 0 || start === end) return undefined;
  return { prompt: [...ids.subarray(0, start)], wanted: [...ids.subarray(start, end)] };
}

/** Without control tokens, such as that of the turn's end. */
const textOf = (tokenizer: Tokenizer, ids: readonly number[]): string => tokenizer.decode(ids).trim();
