// helvetia chat: a conversation on a terminal, or one answer for a script.
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import type { Model } from '../model.js';
import type { ChatMessage } from '../text/template.js';
import { asJson, follow, type Measured, summary } from './answer.js';
import { open } from './open.js';
import {
  addModelOptions,
  addSampling,
  type ModelFlags,
  modelArgument,
  type SamplingFlags,
  samplingOf,
} from './options.js';
import { given, someText } from './parse.js';
import { type Context, exitCodes, readAll, styleFor, UsageError } from './terminal.js';

interface Flags extends ModelFlags, SamplingFlags {
  system?: string;
  message?: string;
  json?: boolean;
}

export function addChat(program: Command, context: Context): void {
  const command = program
    .command('chat')
    .summary('talk to a chat model')
    .description(
      'Talks to a chat model through its chat template: a conversation on a terminal; with --message, or with the message on standard input, one answer.',
    )
    .argument('<model>', modelArgument)
    .option('--system <text>', 'instructions that stand before the conversation', someText)
    .option('--message <text>', 'answer this message and leave', someText)
    .option('--adapter <folder>', 'a LoRA adapter to answer with')
    .option('--json', 'print one JSON object instead of text (with one message only)');
  addModelOptions(addSampling(command))
    .addHelpText(
      'after',
      `
In a conversation:
  /help  /reset  /system TEXT  /exit
  Ctrl-C stops an answer; at the prompt it leaves, as Ctrl-D does.

Examples:
  $ helvetia chat model.gguf
  $ helvetia chat model.gguf --adapter adapters/support --message "Who are you?"
  $ echo "Write a haiku" | helvetia chat ORG/NAME --temperature 0.7 --json`,
    )
    .action((model: string, flags: Flags) => chat(context, model, flags));
}

async function chat(context: Context, name: string, flags: Flags): Promise<void> {
  const { stdin, stdout } = context.terminal;
  const interactive = flags.message === undefined && stdin.isTTY === true;
  if (interactive && flags.json)
    throw new UsageError('--json gives one answer: give the message by --message or on standard input');
  const message = flags.message ?? (interactive ? '' : (await readAll(stdin)).trim());
  if (!interactive && message === '') throw new UsageError('the message is empty');
  using opened = await open(context, name, flags, { quiet: flags.json === true });
  const { model, adapter } = opened;
  if (model.tokenizer.chatTemplate === undefined) {
    throw new Error(`${model.path}: has no chat template, so it cannot chat; helvetia generate continues a text`);
  }
  const answer = (
    messages: readonly ChatMessage[],
    signal: AbortSignal,
    write: (text: string) => void,
  ): Promise<Measured> => follow(model.chat(messages, { ...samplingOf(flags), ...given({ adapter }), signal }), write);
  if (interactive) {
    await new Conversation(context, model, answer, flags.system).run();
    return;
  }
  const messages = [...systemMessage(flags.system), { role: 'user', content: message }];
  const { signal } = context.interrupts;
  if (flags.json) {
    stdout.write(`${asJson(model.name, await answer(messages, signal, () => {}))}\n`);
    return;
  }
  const result = await answer(messages, signal, (text) => void stdout.write(text));
  stdout.write('\n');
  summary(context, result);
}

const systemMessage = (text: string | undefined): ChatMessage[] =>
  text === undefined ? [] : [{ role: 'system', content: text }];

type Answer = (
  messages: readonly ChatMessage[],
  signal: AbortSignal,
  write: (text: string) => void,
) => Promise<Measured>;

const help = `  /help          this list
  /reset         begin a new conversation
  /system TEXT   begin a new conversation with these instructions, or with none
  /exit          leave (so do Ctrl-D, and Ctrl-C at the prompt)`;

class Conversation {
  #messages: ChatMessage[] = [];
  // The newest line first, as readline keeps it.
  #history: string[] = [];

  constructor(
    readonly context: Context,
    readonly model: Model,
    readonly answer: Answer,
    private system: string | undefined,
  ) {}

  async run(): Promise<void> {
    const { stdout, env } = this.context.terminal;
    const style = styleFor(stdout, env);
    stdout.write(
      `${style.bold(this.model.name)} ${style.dim('Type a message; /help lists the commands, Ctrl-D leaves.')}\n`,
    );
    for (;;) {
      const line = await this.#ask();
      if (line === undefined) return;
      const text = line.trim();
      if (text === '') continue;
      if (!text.startsWith('/')) await this.#turn(text);
      else if (!this.#command(text)) return;
    }
  }

  /** False ends the conversation. */
  #command(text: string): boolean {
    const { stdout } = this.context.terminal;
    const [, name = '', rest = ''] = /^\/(\S*)\s*(.*)$/s.exec(text) ?? [];
    if (name === 'exit' || name === 'quit') return false;
    if (name === 'help') stdout.write(`${help}\n`);
    else if (name === 'reset') {
      this.#messages = [];
      stdout.write('A new conversation.\n');
    } else if (name === 'system') {
      this.system = rest === '' ? undefined : rest;
      this.#messages = [];
      stdout.write(rest === '' ? 'No instructions; a new conversation.\n' : 'Instructions set; a new conversation.\n');
    } else stdout.write(`/${name} is not a command; /help lists them\n`);
    return true;
  }

  async #turn(text: string): Promise<void> {
    const { terminal, interrupts } = this.context;
    const { stdout, stderr, env } = terminal;
    const stopped = new AbortController();
    using _ = interrupts.capture(() => stopped.abort());
    const messages = [...this.#messages, { role: 'user', content: text }];
    let written = '';
    try {
      const result = await this.answer(
        [...systemMessage(this.system), ...messages],
        AbortSignal.any([stopped.signal, interrupts.signal]),
        (piece) => {
          written += piece;
          stdout.write(piece);
        },
      );
      stdout.write('\n');
      summary(this.context, result);
    } catch (error) {
      if (written !== '') stdout.write('\n');
      if (interrupts.signal.aborted) throw error;
      if (!stopped.signal.aborted) {
        stderr.write(`${styleFor(stderr, env).red('error:')} ${(error as Error).message}\n`);
        return;
      }
      stderr.write(`${styleFor(stderr, env).dim('[stopped]')}\n`);
    }
    // What was said before a stop is part of the conversation; a turn without any answer is not.
    if (written.trim() !== '') this.#messages = [...messages, { role: 'assistant', content: written.trim() }];
  }

  // A reader for each line, and none during an answer: then Ctrl-C is a signal, and keys are kept for the next line.
  #ask(): Promise<string | undefined> {
    const { terminal, interrupts } = this.context;
    const style = styleFor(terminal.stdout, terminal.env);
    const reader = createInterface({
      input: terminal.stdin,
      output: terminal.stdout,
      terminal: true,
      history: this.#history,
      historySize: 200,
      removeHistoryDuplicates: true,
    });
    reader.on('history', (lines) => {
      this.#history = [...lines];
    });
    return new Promise((resolve) => {
      const end = (line: string | undefined): void => {
        resolve(line); // before close(), whose event comes here again and must find the line settled
        interrupts.signal.removeEventListener('abort', leave);
        reader.close();
      };
      const leave = (): void => {
        terminal.stdout.write('\n');
        end(undefined);
      };
      interrupts.signal.addEventListener('abort', leave);
      reader.on('SIGINT', () => {
        this.context.exitCode = exitCodes.interrupted;
        leave();
      });
      reader.on('close', () => end(undefined));
      reader.question(style.green('> '), end);
    });
  }
}
