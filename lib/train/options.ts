// The options of training: checked at the call, completed with defaults.
import { existsSync } from 'node:fs';
import { z } from 'zod';
import { callbackOption, checkOptions, signalOption } from '../flow/options.js';
import { Adapter } from '../lora/adapter.js';
import { type LoraOptions, loraConfig } from '../lora/config.js';
import { autoLearningRate, autoSchedule, type ModelFacts } from './auto.js';
import { type Data, isPath, pathOf } from './data/dataset.js';
import {
  defaultMethod,
  type MethodName,
  type MethodOptions,
  type MethodRow,
  methodNames,
  methods,
  methodsWith,
  optionNames,
  optionsOf,
} from './methods/index.js';
import type { Method } from './methods/method.js';
import { type ScheduleName, scheduleNames } from './schedule.js';
import type { RunPlan, TrainStep } from './step.js';

/** The path of a JSONL file, or rows that some method takes. */
export type TrainData = Data<MethodRow>;

export interface TrainOptions {
  /** A JSONL file's path, or rows: an array or any iterable, async ones too. An endless one needs `shuffle: false` and `steps`. */
  data: TrainData;
  /** Passes over the data. Default, unless `steps` is given: by the number of rows (`autoEpochs`). */
  epochs?: number | undefined;
  /** Optimizer steps, instead of `epochs`; the data is repeated as often as needed. */
  steps?: number | undefined;
  /**
   * Most tokens in a micro-batch, which holds whole rows. Without it, `batchSize` and `gradientAccumulation` a step has 0.2 %
   * of the rows, at least one and at most 32 (`autoBatchSize`); with `gradientAccumulation` alone it is 2048, or `seqLength`
   * if that is more.
   */
  batchTokens?: number | undefined;
  /** Rows in a micro-batch, instead of `batchTokens`. */
  batchSize?: number | undefined;
  /** Rows are cut to this many tokens. Default 1024, or the model's context if that is less. */
  seqLength?: number | undefined;
  /** Peak learning rate. Default: by the method and the model's width (`autoLearningRate`); a tenth of it for all weights. */
  learningRate?: number | undefined;
  /** Learning-rate schedule after the warm-up. Default `'linear'`, which decays to 0. */
  schedule?: ScheduleName | undefined;
  /** Steps in which the rate rises from 0. Default 0. */
  warmupSteps?: number | undefined;
  /** Warm-up as a share of all steps, instead of `warmupSteps`. */
  warmupRatio?: number | undefined;
  /** AdamW's weight decay. Default 0. */
  weightDecay?: number | undefined;
  /** AdamW's decay rates of the two moments. Default `[0.9, 0.999]`. */
  betas?: readonly [number, number] | undefined;
  /** AdamW's ε. Default 1e-8. */
  eps?: number | undefined;
  /** Gradient clipping: the largest norm of all gradients. Default 1; 0 turns it off. */
  maxGradNorm?: number | undefined;
  /** Micro-batches in a step. Default 1. */
  gradientAccumulation?: number | undefined;
  /**
   * Saves memory: activations are computed again in the backward pass. Default false, unless the batch size is left open and a
   * micro-batch of it has more than 2048 tokens.
   */
  gradientCheckpointing?: boolean | undefined;
  /** Held-out rows: their loss is measured, never minimised. */
  evalData?: TrainData | undefined;
  /** Steps between two evaluations. Default: ten in a run. */
  evalEvery?: number | undefined;
  /** The same seed, data and options give the same run. Default 0. */
  seed?: number | undefined;
  /** Ends the run at its next safe point, with a checkpoint if there is a `checkpointDir`. */
  signal?: AbortSignal | undefined;
  /** Where checkpoints go; the last two are kept. */
  checkpointDir?: string | undefined;
  /** Steps between two checkpoints. Default: ten in a run, at most 500 apart. */
  checkpointEvery?: number | undefined;
  /** Also writes a checkpoint after this run's first step, so that a run that is killed repeatedly still advances. */
  checkpointFirst?: boolean | undefined;
  /** Resumes from the newest checkpoint in `checkpointDir`, if there is one. */
  resume?: boolean | undefined;
  /** Default true: another order in each epoch. */
  shuffle?: boolean | undefined;
  /** Also reports the share of targets that were the model's likeliest token, at the cost of a second output layer. */
  tokenAccuracy?: boolean | undefined;
  /** Called once the data is read, before the first step, with what the run settled on. */
  onStart?: ((plan: RunPlan) => void) | undefined;
  /** Called after each step; the run waits for it, so what it writes is there before the step's checkpoint. */
  onStep?: ((step: TrainStep) => void | Promise<void>) | undefined;
  /** Called before a checkpoint is written; the run waits for it. What `onStep` wrote can be forced to disk here. */
  beforeCheckpoint?: (() => void | Promise<void>) | undefined;
  /**
   * Called after every checkpoint, that of a stop included; the run waits for it. It may move the checkpoint elsewhere: a
   * later run needs it in `checkpointDir` again.
   */
  afterCheckpoint?: ((checkpoint: { step: number; path: string }) => void | Promise<void>) | undefined;
  /**
   * Called when a checkpoint of `checkpointEvery` is on disk; the run waits for it. A resumed run calls it again for
   * the checkpoint that it resumes from.
   */
  onCheckpoint?: ((checkpoint: { step: number; path: string }) => void | Promise<void>) | undefined;
  /** Takes warnings, each one sentence. Default: `process.emitWarning`. */
  onWarning?: ((message: string) => void) | undefined;
}

