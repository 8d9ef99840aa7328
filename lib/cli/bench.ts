// helvetia bench: times what the package does, with the facts of the machine and a measured yardstick.
import { type Command, Option } from 'commander';
import { timeAttention } from '../bench/attention.js';
import { type Machine, machine } from '../bench/machine.js';
import type { Repeats, Spread } from '../bench/measure.js';
import { timeDecode, timeLora, timePrefill } from '../bench/models.js';
import { bestProduct, copyBandwidth, type Reference, timeProduct } from '../bench/reference.js';
import { type ShapeName, shapeNames } from '../bench/shapes/index.js';
import { subject } from '../bench/subject.js';
import { type Device, device as deviceOf } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { activeParameterCount, bytesPerToken, layerFlops, parameterCount, weightBytes } from '../models/config.js';
import type { Decoder } from '../models/decoder.js';
import { addServeBench } from './bench-serve.js';
import { bytes, count, digits, plural, table } from './format.js';
import { addDevice, addDType } from './options.js';
import { atLeastTwo, positiveInteger, sizes, wholeNumber } from './parse.js';
import { type Context, styleFor, UsageError } from './terminal.js';

interface Measurement extends Spread {
  name: string;
  unit: string;
  /** What this comes to in the reference's unit. */
  rate: number;
  /** Of the reference. */
  share: number;
}

interface Report {
  bench: string;
  /** What was timed. */
  subject: Record<string, unknown>;
  measurements: Measurement[];
  references: Reference[];
}

interface CommonFlags {
  dtype?: DType;
  device: string;
  repeats: number;
  warmup: number;
  json?: boolean;
}

interface ModelFlags extends CommonFlags {
  shape?: ShapeName;
  layers?: number;
}

