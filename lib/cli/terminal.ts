// What a command may touch of the world outside: its streams, the environment, Ctrl-C. Tests hand in their own.
import type { EventEmitter } from 'node:events';

export type Output = NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
export type Input = NodeJS.ReadableStream & { isTTY?: boolean };

export interface Terminal {
  stdin: Input;
  stdout: Output;
  stderr: Output;
  env: Readonly<Record<string, string | undefined>>;
  /** Emits 'SIGINT' and 'SIGTERM'. */
  signals: Pick<EventEmitter, 'on' | 'off'>;
  /** Ends the process at once. */
  exit(code: number): void;
}

export const exitCodes = { done: 0, failure: 1, usage: 2, interrupted: 130, terminated: 143 } as const;

/** A mistake in how a command was called, as against one that happened while it ran. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** What one run of a command holds. */
export interface Context {
  terminal: Terminal;
  interrupts: Interrupts;
  /** What the process ends with if nothing is thrown. */
  exitCode: number;
}

type Handler = () => void;

/**
 * Ctrl-C and SIGTERM: the first aborts `signal`, so that the command can save and end; a second ends the process. A
 * command can take the signal for itself for a while.
 */
export class Interrupts implements Disposable {
  /** The code to end with after an interrupt. */
  exitCode: number = exitCodes.interrupted;
  readonly #abort = new AbortController();
  readonly #handlers: Handler[] = [];
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    terminal.signals.on('SIGINT', this.#interrupt);
    terminal.signals.on('SIGTERM', this.#terminate);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** While the result is not disposed of, an interrupt calls `handler` and does nothing else. */
  capture(handler: Handler): Disposable {
    this.#handlers.push(handler);
    return { [Symbol.dispose]: () => void this.#handlers.splice(this.#handlers.lastIndexOf(handler), 1) };
  }

  abort(): void {
    this.#abort.abort(new Error('interrupted'));
  }

  [Symbol.dispose](): void {
    this.#terminal.signals.off('SIGINT', this.#interrupt);
    this.#terminal.signals.off('SIGTERM', this.#terminate);
  }

  readonly #interrupt = (): void => {
    const handler = this.#handlers.at(-1);
    if (handler) handler();
    else if (this.signal.aborted) this.#terminal.exit(this.exitCode);
    else this.abort();
  };

  readonly #terminate = (): void => {
    if (this.signal.aborted) this.#terminal.exit(this.exitCode);
    this.exitCode = exitCodes.terminated;
    this.abort();
  };
}

export type Style = Record<'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan', (text: string) => string>;

const codes: Record<keyof Style, [on: number, off: number]> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

/** Colours for a stream: none where it is no terminal, or where NO_COLOR asks for none. */
export function styleFor(stream: Output, env: Terminal['env']): Style {
  const coloured = stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
  const entries = Object.entries(codes).map(([name, [on, off]]) => [
    name,
    (text: string) => (coloured && text !== '' ? `\x1b[${on}m${text}\x1b[${off}m` : text),
  ]);
  return Object.fromEntries(entries) as Style;
}

/** The columns that a line may fill without wrapping. */
export const widthOf = (stream: Output): number => Math.max((stream.columns || 80) - 1, 20);

/** Whether the terminal's locale has more than ASCII. */
export function hasUnicode(env: Terminal['env'], platform: string = process.platform): boolean {
  if (platform === 'win32' || platform === 'darwin') return true;
  return /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || '');
}

/** All that comes from a pipe or a file. */
export async function readAll(input: Input): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of input) chunks.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
  return Buffer.concat(chunks).toString('utf8');
}
