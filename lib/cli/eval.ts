// helvetia eval: how well a model answers rows of data, and an adapter beside it.
import type { Command } from 'commander';
import type { Adapter } from '../lora/adapter.js';
import type { Evaluation } from '../train/evaluate.js';
import { plural } from './format.js';
import { open } from './open.js';
import { addModelOptions, type ModelFlags, modelArgument } from './options.js';
import { atLeastTwo, given } from './parse.js';
import { Progress } from './progress.js';
import { type Context, styleFor } from './terminal.js';

interface Flags extends ModelFlags {
  json?: boolean;
  answers: boolean;
  seqLength?: number;
}

export function addEval(program: Command, context: Context): void {
  const command = program
    .command('eval')
    .summary('measure a model, and an adapter beside it, on rows of data')
    .description(
      'Measures a model on rows of data: the loss and the accuracy of the tokens that the rows teach, and how many of their last answers it gives word for word, with its likeliest tokens. With an adapter both are measured, the model without it first. The rows have the forms of `helvetia finetune`.',
    )
    .argument('<model>', modelArgument)
    .argument('<data>', 'a JSONL file of rows')
    .option('--adapter <folder>', 'a LoRA adapter to measure beside the model')
    .option('--seq-length <tokens>', 'cut rows to this many tokens (default: 1024)', atLeastTwo)
    .option('--no-answers', 'compare no answers: losses alone, which is quick')
    .option('--json', 'print one JSON object');
  addModelOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ helvetia eval models/helvetia-small test.jsonl
  $ helvetia eval ORG/NAME test.jsonl --adapter adapters/support --json`,
    )
    .action((model: string, data: string, flags: Flags) => evaluate(context, model, data, flags));
}

async function evaluate(context: Context, name: string, data: string, flags: Flags): Promise<void> {
  const { stdout, stderr, env } = context.terminal;
  using opened = await open(context, name, flags, { quiet: flags.json === true });
  const { model, adapter } = opened;
  const { signal } = context.interrupts;
  const results: { name: string; result: Evaluation }[] = [];
  const warnings = new Set<string>();
  const measure = async (what: string, adapter: Adapter | undefined): Promise<void> => {
    const progress = flags.json ? undefined : new Progress(stderr, { label: what, env });
    try {
      const result = await model.evaluate(data, {
        ...given({ adapter, seqLength: flags.seqLength }),
        answers: flags.answers,
        onProgress: (done, all) => progress?.update(done, all, []),
        onWarning: (warning) => warnings.add(warning),
        signal,
      });
      results.push({ name: what, result });
    } finally {
      progress?.end();
    }
  };
  await measure('model', undefined);
  if (adapter) await measure('adapter', adapter);
  if (flags.json) {
    const [base, trained] = results.map(({ result }) => result);
    stdout.write(
      `${JSON.stringify({ model: base, ...(trained ? { adapter: trained } : {}), warnings: [...warnings] })}\n`,
    );
    return;
  }
  for (const warning of warnings) stderr.write(`${warning}\n`);
  stdout.write(table(results, styleFor(stdout, env).bold));
}

function table(results: readonly { name: string; result: Evaluation }[], bold: (text: string) => string): string {
  const asked = results[0]!.result.asked;
  const head = ['', 'loss', 'perplexity', 'token accuracy', ...(asked > 0 ? ['word for word'] : [])];
  const rows = results.map(({ name, result: { loss, tokenAccuracy, exact } }) => [
    name,
    loss.toFixed(4),
    Math.exp(loss).toPrecision(4),
    `${(100 * tokenAccuracy).toFixed(1)} %`,
    ...(asked > 0 ? [`${exact} of ${asked}`] : []),
  ]);
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  const title = `${plural(results[0]!.result.rows, 'row')}\n`;
  return `${title}${bold(line(head))}\n${rows.map((row) => `${line(row)}\n`).join('')}`;
}