/** Rows are cut to this many tokens unless `seqLength` says otherwise, or the model's context is less. */
export const defaultSeqLength = 1024;

/** The options of a run, and those of its method. */
export interface FinetuneOptions extends TrainOptions, MethodOptions {
  /** What the run learns, and from which rows. Default: the targets of `Row`s. */
  method?: MethodName | undefined;
  /** The fresh adapter's settings. */
  lora?: LoraOptions | undefined;
  /** Trains a copy of this adapter instead of a fresh one; a method with a reference compares with it. */
  adapter?: Adapter | undefined;
}

type Given<Name extends keyof FinetuneOptions> = { [K in Name]: NonNullable<FinetuneOptions[K]> };

/** `FinetuneOptions`, complete and checked. */
export interface Settings
  extends Given<
    | 'data'
    | 'seqLength'
    | 'learningRate'
    | 'schedule'
    | 'weightDecay'
    | 'betas'
    | 'eps'
    | 'maxGradNorm'
    | 'seed'
    | 'resume'
    | 'shuffle'
    | 'tokenAccuracy'
    | 'onWarning'
  > {
  method: Method;
  /** The method's own options, complete. */
  methodOptions: Readonly<Record<string, unknown>>;
  /** As given; the plan settles what is not, once the data is known. */
  batch: Pick<TrainOptions, 'batchTokens' | 'batchSize' | 'gradientAccumulation' | 'gradientCheckpointing'>;
  epochs: number | undefined;
  steps: number | undefined;
  warmup: { warmupSteps?: number; warmupRatio?: number };
  evalData: TrainData | undefined;
  evalEvery: number | undefined;
  checkpointDir: string | undefined;
  checkpointEvery: number | undefined;
  checkpointFirst: boolean;
  onStart: TrainOptions['onStart'];
  onStep: TrainOptions['onStep'];
  beforeCheckpoint: TrainOptions['beforeCheckpoint'];
  afterCheckpoint: TrainOptions['afterCheckpoint'];
  onCheckpoint: TrainOptions['onCheckpoint'];
}

const isIterable = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value);

const count = z.number().int().positive();
const flag = z.boolean();
const data = z
  .custom<TrainData>(
    (value) => (typeof value === 'string' && value !== '') || value instanceof URL || isIterable(value),
  )
  .describe('the path of a JSONL file, an array or an iterable of rows');
const share = z.number().min(0).lt(1);
const positive = z.number().positive();
const callback = callbackOption();
const notNegative = z.number().min(0);

