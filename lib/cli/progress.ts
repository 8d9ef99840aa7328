// Progress of long work: on a terminal one line that is redrawn (bar, count, details, time left), elsewhere plain lines
// now and then.
import { duration } from './format.js';
import { hasUnicode, type Output, styleFor, type Terminal, widthOf } from './terminal.js';

export interface ProgressOptions {
  label?: string;
  env?: Terminal['env'];
  /** The clock, in milliseconds. */
  now?: () => number;
  /** How a position is written; default `12/60`. */
  position?: (done: number, total: number) => string;
}

// Often enough to look alive, seldom enough that a remote terminal keeps up.
const redrawMs = 80;
// In a log, a line at every tenth of the work or after this long, whichever comes first.
const lineMs = 10_000;

const longestBar = 30;
const shortestBar = 8;

export class Progress {
  readonly #stream: Output;
  readonly #options: Required<ProgressOptions>;
  readonly #drawn: boolean;
  readonly #started: number;
  #first: { done: number; at: number } | undefined;
  #state: { done: number; total: number; details: readonly string[] } | undefined;
  #last = Number.NEGATIVE_INFINITY;
  #lastTenth = -1;
  #current = '';

  constructor(stream: Output, options: ProgressOptions = {}) {
    this.#stream = stream;
    this.#options = {
      label: options.label ?? '',
      env: options.env ?? process.env,
      now: options.now ?? (() => performance.now()),
      position: options.position ?? ((done, total) => `${done}/${total}`),
    };
    this.#drawn = stream.isTTY === true && this.#options.env.TERM !== 'dumb';
    this.#started = this.#options.now();
  }

  /** `details` are written in this order, and left out from the end where the line is too narrow. */
  update(done: number, total: number, details: readonly string[] = []): void {
    const at = this.#options.now();
    this.#first ??= { done, at };
    this.#state = { done, total, details };
    const finished = done >= total;
    if (this.#drawn) {
      if (at - this.#last < redrawMs && !finished) return;
      this.#last = at;
      this.#draw(at);
      return;
    }
    const tenth = Math.floor((10 * done) / Math.max(total, 1));
    if (this.#lastTenth >= tenth && at - this.#last < lineMs && !finished) return;
    // Many short steps pass a tenth each within a moment; a log needs no more than one line a second.
    if (this.#lastTenth >= 0 && at - this.#last < 1000 && !finished) return;
    this.#last = at;
    this.#lastTenth = tenth;
    const { label } = this.#options;
    this.#stream.write(`${[label, ...this.#words(at)].filter((word) => word !== '').join('  ')}\n`);
  }

  /** Until the first update: says what is being waited for, on a terminal only. */
  wait(text: string): void {
    if (!this.#drawn || this.#state) return;
    const { label, env } = this.#options;
    this.#current = [label, styleFor(this.#stream, env).dim(`${text} …`)].filter((part) => part !== '').join('  ');
    this.#stream.write(`\r${this.#current}\x1b[K`);
  }

  /** Writes a line of its own; the bar moves down. */
  note(line: string): void {
    if (!this.#drawn || this.#current === '') {
      this.#stream.write(`${line}\n`);
      return;
    }
    this.#stream.write(`\r\x1b[K${line}\n${this.#current}`);
  }

  /** Ends the line: it stays as it is, or goes where `keep` is false. */
  end(keep = true): void {
    if (!this.#drawn || this.#current === '') return;
    if (keep && this.#state) this.#draw(this.#options.now());
    this.#stream.write(keep && this.#state ? '\n' : '\r\x1b[K');
    this.#current = '';
  }

  get seconds(): number {
    return (this.#options.now() - this.#started) / 1000;
  }

  #words(at: number): string[] {
    const { done, total, details } = this.#state!;
    const time = done >= total ? duration((at - this.#started) / 1000) : this.#timeLeft(at);
    return [this.#options.position(done, total), ...details, time];
  }

  // From the first update on, because what came before it was set-up.
  #timeLeft(at: number): string {
    const { done, total } = this.#state!;
    const first = this.#first!;
    if (done <= first.done || at <= first.at) return '';
    const left = ((at - first.at) / (done - first.done)) * (total - done);
    return `${duration(left / 1000)} left`;
  }

  #draw(at: number): void {
    const { done, total } = this.#state!;
    const { label, env } = this.#options;
    const width = widthOf(this.#stream);
    const [position = '', ...words] = this.#words(at).filter((word) => word !== '');
    const time = words.pop() ?? '';
    const style = styleFor(this.#stream, env);
    const compose = (name: string, details: readonly string[], bar: number): string => {
      const share = Math.min(Math.max(done / Math.max(total, 1), 0), 1);
      const filled = Math.round(share * bar);
      const [full, rest] = hasUnicode(env) ? ['█', '░'] : ['#', '-'];
      const drawn = bar > 0 ? style.cyan(full.repeat(filled)) + style.dim(rest.repeat(bar - filled)) : '';
      return [name, drawn, position, ...details, time].filter((part) => part !== '').join('  ');
    };
    // The bar takes what the words leave; where that is too little, details go first, then the label, then the bar.
    const room = (name: string, details: readonly string[]): number =>
      width -
      [name, position, ...details, time].filter((part) => part !== '').reduce((sum, part) => sum + part.length + 2, 0);
    let name = label;
    while (words.length > 0 && room(name, words) < shortestBar) words.pop();
    if (room(name, words) < shortestBar) name = '';
    const free = room(name, words);
    const line = free < 3 ? position.slice(0, width) : compose(name, words, Math.min(free, longestBar));
    this.#current = line;
    this.#stream.write(`\r${line}\x1b[K`);
  }
}
