// helvetia merge: adds an adapter into the weights, so that the result runs anywhere without it.
import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { resolveModel } from '../files/hub.js';
import { checkTarget, isInside } from './folders.js';
import { open } from './open.js';
import { addModelOptions, type ModelFlags } from './options.js';
import { type Context, UsageError } from './terminal.js';

interface Flags extends Omit<ModelFlags, 'adapter'> {
  out: string;
  force?: boolean;
}

export function addMerge(program: Command, context: Context): void {
  const command = program
    .command('merge')
    .summary('add an adapter into the weights')
    .description(
      "Writes a Hugging Face folder whose weights hold the adapter's product, so that it runs anywhere without the adapter. The model must be such a folder too.",
    )
    .argument('<model>', `the adapter's base model: a Hugging Face folder or name (ORG/NAME)`)
    .argument('<adapter>', "a LoRA adapter in PEFT's format")
    .requiredOption('--out <folder>', 'where the merged model goes')
    .option('--force', 'replace the folder even if it is not empty');
  addModelOptions(command)
    .addHelpText(
      'after',
      `
Example:
  $ helvetia merge models/helvetia-small adapters/support --out merged`,
    )
    .action((model: string, adapter: string, flags: Flags) => merge(context, model, adapter, flags));
}

async function merge(context: Context, name: string, adapterPath: string, flags: Flags): Promise<void> {
  checkTarget(flags.out, undefined, flags.force === true);
  const path = await resolveModel(name, { signal: context.interrupts.signal });
  if (!statSync(path).isDirectory()) {
    throw new Error(`${name}: merge writes a Hugging Face folder, so the model must be one; this is a single file`);
  }
  if (isInside(path, flags.out) || isInside(adapterPath, flags.out)) {
    throw new UsageError(`--out ${flags.out}: holds the model or the adapter, and writing would replace it`);
  }
  using opened = await open(context, name, { ...flags, adapter: adapterPath });
  using merged = opened.model.mergeAdapter(opened.adapter!);
  await merged.save(flags.out);
  context.terminal.stdout.write(`merged ${opened.adapter!.pairs.size} layers into ${flags.out}\n`);
}