const runOptions = {
  data,
  epochs: count.optional(),
  steps: count.optional(),
  batchTokens: count.optional(),
  batchSize: count.optional(),
  seqLength: z.number().int().min(2).optional(),
  learningRate: positive.optional(),
  schedule: z.enum(scheduleNames).optional(),
  warmupSteps: z.number().int().min(0).optional(),
  warmupRatio: share.optional(),
  weightDecay: notNegative.optional(),
  betas: z.tuple([share, share]).describe('two numbers from 0 to below 1').optional(),
  eps: positive.optional(),
  maxGradNorm: notNegative.optional(),
  gradientAccumulation: count.optional(),
  gradientCheckpointing: flag.optional(),
  evalData: data.optional(),
  evalEvery: count.optional(),
  seed: z.number().int().min(0).optional(),
  signal: signalOption.optional(),
  checkpointDir: z.string().min(1).describe('the path of a folder').optional(),
  checkpointEvery: count.optional(),
  checkpointFirst: flag.optional(),
  resume: flag.optional(),
  shuffle: flag.optional(),
  tokenAccuracy: flag.optional(),
  onStart: callback.optional(),
  onStep: callback.optional(),
  beforeCheckpoint: callback.optional(),
  afterCheckpoint: callback.optional(),
  onCheckpoint: callback.optional(),
  onWarning: callback.optional(),
} satisfies { [K in keyof TrainOptions]-?: z.ZodType };

const finetuneOptions = {
  ...runOptions,
  method: z.enum(methodNames).optional(),
  lora: z
    .custom<LoraOptions>((value) => typeof value === 'object' && value !== null && !Array.isArray(value))
    .describe('an object, such as { r: 16, alpha: 32 }')
    .optional(),
  adapter: z.instanceof(Adapter).describe('an Adapter').optional(),
} satisfies { [K in keyof Omit<FinetuneOptions, keyof MethodOptions>]-?: z.ZodType };

/** The options of every run, and of all methods: those that the chosen one does not take are refused later. */
function schemaFor(caller: 'finetune' | 'trainFull', chosen: MethodName | undefined): z.ZodType {
  if (caller === 'trainFull') return z.strictObject(runOptions);
  const own = optionNames.map((name) => [name, methodSchema(name, chosen).optional()]);
  return z.strictObject({ ...finetuneOptions, ...Object.fromEntries(own) });
}

/** The chosen method's schema of an option, or that of another method. */
function methodSchema(name: string, chosen: MethodName | undefined): z.ZodType {
  const takers = methodsWith(name);
  return (takers.find(({ method }) => method.name === (chosen ?? defaultMethod)) ?? takers[0]!).option.schema;
}

/**
 * Checks and completes options.
 *
 * @throws TypeError if an option is not known or of a wrong type, RangeError if its value is out of range, Error if the
 *   data's file is missing; each names the option.
 */
export function trainSettings(caller: 'finetune' | 'trainFull', given: FinetuneOptions, base: Base): Settings {
  checkOptions(caller, schemaFor(caller, given?.method), given, { aliases });
  for (const pair of exclusive) {
    const [a, b] = pair;
    if (given[a] !== undefined && given[b] !== undefined)
      throw new TypeError(`${caller}: give '${a}' or '${b}', not both`);
  }
  if (given.resume && given.checkpointDir === undefined)
    throw new TypeError(`${caller}: 'resume' needs a 'checkpointDir'`);
  const method = methods[given.method ?? defaultMethod];
  checkMethodOptions(caller, given, method);
  if (given.lora) loraConfig(given.lora);
  for (const option of ['data', 'evalData'] as const) {
    const path = given[option];
    if (path !== undefined && isPath(path) && !existsSync(pathOf(path)))
      throw new Error(`${caller}: ${option}: ${pathOf(path)}: no such file`);
  }
  return completed(caller, given, method, base);
}

/** What the defaults follow from. */
interface Base extends ModelFacts {
  contextLength: number;
}

