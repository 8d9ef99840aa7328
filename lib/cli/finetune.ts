// helvetia finetune: trains a LoRA adapter on a data set and leaves it in a folder, with its figures and a plot.
import { existsSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Command, Option } from 'commander';
import { defaultLora } from '../lora/config.js';
import { autoLearningRate } from '../train/auto.js';
import { listCheckpoints } from '../train/checkpoint.js';
import type { Finetune } from '../train/finetune.js';
import {
  defaultMethod,
  type MethodName,
  type MethodOptions,
  methodNames,
  methods,
  methodsWith,
  optionNames,
} from '../train/methods/index.js';
import type { FinetuneOptions } from '../train/options.js';
import { MetricsFile } from '../train/report.js';
import type { RunPlan } from '../train/step.js';
import { adapterFolder, checkTarget, isInside } from './folders.js';
import { duration, plural, quoted } from './format.js';
import { type Opened, open } from './open.js';
import { addModelOptions, type ModelFlags, modelArgument } from './options.js';
import {
  fitting,
  given,
  names,
  nonNegative,
  positive,
  positiveInteger,
  shareBelowOne,
  targetModules,
  wholeNumber,
} from './parse.js';
import { Progress } from './progress.js';
import { type Context, styleFor, UsageError } from './terminal.js';
import { keeping, planLine, saveRun, type Watched, watch } from './training.js';

interface Flags extends ModelFlags, MethodOptions {
  out: string;
  method?: MethodName;
  force?: boolean;
  json?: boolean;
  metrics: 'jsonl' | 'csv';
  rank?: number;
  alpha?: number;
  dropout?: number;
  targetModules?: string | string[];
  targetParameters?: string[];
  rslora?: boolean;
  epochs?: number;
  steps?: number;
  batchTokens?: number;
  batchSize?: number;
  seqLength?: number;
  gradientAccumulation?: number;
  gradientCheckpointing?: boolean;
  shuffle: boolean;
  learningRate?: number;
  schedule?: 'constant' | 'linear' | 'cosine';
  warmupSteps?: number;
  warmupRatio?: number;
  weightDecay?: number;
  maxGradNorm?: number;
  seed?: number;
  evalData?: string;
  evalEvery?: number;
  checkpointDir?: string;
  checkpointEvery?: number;
  resume?: boolean;
}

const otherMethods = methodNames.filter((name) => name !== defaultMethod);

const formsOf = (name: MethodName): string => methods[name].rows.help.forms.map((form) => `\n  ${form}`).join('');
const { learned } = methods[defaultMethod].rows.help;

const description = `Trains a LoRA adapter for a model, and writes it in PEFT's format.

The data has one JSON object on each line, in one of these forms:${formsOf(defaultMethod)}
${learned[0]!.toUpperCase()}${learned.slice(1)}.
${otherMethods.map((name) => `With --method ${name} ${methods[name].rows.help.learned}:${formsOf(name)}`).join('\n')}`;

const afterHelp = `
The first Ctrl-C saves a checkpoint and the adapter so far, and ends; the same
command with --resume goes on from there. A second one ends at once.

Examples:
  $ helvetia finetune model.gguf support.jsonl --out adapters/support
  $ helvetia finetune ORG/NAME data.jsonl --out adapters/a --rank 16 --epochs 3
  $ helvetia finetune models/helvetia-small data.jsonl --out adapters/b \\
      --steps 200 --learning-rate 1e-3 --eval-data held-out.jsonl --json`;

export function addFinetune(program: Command, context: Context): void {
  const command = program
    .command('finetune')
    .summary('train a LoRA adapter on your data')
    .description(description)
    .argument('<model>', modelArgument)
    .argument('<data>', 'a JSONL file')
    .requiredOption(
      '--out <folder>',
      'where the adapter goes, with metrics.jsonl and loss.svg; an adapter there is replaced',
    )
    .option('--force', 'replace the folder even if it holds something else; forget an interrupted run')
    .option('--json', 'print one JSON object per step, and one at the end')
    .addOption(
      new Option('--metrics <format>', "format of the steps' figures").choices(['jsonl', 'csv']).default('jsonl'),
    );
  addLora(command);
  addMethods(command);
  addSchedule(command);
  addRun(command);
  addModelOptions(command)
    .addHelpText('after', afterHelp)
    .action((model: string, data: string, flags: Flags) => run(context, model, data, flags));
}

