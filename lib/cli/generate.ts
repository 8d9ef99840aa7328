// helvetia generate: continues a text.
import type { Command } from 'commander';
import { asJson, follow, summary } from './answer.js';
import { open } from './open.js';
import {
  addModelOptions,
  addSampling,
  type ModelFlags,
  modelArgument,
  type SamplingFlags,
  samplingOf,
} from './options.js';
import { given } from './parse.js';
import { type Context, readAll, UsageError } from './terminal.js';

interface Flags extends ModelFlags, SamplingFlags {
  json?: boolean;
}

export function addGenerate(program: Command, context: Context): void {
  const command = program
    .command('generate')
    .summary('continue a text')
    .description(
      'Continues a text, and streams what the model writes. The text goes to the model as it is, without a chat template; to talk to a chat model, use `helvetia chat`.',
    )
    .argument('<model>', modelArgument)
    .argument('[prompt]', 'the text to continue (default: read from standard input)')
    .option('--adapter <folder>', 'a LoRA adapter to generate with')
    .option('--json', 'print one JSON object at the end instead of text');
  addModelOptions(addSampling(command))
    .addHelpText(
      'after',
      `
Examples:
  $ helvetia generate models/helvetia-small "Once upon a time"
  $ helvetia generate model.gguf "The goat" --temperature 0.8 --seed 7
  $ helvetia generate ORG/NAME --adapter adapters/support --json < prompt.txt`,
    )
    .action((model: string, prompt: string | undefined, flags: Flags) => generate(context, model, prompt, flags));
}

async function generate(context: Context, name: string, argument: string | undefined, flags: Flags): Promise<void> {
  const { stdin, stdout } = context.terminal;
  if (argument === undefined && stdin.isTTY) {
    throw new UsageError('no prompt: give one after the model, or on standard input');
  }
  const prompt = argument ?? (await readAll(stdin));
  if (prompt === '') throw new UsageError('the prompt is empty');
  using opened = await open(context, name, flags, { quiet: flags.json === true });
  const { model, adapter } = opened;
  const { signal } = context.interrupts;
  const generation = model.generate(prompt, { ...samplingOf(flags), ...given({ adapter }), signal });
  if (flags.json) {
    stdout.write(`${asJson(model.name, await follow(generation, () => {}))}\n`);
    return;
  }
  let written = '';
  try {
    const result = await follow(generation, (text) => {
      written = text;
      stdout.write(text);
    });
    endLine(written, stdout);
    summary(context, result);
  } catch (error) {
    endLine(written, stdout);
    throw error;
  }
}

function endLine(written: string, stdout: NodeJS.WritableStream): void {
  if (written !== '' && !written.endsWith('\n')) stdout.write('\n');
}