export function addBench(program: Command, context: Context): void {
  const bench = program
    .command('bench')
    .summary('measure speeds')
    .description(
      'Measures speeds: medians over repeats after a warm-up, with the facts of the machine and, as a yardstick, what its matrix products and copies reach.',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ helvetia bench decode model.gguf
  $ helvetia bench lora --shape smollm2-135m --dtype f32 --json
  $ helvetia bench matmul --sizes 512,1024,2048 --dtype bf16`,
    );

  modelBench(bench, 'decode', 'new tokens per second, one sequence')
    .option('--tokens <n>', 'new tokens', atLeastTwo, 64)
    .option('--prompt-tokens <n>', 'prompt tokens before them', positiveInteger, 32)
    .action((model: string | undefined, flags: ModelFlags & { tokens: number; promptTokens: number }) =>
      onModel(context, 'decode', model, flags, async (decoder, repeats) => {
        const timing = await timeDecode(decoder, { ...repeats, ...flags });
        const { config, dtype, device } = decoder;
        const bytes = bytesPerToken(config, dtype);
        const reference = await copyBandwidth(device, repeats.signal);
        return {
          timing,
          unit: 'tokens/s',
          rate: (timing.median * bytes) / 1e9,
          reference,
          more: { tokens: flags.tokens, promptTokens: flags.promptTokens },
        };
      }),
    );
  modelBench(bench, 'prefill', 'prompt tokens per second, up to the first new token')
    .option('--tokens <n>', 'prompt tokens', positiveInteger, 512)
    .action((model: string | undefined, flags: ModelFlags & { tokens: number }) =>
      onModel(context, 'prefill', model, flags, async (decoder, repeats) => {
        const { config, dtype, device } = decoder;
        const timing = await timePrefill(decoder, { ...repeats, tokens: flags.tokens });
        const { products, mixing } = layerFlops(config, flags.tokens);
        const flops = products + (mixing + config.head.flops) / flags.tokens;
        return {
          timing,
          unit: 'tokens/s',
          rate: (timing.median * flops) / 1e9,
          reference: await bestProduct(dtype, device, repeats.signal),
          more: { tokens: flags.tokens },
        };
      }),
    );
  modelBench(bench, 'lora', 'tokens per second of whole LoRA training steps, all linear layers')
    .option('--rows <n>', 'rows in a step', positiveInteger, 4)
    .option('--seq-length <n>', 'tokens in a row', atLeastTwo, 128)
    .option('--rank <r>', "the adapter's rank", positiveInteger, 8)
    .option('--gradient-checkpointing', 'compute activations twice to save memory')
    .action(
      (
        model: string | undefined,
        flags: ModelFlags & { rows: number; seqLength: number; rank: number; gradientCheckpointing?: boolean },
      ) =>
        onModel(context, 'lora', model, flags, async (decoder, repeats) => {
          const { rows, seqLength, rank } = flags;
          const { config, dtype, device } = decoder;
          const checkpointing = flags.gradientCheckpointing === true;
          const timing = await timeLora(decoder, { ...repeats, rows, seqLength, rank, checkpointing });
          // Forward, and the gradient of the inputs; frozen weights have none. Attention's backward is 2.5 forwards.
          const { products, mixing } = layerFlops(config, seqLength);
          const flops = 2 * (products + config.head.flops) + (3.5 * mixing) / seqLength;
          return {
            timing,
            unit: 'tokens/s',
            rate: (timing.median * flops) / 1e9,
            reference: await bestProduct(dtype, device, repeats.signal),
            more: { rows, seqLength, rank, checkpointing },
          };
        }),
    );
  common(
    bench
      .command('matmul')
      .summary('GFLOP/s of square matrix products')
      .description('GFLOP/s of x · Wᵀ, both square, the form of a linear layer.'),
  )
    .option('--sizes <list>', 'sizes, separated by commas', sizes, [512, 1024, 2048])
    .action((flags: CommonFlags & { sizes: number[] }) => matmulBench(context, flags));
  common(
    bench
      .command('attention')
      .summary('GFLOP/s of causal attention')
      .description('GFLOP/s of causal attention, forward and backward, counting the scores that causality leaves.'),
  )
    .option('--seq-length <list>', 'tokens in a sequence; several, separated by commas', sizes, [256, 1024])
    .option('--sequences <n>', 'sequences in the batch', positiveInteger, 1)
    .option('--heads <n>', 'query heads', positiveInteger, 9)
    .option('--kv-heads <n>', 'key and value heads', positiveInteger, 3)
    .option('--head-dim <n>', 'size of a head', positiveInteger, 64)
    .action((flags: AttentionFlags) => attentionBench(context, flags));
  addServeBench(bench, context);
}

function common(command: Command): Command {
  command
    .option('--repeats <n>', 'measurements, of which the median counts', positiveInteger, 5)
    .option('--warmup <n>', 'runs before them that do not count', wholeNumber, 1)
    .option('--json', 'print one JSON object');
  return addDevice(addDType(command));
}

function modelBench(bench: Command, name: string, what: string): Command {
  const command = bench
    .command(name)
    .summary(what)
    .description(`Measures ${what}.`)
    .argument('[model]', 'a folder, a .gguf file or ORG/NAME (default: random weights of --shape)')
    .addOption(
      new Option('--shape <name>', 'random weights of this shape, bf16 unless --dtype says otherwise').choices(
        shapeNames,
      ),
    )
    .option(
      '--layers <n>',
      'of the shape, its first n layers only: for shapes that memory cannot hold',
      positiveInteger,
    );
  return common(command);
}

interface Timed {
  timing: Spread;
  unit: string;
  rate: number;
  reference: Reference;
  more: Record<string, unknown>;
}

async function onModel(
  context: Context,
  bench: string,
  model: string | undefined,
  flags: ModelFlags,
  time: (decoder: Decoder, repeats: Repeats) => Promise<Timed>,
): Promise<void> {
  const { signal } = context.interrupts;
  const device = deviceOf(flags.device);
  const shape = model === undefined ? (flags.shape ?? 'smollm2-135m') : undefined;
  if (model !== undefined && flags.layers !== undefined)
    throw new UsageError('--layers is for random weights of a --shape: a model is timed as a whole');
  wait(context, flags, shape ? `making random weights of ${shape}` : `loading ${model}`);
  const decoder = await subject({
    device,
    signal,
    ...(model === undefined ? {} : { model }),
    ...(shape ? { shape } : {}),
    ...(flags.layers === undefined ? {} : { layers: flags.layers }),
    ...(flags.dtype ? { dtype: flags.dtype } : {}),
  });
  try {
    wait(context, flags, `measuring ${bench}`);
    // One step of a training run at least is never counted: it reads the data.
    const warmup = bench === 'lora' ? Math.max(1, flags.warmup) : flags.warmup;
    const { timing, unit, rate, reference, more } = await time(decoder, { repeats: flags.repeats, warmup, signal });
    const some = flags.layers === undefined ? '' : ` (${plural(flags.layers, 'layer')})`;
    const name = `${model ?? shape}${some}`;
    finish(context, flags, device, {
      bench,
      subject: {
        model: model ?? shape,
        layers: decoder.config.layers.length,
        random: model === undefined,
        dtype: decoder.dtype,
        parameters: parameterCount(decoder.config),
        activeParameters: activeParameterCount(decoder.config),
        bytesPerToken: bytesPerToken(decoder.config, decoder.dtype),
        weightBytes: weightBytes(decoder.config, decoder.dtype),
        ...more,
      },
      measurements: [
        { name: `${bench} ${name} ${decoder.dtype}`, unit, ...timing, rate, share: rate / reference.value },
      ],
      references: [reference],
    });
  } finally {
    decoder.dispose();
  }
}

async function matmulBench(context: Context, flags: CommonFlags & { sizes: number[] }): Promise<void> {
  const { signal } = context.interrupts;
  const device = deviceOf(flags.device);
  const dtypes: DType[] = flags.dtype ? [flags.dtype] : ['f32', 'bf16'];
  const measurements: Measurement[] = [];
  const references: Reference[] = [];
  for (const dtype of dtypes) {
    wait(context, flags, `measuring ${dtype}`);
    const reference = await bestProduct(dtype, device, signal);
    references.push(reference);
    for (const size of flags.sizes) {
      const timing = await timeProduct(size, dtype, device, { repeats: flags.repeats, warmup: flags.warmup, signal });
      measurements.push(flopRate(`matmul ${size} ${dtype}`, timing, reference));
    }
  }
  finish(context, flags, device, {
    bench: 'matmul',
    subject: { sizes: flags.sizes, dtypes },
    measurements,
    references,
  });
}

const flopRate = (name: string, timing: Spread, reference: Reference): Measurement => ({
  name,
  unit: 'GFLOP/s',
  ...timing,
  rate: timing.median,
  share: timing.median / reference.value,
});

interface AttentionFlags extends CommonFlags {
  seqLength: number[];
  sequences: number;
  heads: number;
  kvHeads: number;
  headDim: number;
}

async function attentionBench(context: Context, flags: AttentionFlags): Promise<void> {
  const { signal } = context.interrupts;
  const device = deviceOf(flags.device);
  const { sequences, heads, kvHeads, headDim, dtype = 'f32', repeats, warmup } = flags;
  wait(context, flags, 'measuring attention');
  const reference = await bestProduct(dtype, device, signal);
  const measurements: Measurement[] = [];
  for (const seqLength of flags.seqLength) {
    const timed = await timeAttention(
      { sequences, seqLength, heads, kvHeads, headDim, dtype, device },
      { repeats, warmup, signal },
    );
    for (const [direction, timing] of Object.entries(timed)) {
      measurements.push(flopRate(`attention ${direction} ${seqLength} ${dtype}`, timing, reference));
    }
  }
  finish(context, flags, device, {
    bench: 'attention',
    subject: { sequences, seqLengths: flags.seqLength, heads, kvHeads, headDim, dtype },
    measurements,
    references: [reference],
  });
}

function wait({ terminal }: Context, flags: CommonFlags, what: string): void {
  if (terminal.stderr.isTTY === true && !flags.json)
    terminal.stderr.write(`\r\x1b[K${styleFor(terminal.stderr, terminal.env).dim(`${what} …`)}`);
}

function finish({ terminal }: Context, flags: CommonFlags, device: Device, report: Report): void {
  const { stdout, stderr, env } = terminal;
  const facts: Machine = machine();
  if (flags.json) {
    const commandLine = ['helvetia', ...process.argv.slice(2)].join(' ');
    stdout.write(
      `${JSON.stringify({ ...report, device: String(device), commandLine, machine: facts, time: new Date().toISOString() })}\n`,
    );
    return;
  }
  if (stderr.isTTY === true) stderr.write('\r\x1b[K');
  const style = styleFor(stdout, env);
  // Tokens say little about how well the machine is used: those are given in the reference's unit too.
  const converted = report.measurements.some(({ unit }) => unit === 'tokens/s');
  const head = ['', 'median', 'min', 'max', 'unit', ...(converted ? ['that is'] : []), 'share'];
  const rows = report.measurements.map(({ name, median, min, max, unit, rate, share }) => [
    name,
    ...[median, min, max].map(digits),
    unit,
    ...(converted ? [`${digits(rate)} ${report.references[0]!.unit}`] : []),
    `${Math.round(100 * share)} %`,
  ]);
  const [title = '', ...lines] = table([head, ...rows]);
  stdout.write(`${[style.dim(title), ...lines].join('\n')}\n`);
  for (const { name, value, unit } of report.references)
    stdout.write(style.dim(`  share of ${digits(value)} ${unit}: ${name}\n`));
  const { parameters, activeParameters, weightBytes, bytesPerToken } = report.subject as Record<string, number>;
  const some = activeParameters! < parameters! ? `, of which a token reads ${bytes(bytesPerToken!)}` : '';
  const size = parameters === undefined ? '' : `${count(parameters)} parameters in ${bytes(weightBytes!)}${some}, `;
  stdout.write(
    style.dim(
      `  ${size}median of ${flags.repeats} on ${facts.cpu}, ${facts.path}, ${facts.threads} threads, Node ${facts.node}\n`,
    ),
  );
}