const freshOnly = ['rank', 'alpha', 'dropout', 'targetModules', 'targetParameters', 'rslora'];

function addLora(command: Command): void {
  command
    .optionsGroup('Adapter:')
    .option('--rank <r>', `rank of the low-rank pairs (default: ${defaultLora.r})`, positiveInteger)
    .option('--alpha <a>', `the adapter is scaled by alpha / rank (default: ${defaultLora.alpha})`, positive)
    .option('--dropout <p>', 'dropout probability of the inputs of each pair in training (default: 0)', shareBelowOne)
    .option(
      '--target-modules <names>',
      "layers to train: 'all-linear', endings such as q_proj,v_proj, or a regular expression (default: all-linear)",
      targetModules,
    )
    .option(
      '--target-parameters <names>',
      'parameters to train besides: endings such as experts.gate_up_proj,experts.down_proj of a mixture of experts (default: none)',
      names,
    )
    .option('--rslora', 'scale by alpha / √rank instead')
    .addOption(
      new Option('--adapter <folder>', 'train a copy of this adapter on instead of a fresh one').conflicts(freshOnly),
    );
}

/** The flags of the methods' own options; several methods may have an option of one name. */
function addMethods(command: Command): void {
  command
    .optionsGroup('Training:')
    .addOption(new Option('--method <name>', `what is learned (default: ${defaultMethod})`).choices(methodNames));
  for (const name of optionNames) {
    const takers = methodsWith(name);
    const help = takers.map(
      ({ method, option }) => `with --method ${method.name}: ${option.help} (default: ${String(option.default)})`,
    );
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    command.option(`--${flag} <x>`, help.join('; '), fitting(takers.map(({ option }) => option.schema)));
  }
}

const learningRates = methodNames
  .map((name) => {
    const [narrow, wide] = [512, 4096].map((hiddenSize) => autoLearningRate(methods[name].auto, { hiddenSize }));
    const use = name === defaultMethod ? '' : ` with --method ${name}`;
    return `${narrow!.toExponential()} for a model 512 wide to ${wide!.toExponential()} for 4096${use}`;
  })
  .join(', ');

function addSchedule(command: Command): void {
  command
    .addOption(
      new Option(
        '--epochs <n>',
        'passes over the data (default: by its rows: 20 for 10, 5 for 40, 3 for 67 to 8,333, 1 for 25,000)',
      )
        .argParser(positiveInteger)
        .conflicts('steps'),
    )
    .option('--steps <n>', 'optimizer steps, instead of epochs', positiveInteger)
    .addOption(
      new Option('--batch-tokens <n>', 'tokens in a micro-batch at most, of whole rows')
        .argParser(positiveInteger)
        .conflicts('batchSize'),
    )
    .option(
      '--batch-size <n>',
      'rows in a micro-batch, instead of tokens (default: 0.2 % of the rows in a step, at least 1, at most 32)',
      positiveInteger,
    )
    .option(
      '--seq-length <n>',
      "rows are cut to this many tokens (default: 1024, or the model's context)",
      positiveInteger,
    )
    .option('--gradient-accumulation <n>', 'micro-batches in a step (default: 1)', positiveInteger)
    .option('--gradient-checkpointing', 'recompute activations in the backward pass to save memory')
    .option('--no-shuffle', "keep the rows' order")
    .option('--learning-rate <x>', `peak learning rate (default: ${learningRates})`, positive)
    .addOption(
      new Option(
        '--schedule <name>',
        'learning-rate schedule after the warm-up (default: linear, which decays to 0)',
      ).choices(['constant', 'linear', 'cosine']),
    )
    .addOption(
      new Option('--warmup-steps <n>', 'steps in which the rate rises from 0 (default: 0)')
        .argParser(wholeNumber)
        .conflicts('warmupRatio'),
    )
    .option('--warmup-ratio <x>', 'warm-up as a share of all steps, 0 to 1', shareBelowOne)
    .option('--weight-decay <x>', "AdamW's weight decay (default: 0)", nonNegative)
    .option(
      '--max-grad-norm <x>',
      'gradient clipping: the largest norm of all gradients; 0 turns it off (default: 1)',
      nonNegative,
    )
    .option('--seed <n>', 'the same seed, data and options give the same run (default: 0)', wholeNumber);
}

