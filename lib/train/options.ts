// The options of training: checked at the call, completed with defaults.
import { existsSync } from 'node:fs';
import type { Adapter } from '../lora/adapter.js';
import { type LoraOptions, loraConfig } from '../lora/config.js';
import type { BatchSize } from './data/batches.js';
import { type Data, isPath, pathOf } from './data/dataset.js';
import type { TrainStep } from './loop.js';
import {
  defaultMethod,
  type MethodName,
  type MethodOptions,
  methodNames,
  methods,
  methodsWith,
  optionNames,
  optionsOf,
} from './methods/index.js';
import type { Method } from './methods/method.js';
import { type ScheduleName, scheduleNames } from './schedule.js';

export interface TrainOptions {
  /** A JSONL file's path, or rows: an array or any iterable, async ones too. An endless one needs `shuffle: false` and `steps`. */
  data: Data;
  /** RunContext over the data. Default 1, unless `steps` is given. */
  epochs?: number | undefined;
  /** Optimizer steps, instead of `epochs`; the data is repeated as often as needed. */
  steps?: number | undefined;
  /** Most tokens in a micro-batch, which holds whole rows. Default 2048, or `seqLength` if that is more. */
  batchTokens?: number | undefined;
  /** Rows in a micro-batch, instead of `batchTokens`. */
  batchSize?: number | undefined;
  /** Rows are cut to this many tokens. Default 1024, or the model's context if that is less. */
  seqLength?: number | undefined;
  /** Peak learning rate. Default: the method's for an adapter, 2e-5 for all weights. */
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
  /** Saves memory: activations are computed again in the backward pass. Default false. */
  gradientCheckpointing?: boolean | undefined;
  /** Held-out rows: their loss is measured, never minimised. */
  evalData?: Data | undefined;
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
    | 'gradientAccumulation'
    | 'gradientCheckpointing'
    | 'seed'
    | 'resume'
    | 'shuffle'
    | 'tokenAccuracy'
    | 'onWarning'
  > {
  method: Method;
  /** The method's own options, complete. */
  methodOptions: Readonly<Record<string, unknown>>;
  size: BatchSize;
  /** Set unless `steps` is. */
  epochs: number | undefined;
  steps: number | undefined;
  warmup: { warmupSteps?: number; warmupRatio?: number };
  evalData: Data | undefined;
  evalEvery: number | undefined;
  checkpointDir: string | undefined;
  checkpointEvery: number | undefined;
  checkpointFirst: boolean;
  onStep: TrainOptions['onStep'];
  beforeCheckpoint: TrainOptions['beforeCheckpoint'];
  afterCheckpoint: TrainOptions['afterCheckpoint'];
  onCheckpoint: TrainOptions['onCheckpoint'];
}

type Rule = readonly [test: (value: unknown) => boolean, words: string];

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0;
const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
const isIterable = (value: unknown): boolean =>
  isObject(value) && (Symbol.iterator in value || Symbol.asyncIterator in value);

const count: Rule = [isCount, 'a positive integer'];
const flag: Rule = [(value) => typeof value === 'boolean', 'true or false'];
const data: Rule = [
  (value) => (typeof value === 'string' && value !== '') || value instanceof URL || isIterable(value),
  'the path of a JSONL file, an array or an iterable of rows',
];
const share: Rule = [(value) => isNumber(value) && value >= 0 && value < 1, 'a number from 0 to below 1'];
const positive: Rule = [(value) => isNumber(value) && value > 0, 'a positive number'];
const callback: Rule = [(value) => typeof value === 'function', 'a function'];
const notNegative: Rule = [(value) => isNumber(value) && value >= 0, 'a number, 0 or more'];

type OwnOptions = Omit<FinetuneOptions, keyof MethodOptions>;

const rules: { readonly [K in keyof OwnOptions]-?: Rule } = {
  data,
  epochs: count,
  steps: count,
  batchTokens: count,
  batchSize: count,
  seqLength: [(value) => isCount(value) && (value as number) > 1, 'an integer, 2 or more'],
  learningRate: positive,
  schedule: [(value) => scheduleNames.includes(value as ScheduleName), `one of ${scheduleNames.join(', ')}`],
  warmupSteps: [(value) => value === 0 || isCount(value), 'an integer, 0 or more'],
  warmupRatio: share,
  weightDecay: notNegative,
  betas: [
    (value) => Array.isArray(value) && value.length === 2 && value.every(share[0]),
    'two numbers from 0 to below 1',
  ],
  eps: positive,
  maxGradNorm: notNegative,
  gradientAccumulation: count,
  gradientCheckpointing: flag,
  evalData: data,
  evalEvery: count,
  seed: [(value) => value === 0 || isCount(value), 'an integer, 0 or more'],
  signal: [(value) => value instanceof AbortSignal, 'an AbortSignal'],
  checkpointDir: [(value) => typeof value === 'string' && value !== '', 'the path of a folder'],
  checkpointEvery: count,
  checkpointFirst: flag,
  resume: flag,
  shuffle: flag,
  tokenAccuracy: flag,
  onStep: callback,
  beforeCheckpoint: callback,
  afterCheckpoint: callback,
  onCheckpoint: callback,
  onWarning: callback,
  method: [(value) => methodNames.includes(value as MethodName), `one of ${methodNames.join(', ')}`],
  lora: [(value) => isObject(value) && !Array.isArray(value), 'an object, such as { r: 16, alpha: 32 }'],
  adapter: [(value) => isObject(value) && 'pairs' in value && 'parameters' in value, 'an Adapter'],
};

const finetuneOnly: readonly string[] = ['lora', 'adapter', 'method', ...optionNames];

/**
 * Checks and completes options.
 *
 * @throws TypeError if an option is not known or of a wrong type, RangeError if its value is out of range, Error if the
 *   data's file is missing; each names the option.
 */
export function trainSettings(caller: 'finetune' | 'trainFull', given: FinetuneOptions, defaults: Defaults): Settings {
  if (!isObject(given)) throw new TypeError(`${caller}: takes options, at least { data }, got ${String(given)}`);
  const known = [...Object.keys(rules), ...optionNames].filter(
    (name) => caller === 'finetune' || !finetuneOnly.includes(name),
  );
  for (const [name, value] of Object.entries(given)) {
    if (!known.includes(name)) throw new TypeError(`${caller}: there is no option '${name}'${suggestion(name, known)}`);
    const [test, words] = rules[name as keyof OwnOptions] ?? methodRule(name, given.method);
    if (value === undefined || test(value)) continue;
    const comparable =
      name === 'schedule' || name === 'method' || (typeof value === 'number' && /number|integer/.test(words));
    const Failure = comparable ? RangeError : TypeError;
    throw new Failure(`${caller}: option '${name}' must be ${words}, got ${shown(value)}`);
  }
  if (given.data === undefined) throw new TypeError(`${caller}: option 'data' must be ${data[1]}, but is missing`);
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
  return completed(caller, given, method, defaults);
}

/** What stands for options that are not given. */
interface Defaults {
  /** Default: the method's. */
  learningRate?: number;
  contextLength: number;
}

/** The chosen method's rule for an option, or that of another method, which is refused later. */
function methodRule(name: string, chosen: MethodName | undefined): Rule {
  const takers = methodsWith(name);
  const { schema } = (takers.find(({ method }) => method.name === (chosen ?? defaultMethod)) ?? takers[0]!).option;
  return [(value) => schema.safeParse(value).success, schema.description ?? 'another value'];
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

function completed(
  caller: string,
  given: FinetuneOptions,
  method: Method,
  { contextLength, learningRate = method.learningRate }: Defaults,
): Settings {
  const seqLength = given.seqLength ?? Math.min(defaultSeqLength, given.batchTokens ?? contextLength, contextLength);
  if (seqLength > contextLength) {
    throw new RangeError(
      `${caller}: seqLength ${seqLength} is more than the model's context of ${contextLength} tokens`,
    );
  }
  if (given.batchTokens !== undefined && seqLength > given.batchTokens) {
    throw new RangeError(`${caller}: rows of seqLength ${seqLength} don't fit batchTokens ${given.batchTokens}`);
  }
  const size =
    given.batchSize === undefined
      ? { batchTokens: given.batchTokens ?? Math.max(2048, seqLength) }
      : { batchSize: given.batchSize };
  return {
    data: given.data,
    seqLength,
    size,
    epochs: given.steps === undefined ? (given.epochs ?? 1) : undefined,
    steps: given.steps,
    learningRate: given.learningRate ?? learningRate,
    schedule: given.schedule ?? 'linear',
    warmup: {
      ...(given.warmupSteps === undefined ? {} : { warmupSteps: given.warmupSteps }),
      ...(given.warmupRatio === undefined ? {} : { warmupRatio: given.warmupRatio }),
    },
    weightDecay: given.weightDecay ?? 0,
    betas: given.betas ?? [0.9, 0.999],
    eps: given.eps ?? 1e-8,
    maxGradNorm: given.maxGradNorm ?? 1,
    gradientAccumulation: given.gradientAccumulation ?? 1,
    gradientCheckpointing: given.gradientCheckpointing ?? false,
    evalData: given.evalData,
    evalEvery: given.evalEvery,
    seed: given.seed ?? 0,
    checkpointDir: given.checkpointDir,
    checkpointEvery: given.checkpointEvery,
    checkpointFirst: given.checkpointFirst ?? false,
    resume: given.resume ?? false,
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

function suggestion(name: string, known: readonly string[]): string {
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z]/g, '');
  const alias = aliases[plain(name)];
  const scored = known.map((other) => ({ other, distance: editDistance(plain(name), plain(other)) }));
  const nearest = scored.sort((a, b) => a.distance - b.distance)[0]!;
  const found =
    alias && known.includes(alias) ? alias : nearest.distance <= name.length / 3 ? nearest.other : undefined;
  return found === undefined ? `; there are ${known.join(', ')}` : `: did you mean '${found}'?`;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}

function shown(value: unknown): string {
  if (typeof value === 'number') return String(value);
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
