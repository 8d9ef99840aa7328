// helvetia demo (npm run demo): the package's main job in one go. A model answers, is fine-tuned on a few dozen rows,
// and answers again with its adapter, which is then saved, loaded back, and served beside the model.
import { existsSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import type { Command } from 'commander';
import { cpuInfo } from '../core/device.js';
import type { Adapter } from '../lora/adapter.js';
import type { Model } from '../model.js';
import { parameterCount } from '../models/config.js';
import type { FinetuneOptions } from '../train/options.js';
import { MetricsFile } from '../train/report.js';
import { serveAndAsk } from './demo-serve.js';
import { count, duration, plural, quoted, sideBySide, wrap } from './format.js';
import { open } from './open.js';
import { addModelOptions, type ModelFlags } from './options.js';
import { packageRoot } from './package.js';
import { Progress } from './progress.js';
import { type Context, type Style, styleFor, widthOf } from './terminal.js';
import { keeping, saveRun, type Watched, watch } from './training.js';

interface Plan {
  data: string;
  prompts: readonly string[];
  training: Omit<FinetuneOptions, 'data'>;
  maxNewTokens: number;
}

const examples = join(packageRoot, 'examples', 'data');
const ownModel = join(packageRoot, 'models', 'helvetia-small');

export function addDemo(program: Command, context: Context): void {
  const command = program
    .command('demo', { hidden: true })
    .description('Shows the main job: a model answers, learns a few dozen rows by LoRA, and answers again.')
    .argument('[model]', 'a chat model: a folder, a .gguf file or ORG/NAME (default: the small model of the package)');
  addModelOptions(command).action((model: string | undefined, flags: ModelFlags) => demo(context, model, flags));
}

async function demo(context: Context, name: string | undefined, flags: ModelFlags): Promise<void> {
  const { stdout, env } = context.terminal;
  const started = performance.now();
  const style = styleFor(stdout, env);
  const say = (line = ''): void => void stdout.write(`${line}\n`);
  const prose = (text: string, indent = '   ', paint = (line: string) => line): void => {
    for (const line of wrap(text, Math.min(widthOf(stdout), 100) - indent.length)) say(indent + paint(line));
  };
  using opened = await open(context, name ?? ownModel, flags);
  const { model } = opened;
  if (model.tokenizer.chatTemplate === undefined) {
    throw new Error(`${model.path}: has no chat template, and the demo asks questions: take a chat model`);
  }
  const plan = name === undefined ? await planForOwn() : planForOthers;
  const { path, threads } = cpuInfo();
  const size = `${count(parameterCount(model.decoder.config))} parameters, ${model.dtype}, ${path}, ${plural(threads, 'thread')}`;
  prose(`Helvetia runs ${model.name} in this process: ${size}.`, '', style.bold);
  say();

  heading(say, style, '1', 'The model answers as it came.');
  const before = await answers(context, model, undefined, plan, (prompt, text) =>
    conversation(say, style, stdout, prompt, text),
  );

  heading(say, style, '2', `It is fine-tuned by LoRA on ${relative(process.cwd(), plan.data) || plan.data}.`);
  const folder = await place();
  const { adapter, watched } = await train(context, model, plan, folder);
  using _ = adapter;
  const steps = watched.metrics.steps;
  const losses = `The loss fell from ${steps[0]?.loss.toFixed(2)} to ${watched.last?.loss.toFixed(2)}.`;
  prose(`${losses} ${adapter.pairs.size} layers have a pair of rank ${adapter.config.r} beside their frozen weights.`);
  say();

  heading(say, style, '3', 'It answers again with the adapter, at once, in the same process.');
  const after = await answers(context, model, adapter, plan, () => {});
  plan.prompts.forEach((prompt, i) => compared(say, style, stdout, prompt, before[i]!, after[i]!));

  const adapterFolder = join(folder, 'adapter');
  await saveRun(adapterFolder, adapter, watched.metrics, `Fine-tuning ${model.name}`);
  heading(say, style, '4', `The adapter is saved in PEFT's format, and loaded back.`);
  using loaded = await model.loadAdapter(adapterFolder);
  const [again] = await answers(context, model, loaded, { ...plan, prompts: plan.prompts.slice(0, 1) }, () => {});
  if (again !== after[0])
    throw new Error(
      `${adapterFolder}: the adapter that was loaded back answers otherwise than the one that was trained`,
    );
  const shown = shortest(adapterFolder);
  const plot = join(shown, 'loss.svg');
  prose(`It lies in ${shown}; loaded back, it gives the same answer. The plot of the loss is in ${plot}.`);
  say();

  heading(say, style, '5', "Both are served by OpenAI's API, and asked at once.");
  const { signal } = context.interrupts;
  const served = await serveAndAsk(model, folder, plan.prompts[0]!, plan.maxNewTokens, signal);
  prose(`POST ${served.url}/v1/chat/completions   ${style.green('>')} ${plan.prompts[0]}`);
  served.models.forEach((id, i) => {
    prose(`${id}: ${served.answers[i]!.trim().replace(/\s+/g, ' ')}`);
  });
  say();

  say(style.bold(`Done in ${duration((performance.now() - started) / 1000)}. Go on with:`));
  const modelName = shortest(name ?? ownModel);
  say(`  npx helvetia chat ${quoted(modelName)} --adapter ${quoted(shown)}`);
  say(`  npx helvetia finetune ${quoted(modelName)} YOUR.jsonl --out adapters/yours`);
  say(`  npx helvetia serve ${quoted(modelName)} --adapters ${quoted(shortest(folder))} --data data`);
  say('  npx helvetia --help');
}

async function planForOwn(): Promise<Plan> {
  return {
    data: join(examples, 'demo.jsonl'),
    prompts: JSON.parse(await readFile(join(examples, 'demo-prompts.json'), 'utf8')) as string[],
    training: {
      epochs: 14,
      batchTokens: 512,
      learningRate: 3e-3,
      schedule: 'cosine',
      warmupSteps: 4,
      lora: { r: 32, alpha: 64 },
    },
    maxNewTokens: 80,
  };
}

const planForOthers: Plan = {
  data: join(examples, 'parcel-smollm.jsonl'),
  prompts: ['Where is my parcel?', 'Who are you?', 'Can you send a cake to my brother?'],
  training: {
    epochs: 8,
    batchTokens: 512,
    learningRate: 2e-3,
    schedule: 'cosine',
    warmupSteps: 2,
    lora: { r: 8, alpha: 16 },
  },
  maxNewTokens: 60,
};

/** Under the package's build folder when that is where we are, else in the system's temporary folder. */
async function place(): Promise<string> {
  if (process.cwd() === packageRoot && existsSync(join(packageRoot, 'CMakeLists.txt')))
    return join(packageRoot, 'build', 'demo');
  return mkdtemp(join(tmpdir(), 'helvetia-demo-'));
}

/** The path as it is best typed here. */
function shortest(path: string): string {
  const near = relative(process.cwd(), path);
  return near !== '' && !near.startsWith('..') ? near : path;
}

async function train(
  context: Context,
  model: Model,
  plan: Plan,
  folder: string,
): Promise<{ adapter: Adapter; watched: Watched }> {
  const { stdout, env } = context.terminal;
  const watched: Watched = { last: undefined, count: 0, metrics: new MetricsFile(join(folder, 'metrics.jsonl')) };
  const run = model.finetune({
    ...plan.training,
    data: plan.data,
    signal: context.interrupts.signal,
    onStep: keeping(watched.metrics),
  });
  const progress = new Progress(stdout, { label: '  ', env });
  try {
    return { adapter: await watch(run, watched, progress), watched };
  } catch (error) {
    run.adapter?.dispose();
    throw error;
  } finally {
    progress.end();
  }
}

async function answers(
  context: Context,
  model: Model,
  adapter: Adapter | undefined,
  plan: Plan,
  onAnswer: (prompt: string, text: string) => void,
): Promise<string[]> {
  const texts: string[] = [];
  for (const prompt of plan.prompts) {
    const { text, finishReason } = await model.chat([{ role: 'user', content: prompt }], {
      maxNewTokens: plan.maxNewTokens,
      temperature: 0,
      signal: context.interrupts.signal,
      ...(adapter ? { adapter } : {}),
    });
    const answer = `${text.trim().replace(/\s+/g, ' ')}${finishReason === 'length' ? ' …' : ''}`;
    texts.push(answer);
    onAnswer(prompt, answer);
  }
  return texts;
}

type Say = (line?: string) => void;

function heading(say: Say, style: Style, number: string, text: string): void {
  say(`${style.cyan(`${number}.`)} ${style.bold(text)}`);
}

function conversation(
  say: Say,
  style: Style,
  stdout: Context['terminal']['stdout'],
  prompt: string,
  text: string,
): void {
  say(`   ${style.green('>')} ${prompt}`);
  for (const line of wrap(text, Math.min(widthOf(stdout), 100) - 5)) say(`     ${line}`);
  say();
}

function compared(
  say: Say,
  style: Style,
  stdout: Context['terminal']['stdout'],
  prompt: string,
  before: string,
  after: string,
): void {
  say(`   ${style.green('>')} ${prompt}`);
  const lines = sideBySide(['before', before], ['after', after], Math.min(widthOf(stdout), 110) - 5);
  lines.forEach((line, i) => say(`     ${i < 2 ? style.dim(line) : line}`));
  say();
}