function addRun(command: Command): void {
  command
    .optionsGroup('Run:')
    .option('--eval-data <file>', 'a JSONL file of held-out rows, whose loss is measured on the way')
    .option('--eval-every <n>', 'steps between two evaluations (default: ten in a run)', positiveInteger)
    .option('--checkpoint-dir <folder>', 'where checkpoints go (default: beside --out, removed at the end)')
    .option(
      '--checkpoint-every <n>',
      'steps between two checkpoints (default: ten in a run, at most 500)',
      positiveInteger,
    )
    .option('--resume', 'resume from the newest checkpoint, if there is one');
}

async function run(context: Context, name: string, data: string, flags: Flags): Promise<void> {
  const checkpointDir = flags.checkpointDir ?? `${flags.out.replace(/[/\\]+$/, '')}.checkpoints`;
  await checkPaths(data, checkpointDir, flags);
  using opened = await open(context, name, flags, { quiet: flags.json === true });
  const { stderr, env } = context.terminal;
  const progress = flags.json ? undefined : new Progress(stderr, { label: 'finetune', env });
  const watched: Watched = {
    last: undefined,
    count: 0,
    metrics: new MetricsFile(join(checkpointDir, `metrics.${flags.metrics}`)),
  };
  const started = performance.now();
  const save = async (
    result: Finetune['adapter'],
    title = `Fine-tuning ${basename(opened.model.name)}`,
  ): Promise<void> => {
    if (result)
      await saveRun(flags.out, result, watched.metrics, title, methods[flags.method ?? defaultMethod].lossUnit);
  };
  const warn = (message: string): void => {
    const line = `${styleFor(stderr, env).yellow('warning:')} ${message}`;
    if (progress) progress.note(line);
    else stderr.write(`${line}\n`);
  };
  const tell = (plan: RunPlan): void => {
    if (flags.json) print(context, { type: 'start', ...plan });
    else progress?.note(planLine(plan));
  };
  const training = start(context, opened, data, checkpointDir, flags, watched.metrics, {
    onWarning: warn,
    onStart: tell,
  });
  try {
    const adapter = await watch(
      training,
      watched,
      progress,
      flags.json ? (step) => print(context, { type: 'step', ...step }) : undefined,
    );
    progress?.end();
    await save(adapter);
  } catch (error) {
    progress?.end();
    const { signal, exitCode } = context.interrupts;
    if (!signal.aborted) throw error;
    if (watched.last) await save(training.adapter);
    finish(context, flags, opened, name, watched, started, checkpointDir);
    context.exitCode = exitCode;
    return;
  } finally {
    training.adapter?.dispose();
  }
  if (flags.checkpointDir === undefined) await clear(checkpointDir);
  finish(context, flags, opened, name, watched, started);
}

/** @throws UsageError or Error before anything slow is begun. */
async function checkPaths(data: string, checkpointDir: string, flags: Flags): Promise<void> {
  for (const path of [data, flags.evalData]) {
    if (path !== undefined && !existsSync(path)) throw new Error(`${path}: no such file`);
  }
  checkTarget(flags.out, adapterFolder, flags.force === true);
  if (isInside(checkpointDir, flags.out)) {
    throw new UsageError(
      `--checkpoint-dir ${checkpointDir}: must not lie in --out ${flags.out}, which is replaced whole`,
    );
  }
  if (isInside(data, flags.out))
    throw new UsageError(`--out ${flags.out}: holds the data ${data}, and writing would replace it`);
  if (flags.resume || (await listCheckpoints(checkpointDir)).length === 0) return;
  if (!flags.force) {
    throw new UsageError(
      `${checkpointDir}: holds the checkpoints of an earlier run; --resume goes on from them, --force starts over`,
    );
  }
  await clear(checkpointDir);
}

