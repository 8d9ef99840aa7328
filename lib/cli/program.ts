// The command line as a whole: its commands, what becomes of errors, and the code that the process ends with.
import { Command, CommanderError } from 'commander';
import { addBench } from './bench.js';
import { addChat } from './chat.js';
import { addDemo } from './demo.js';
import { addDoctor } from './doctor.js';
import { addEval } from './eval.js';
import { addFinetune } from './finetune.js';
import { addGenerate } from './generate.js';
import { addInfo } from './info.js';
import { addMerge } from './merge.js';
import { packageVersion } from './package.js';
import { addServe } from './serve.js';
import { type Context, exitCodes, Interrupts, styleFor, type Terminal, UsageError, widthOf } from './terminal.js';

const description = `Runs, serves, LoRA-fine-tunes and measures open-weight language models, on this machine.

A model is a Hugging Face folder, a .gguf file, or a name on the Hugging Face hub (ORG/NAME), which is downloaded once.`;

const afterHelp = `
Examples:
  $ helvetia chat model.gguf
  $ helvetia finetune model.gguf support.jsonl --out adapters/support
  $ helvetia chat model.gguf --adapter adapters/support
  $ helvetia info adapters/support

Exit codes: 0 done, 1 failed (one sentence on standard error; HELVETIA_DEBUG=1
adds the stack), 2 wrong usage, 130 after Ctrl-C.
NO_COLOR leaves colours out. HELVETIA_THREADS and HELVETIA_CPU choose how many
threads compute, and with which instructions (helvetia doctor lists them).`;

/** The program with all its commands, which act in `context`. */
export function makeProgram(context: Context): Command {
  const { stdout, stderr, env } = context.terminal;
  const program = new Command('helvetia');
  const style = styleFor(stdout, env);
  program
    .description(description)
    .version(packageVersion, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText('after', afterHelp)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      getOutHelpWidth: () => Math.min(widthOf(stdout) + 1, 100),
      getErrHelpWidth: () => Math.min(widthOf(stderr) + 1, 100),
      getOutHasColors: () => stdout.isTTY === true && !env.NO_COLOR,
      getErrHasColors: () => stderr.isTTY === true && !env.NO_COLOR,
    })
    .configureHelp({ styleTitle: (text) => style.bold(text) });
  addGenerate(program, context);
  addChat(program, context);
  addServe(program, context);
  addFinetune(program, context);
  addEval(program, context);
  addMerge(program, context);
  addInfo(program, context);
  addBench(program, context);
  addDoctor(program, context);
  addDemo(program, context);
  return program;
}

/** Runs one command line and gives the code to end with. Never throws. */
export async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  using interrupts = new Interrupts(terminal);
  const context: Context = { terminal, interrupts, exitCode: exitCodes.done };
  let readerLeft = false;
  const outputFailed = (error: NodeJS.ErrnoException): void => {
    // Whoever read our output has closed it, as `head` does: there is nobody left to work for.
    readerLeft = error.code === 'EPIPE';
    interrupts.abort();
  };
  terminal.stdout.on('error', outputFailed); // for good: a write may fail after its command has ended
  try {
    await makeProgram(context).parseAsync(args, { from: 'user' });
    return context.exitCode;
  } catch (error) {
    if (readerLeft) return exitCodes.done;
    return report(error, context);
  }
}

/** Says what went wrong in one sentence, and gives the exit code for it. */
function report(error: unknown, { terminal, interrupts }: Context): number {
  const { stderr, env } = terminal;
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  if (interrupts.signal.aborted) return interrupts.exitCode;
  const message = error instanceof Error ? error.message : String(error);
  stderr.write(`${styleFor(stderr, env).red('error:')} ${message}\n`);
  if (env.HELVETIA_DEBUG === '1' && error instanceof Error) stderr.write(`${error.stack}\n`);
  return error instanceof UsageError ? exitCodes.usage : exitCodes.failure;
}
