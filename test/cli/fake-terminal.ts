// A terminal for tests: streams in memory, signals by hand.
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import type { Input, Output, Terminal } from '../../lib/cli/terminal.js';

export interface FakeOptions {
  /** What comes on standard input; it ends after that. */
  input?: string;
  /** Whether all three streams are a terminal. */
  tty?: boolean;
  columns?: number;
  env?: Record<string, string>;
}

export class FakeOutput extends PassThrough {
  text = '';
  isTTY: boolean;
  columns: number;

  constructor(tty: boolean, columns: number) {
    super();
    this.isTTY = tty;
    this.columns = columns;
    this.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('utf8');
    });
  }
}

export class FakeTerminal implements Terminal {
  readonly stdin: Input & PassThrough;
  readonly stdout: FakeOutput & Output;
  readonly stderr: FakeOutput & Output;
  readonly env: Record<string, string>;
  readonly signals = new EventEmitter();
  readonly exits: number[] = [];

  constructor({ input, tty = false, columns = 80, env = {} }: FakeOptions = {}) {
    this.stdin = Object.assign(new PassThrough(), { isTTY: tty });
    if (!tty || input !== undefined) this.stdin.end(input ?? '');
    this.stdout = new FakeOutput(tty, columns);
    this.stderr = new FakeOutput(tty, columns);
    this.env = { LANG: 'C.UTF-8', ...env };
  }

  exit(code: number): void {
    this.exits.push(code);
  }

  get out(): string {
    return this.stdout.text;
  }

  get err(): string {
    return this.stderr.text;
  }
}

/** The text without the sequences that steer a terminal. */
export const plain = (text: string): string => text.replace(/\x1b\[[\d;]*[A-Za-z]/g, '');

/** What a terminal shows after the output: carriage returns, erased lines and colours applied. */
export function screen(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  let column = 0;
  for (const [part] of text.matchAll(/\x1b\[[\d;]*[A-Za-z]|[\s\S]/gu)) {
    if (part === '\n') {
      lines.push(line);
      line = '';
      column = 0;
    } else if (part === '\r') column = 0;
    else if (part === '\x1b[K') line = [...line].slice(0, column).join('');
    else if (!part.startsWith('\x1b')) {
      const cells = [...line];
      cells[column++] = part;
      line = cells.join('');
    }
  }
  return [...lines, line];
}