function checkMethodOptions(caller: string, given: FinetuneOptions, method: Method): void {
  for (const name of optionNames) {
    const takers = methodsWith(name).map((taker) => taker.method);
    if (given[name as keyof MethodOptions] === undefined || takers.includes(method)) continue;
    throw new TypeError(`${caller}: '${name}' needs method: ${takers.map((taker) => `'${taker.name}'`).join(' or ')}`);
  }
}

const exclusive = [
  ['epochs', 'steps'],
  ['batchTokens', 'batchSize'],
  ['warmupSteps', 'warmupRatio'],
  ['lora', 'adapter'],
] as const;

function completed(caller: 'finetune' | 'trainFull', given: FinetuneOptions, method: Method, base: Base): Settings {
  const { contextLength } = base;
  const seqLength = given.seqLength ?? Math.min(defaultSeqLength, given.batchTokens ?? contextLength, contextLength);
  if (seqLength > contextLength) {
    throw new RangeError(
      `${caller}: seqLength ${seqLength} is more than the model's context of ${contextLength} tokens`,
    );
  }
  if (given.batchTokens !== undefined && seqLength > given.batchTokens) {
    throw new RangeError(`${caller}: rows of seqLength ${seqLength} don't fit batchTokens ${given.batchTokens}`);
  }
  const { batchTokens, batchSize, gradientAccumulation, gradientCheckpointing } = given;
  return {
    data: given.data,
    seqLength,
    batch: { batchTokens, batchSize, gradientAccumulation, gradientCheckpointing },
    epochs: given.epochs,
    steps: given.steps,
    learningRate: given.learningRate ?? autoLearningRate(method.auto, base, caller === 'trainFull'),
    schedule: given.schedule ?? autoSchedule,
    warmup: {
      ...(given.warmupSteps === undefined ? {} : { warmupSteps: given.warmupSteps }),
      ...(given.warmupRatio === undefined ? {} : { warmupRatio: given.warmupRatio }),
    },
    weightDecay: given.weightDecay ?? 0,
    betas: given.betas ?? [0.9, 0.999],
    eps: given.eps ?? 1e-8,
    maxGradNorm: given.maxGradNorm ?? 1,
    evalData: given.evalData,
    evalEvery: given.evalEvery,
    seed: given.seed ?? 0,
    checkpointDir: given.checkpointDir,
    checkpointEvery: given.checkpointEvery,
    checkpointFirst: given.checkpointFirst ?? false,
    resume: given.resume ?? false,
    onStart: given.onStart,
    onStep: given.onStep,
    beforeCheckpoint: given.beforeCheckpoint,
    afterCheckpoint: given.afterCheckpoint,
    onCheckpoint: given.onCheckpoint,
    shuffle: given.shuffle ?? true,
    tokenAccuracy: given.tokenAccuracy ?? false,
    method,
    methodOptions: Object.fromEntries(
      optionsOf(method).map(([name, option]) => [name, given[name as keyof MethodOptions] ?? option.default]),
    ),
    onWarning: given.onWarning ?? ((message) => process.emitWarning(message, 'HelvetiaWarning')),
  };
}

// What other trainers call these options.
const aliases: Readonly<Record<string, string>> = {
  lr: 'learningRate',
  numtrainepochs: 'epochs',
  maxsteps: 'steps',
  iters: 'steps',
  perdevicetrainbatchsize: 'batchSize',
  maxlength: 'seqLength',
  maxseqlength: 'seqLength',
  lrschedulertype: 'schedule',
  warmup: 'warmupRatio',
  adambetas: 'betas',
  gradientaccumulationsteps: 'gradientAccumulation',
  traindataset: 'data',
  evaldataset: 'evalData',
  evalsteps: 'evalEvery',
  savesteps: 'checkpointEvery',
  outputdir: 'checkpointDir',
  resumefromcheckpoint: 'resume',
  peftconfig: 'lora',
  clip: 'maxGradNorm',
  r: 'lora',
  alpha: 'lora',
  rank: 'lora',
  dropout: 'lora',
  targetmodules: 'lora',
};
