// helvetia bench serve: the throughput that clients of a server see, alone and together.
import type { Command } from 'commander';
import { machine } from '../bench/machine.js';
import type { Spread } from '../bench/measure.js';
import { type StreamShape, timeLlamaCpp, timeServer } from '../bench/serve.js';
import { digits, table } from './format.js';
import { open } from './open.js';
import { addDevice, addDType, type ModelFlags, modelArgument } from './options.js';
import { positiveInteger, sizes, wholeNumber } from './parse.js';
import { type Context, styleFor } from './terminal.js';

interface Flags extends ModelFlags {
  streams: number[];
  tokens: number;
  repeats: number;
  warmup: number;
  json?: boolean;
}

export function addServeBench(bench: Command, context: Context): void {
  const command = bench
    .command('serve')
    .summary('new tokens per second of streams over HTTP')
    .description(
      'Measures the new tokens per second that clients get by HTTP, one stream and several at a time, and the same of node-llama-cpp on the same GGUF file where that package is installed.',
    )
    .argument('<model>', modelArgument)
    .option('--streams <list>', 'streams at a time; several figures, separated by commas', sizes, [1, 16])
    .option('--tokens <n>', 'new tokens of each stream', positiveInteger, 64)
    .option('--repeats <n>', 'measurements, of which the median counts', positiveInteger, 3)
    .option('--warmup <n>', 'runs before them that do not count', wholeNumber, 1)
    .option('--json', 'print one JSON object');
  addDevice(addDType(command)).action((model: string, flags: Flags) => serveBench(context, model, flags));
}

async function serveBench(context: Context, name: string, flags: Flags): Promise<void> {
  using opened = await open(context, name, flags, { quiet: flags.json === true });
  const { model } = opened;
  const { repeats, warmup, tokens } = flags;
  const shapes: StreamShape[] = flags.streams.map((streams) => ({ streams, tokens }));
  const options = { repeats, warmup, signal: context.interrupts.signal };
  const ours = await timeServer(model, shapes, options);
  const isGguf = model.path.endsWith('.gguf');
  const theirs = isGguf ? await timeLlamaCpp(model.path, shapes, options) : undefined;
  print(context, flags, model.name, model.dtype, shapes, ours, theirs, isGguf);
}

function print(
  { terminal: { stdout, env } }: Context,
  flags: Flags,
  model: string,
  dtype: string,
  shapes: readonly StreamShape[],
  ours: readonly Spread[],
  theirs: readonly Spread[] | undefined,
  isGguf: boolean,
): void {
  const facts = machine();
  const [first, last] = [shapes[0]!.streams, shapes.at(-1)!.streams];
  const batching = first === last ? null : ours.at(-1)!.median / ours[0]!.median;
  if (flags.json) {
    const measurements = shapes.map((shape, i) => ({ ...shape, helvetia: ours[i], nodeLlamaCpp: theirs?.[i] ?? null }));
    const report = { bench: 'serve', model, dtype, unit: 'tokens/s', measurements, batching, machine: facts };
    stdout.write(`${JSON.stringify({ ...report, time: new Date().toISOString() })}\n`);
    return;
  }
  const style = styleFor(stdout, env);
  const head = ['streams', 'tokens/s', 'min', 'max', ...(theirs ? ['node-llama-cpp', 'ratio'] : [])];
  const rows = shapes.map(({ streams }, i) => {
    const { median, min, max } = ours[i]!;
    const other = theirs?.[i]?.median;
    return [streams, ...[median, min, max].map(digits), ...(other ? [digits(other), digits(median / other)] : [])];
  });
  const [title = '', ...lines] = table([head, ...rows]);
  stdout.write(`${[style.dim(title), ...lines].join('\n')}\n`);
  if (batching !== null) stdout.write(`  ${last} streams give ${digits(batching)} × the tokens of ${first}\n`);
  const beside = isGguf ? 'npm install node-llama-cpp, to see it beside this' : 'node-llama-cpp takes GGUF files only';
  if (!theirs) stdout.write(style.dim(`  ${beside}\n`));
  stdout.write(
    style.dim(
      `  ${model}, ${dtype}, median of ${flags.repeats} on ${facts.cpu}, ${facts.path}, ${facts.threads} threads, Node ${facts.node}\n`,
    ),
  );
}