function start(
  context: Context,
  { model, adapter }: Opened,
  data: string,
  checkpointDir: string,
  flags: Flags,
  metrics: MetricsFile,
  listeners: Pick<FinetuneOptions, 'onWarning' | 'onStart'>,
): Finetune {
  const { method, rank: r, alpha, dropout, targetModules, targetParameters, rslora } = flags;
  const { epochs, steps, batchTokens, batchSize, seqLength, gradientAccumulation, gradientCheckpointing, shuffle } =
    flags;
  const { learningRate, schedule, warmupSteps, warmupRatio, weightDecay, maxGradNorm, seed } = flags;
  const { evalData, evalEvery, checkpointEvery, resume } = flags;
  const options: FinetuneOptions = {
    ...given({
      method,
      ...Object.fromEntries(optionNames.map((name) => [name, flags[name as keyof MethodOptions]])),
      epochs,
      steps,
      batchTokens,
      batchSize,
      seqLength,
      gradientAccumulation,
      gradientCheckpointing,
      shuffle,
    }),
    ...given({ learningRate, schedule, warmupSteps, warmupRatio, weightDecay, maxGradNorm, seed }),
    ...given({ evalData, evalEvery, checkpointDir, checkpointEvery, resume }),
    ...(adapter ? { adapter } : { lora: given({ r, alpha, dropout, targetModules, targetParameters, rslora }) }),
    data,
    onStep: keeping(metrics),
    ...listeners,
    signal: context.interrupts.signal,
  };
  try {
    return model.finetune(options);
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError)
      throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

// Only what a run leaves: whatever else lies there stays.
async function clear(checkpointDir: string): Promise<void> {
  for (const { path } of await listCheckpoints(checkpointDir)) await rm(path, { recursive: true, force: true });
  for (const file of ['metrics.jsonl', 'metrics.csv']) await rm(join(checkpointDir, file), { force: true });
  await rmdir(checkpointDir).catch(() => {});
}

function print({ terminal }: Context, value: object): void {
  terminal.stdout.write(`${JSON.stringify(value)}\n`);
}

/** From the first step of the whole run, which may have been resumed, to the last. */
function losses({ last, metrics: { steps } }: Watched): string {
  const [first] = steps;
  if (!first || !last) return '';
  const from = first.step === last.step ? '' : `${first.loss.toFixed(3)} to `;
  return `: loss ${from}${last.loss.toFixed(3)}`;
}

/** Says what there is now, and what to type next. */
function finish(
  context: Context,
  flags: Flags,
  { model }: Opened,
  name: string,
  watched: Watched,
  started: number,
  interruptedIn?: string,
): void {
  const { stdout } = context.terminal;
  const { last, metrics } = watched;
  const seconds = (performance.now() - started) / 1000;
  const evalLoss = metrics.steps.findLast((step) => step.evalLoss !== undefined)?.evalLoss;
  const saved = last !== undefined || interruptedIn === undefined;
  if (flags.json) {
    print(context, {
      type: 'end',
      interrupted: interruptedIn !== undefined,
      adapter: saved ? flags.out : null,
      step: last?.step ?? metrics.steps.at(-1)?.step ?? null,
      loss: last?.loss ?? null,
      evalLoss: evalLoss ?? null,
      seconds: Number(seconds.toFixed(3)),
    });
    return;
  }
  const lines: string[] = [];
  if (interruptedIn === undefined) {
    const talk = model.hasTokenizer && model.tokenizer.chatTemplate !== undefined ? 'chat' : 'generate';
    const measured = evalLoss === undefined ? '' : `, eval loss ${evalLoss.toFixed(3)}`;
    lines.push(`trained ${plural(watched.count, 'step')} in ${duration(seconds)}${losses(watched)}${measured}`);
    lines.push(`saved ${flags.out}: the adapter, metrics.${flags.metrics} and loss.svg`);
    lines.push(`try it: helvetia ${talk} ${quoted(name)} --adapter ${quoted(flags.out)}`);
  } else if (last) {
    lines.push(`stopped after step ${last.step} of ${last.steps}; the same command with --resume goes on from there`);
    lines.push(`saved ${flags.out}: the adapter so far, and its checkpoint in ${interruptedIn}`);
  } else lines.push('stopped before the first step; nothing was saved');
  stdout.write(`${lines.join('\n')}\n`);
}
