// Data sets: rows from a JSONL file or any iterable, as examples by their place in an epoch's order.
//
// A loaded source reads and tokenises all rows first (8 bytes a token), so that they can be shuffled and the steps
// counted. A streamed source reads an iterable in order as the steps need it; the iterable may be endless.
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { TimeSlice } from '../../flow/pause.js';
import { drawn } from '../random.js';
import { ExampleList } from './example-list.js';
import { jsonLines } from './jsonl.js';
import { type Encoded, type EncodeOptions, type Example, encodeRow, learned } from './rows.js';

/** The path of a JSONL file, or rows. */
export type Data<Row = unknown> = string | URL | Iterable<Row> | AsyncIterable<Row>;

export interface Source {
  /** The number of examples in an epoch; undefined where that isn't known yet. */
  readonly size: number | undefined;
  /** The example at this place of the epoch's order, undefined behind the last. Places are asked for in order. */
  at(epoch: number, row: number): Promise<Example | undefined>;
}

/** What was found while the rows were read. */
export class DataReport {
  rows = 0;
  /** Rows that were longer than seqLength, and cut. */
  truncated = 0;
  /** Rows that had nothing to learn, and were left out. */
  skipped = 0;
  /** How many rows a finding is of, and the first of them. */
  readonly #found = new Map<string, { count: number; first: string[] }>();

  /** Adds a row at `place`, such as `line 3`. */
  add({ example, others = [], truncated, warning }: Encoded, place: string): void {
    this.rows++;
    const useful = [example, ...others].some((piece) => learned(piece) > 0);
    if (truncated) this.truncated++;
    if (!useful) this.skipped++;
    const findings = [truncated && cut, !useful && leftOut, warning !== undefined && `: ${warning}`];
    for (const each of findings) {
      if (each === false) continue;
      // A template's refusal may quote its row, so that each is another one.
      const finding = this.#found.has(each) || this.#found.size < mostFindings ? each : further;
      const { count, first } = this.#found.get(finding) ?? { count: 0, first: [] };
      this.#found.set(finding, { count: count + 1, first: count < mostNamed ? [...first, place] : first });
    }
  }

  /** The findings, one sentence each. */
  warnings(name: string, seqLength: number): string[] {
    return [...this.#found].map(([finding, { count, first }]) => {
      const words = finding === cut ? `${cut}, ${seqLength} tokens` : finding;
      return `${name}: ${count} of ${this.rows} rows${words} (${first.join(', ')}${count > first.length ? ', …' : ''})`;
    });
  }

  /** The error of data without a usable row. */
  nothing(name: string): string {
    if (this.rows === 0) return `${name}: there are no rows`;
    const [why] = [...this.#found].filter(([finding]) => finding.startsWith(': '));
    return `${name}: none of the ${this.rows} rows has anything to learn${why ? ` (${why[1].first[0]}${why[0]})` : ''}`;
  }
}

const cut = ' were cut to seqLength';
const leftOut = ' were left out, as they have nothing to learn';
const further = ': left out for further reasons';
const mostFindings = 20;
// Rows that a warning names.
const mostNamed = 3;

export const dataName = (data: Data): string => (isPath(data) ? pathOf(data) : 'data');
export const isPath = (data: Data): data is string | URL => typeof data === 'string' || data instanceof URL;
export const pathOf = (data: string | URL): string => (typeof data === 'string' ? data : fileURLToPath(data));

/** Reads the rows one by one. Those with nothing to learn are counted and left out. */
export async function* examples(
  data: Data,
  options: EncodeOptions,
  report: DataReport,
  signal: AbortSignal,
): AsyncGenerator<Example, void, void> {
  const slice = new TimeSlice(signal);
  const pause = (): Promise<void> => slice.pause();
  for await (const { where, place, row } of rows(data, pause)) {
    const encoded = await (options.encode ?? encodeRow)(row, where, { ...options, pause });
    report.add(encoded, place);
    for (const example of [encoded.example, ...(encoded.others ?? [])]) if (learned(example) > 0) yield example;
    await pause();
  }
}

async function* rows(
  data: Data,
  pause: () => Promise<void>,
): AsyncGenerator<{ where: string; place: string; row: unknown }, void, void> {
  if (isPath(data)) {
    const path = pathOf(data);
    for await (const { line, value } of jsonLines(path, pause)) {
      yield { where: `${path}:${line}`, place: `line ${line}`, row: value };
    }
    return;
  }
  let index = 0;
  for await (const row of data) {
    const place = `row ${index++}`;
    await pause();
    yield { where: `data ${place}`, place, row };
  }
}

/** All examples in memory, shuffled in each epoch if `seed` is given. */
export class LoadedSource implements Source {
  readonly size: number;
  #order: { epoch: number; rows: Uint32Array } | undefined;

  private constructor(
    readonly examples: ExampleList,
    /** A hash of all examples. */
    readonly fingerprint: string,
    readonly seed: number | undefined,
  ) {
    this.size = examples.length;
  }

  /** @throws Error if no row has anything to learn. */
  static async load(
    data: Data,
    options: EncodeOptions,
    report: DataReport,
    signal: AbortSignal,
    seed: number | undefined,
  ): Promise<LoadedSource> {
    const list = new ExampleList();
    const hash = createHash('sha256');
    for await (const example of examples(data, options, report, signal)) {
      list.add(example);
      hash.update(example.ids).update(example.labels);
      if (example.mark !== undefined) hash.update(`${example.mark}`);
    }
    if (list.length === 0) throw new Error(report.nothing(dataName(data)));
    return new LoadedSource(list, hash.digest('hex').slice(0, 16), seed);
  }

  async at(epoch: number, row: number): Promise<Example | undefined> {
    if (this.seed === undefined) return this.examples.at(row);
    if (this.#order?.epoch !== epoch) this.#order = { epoch, rows: await shuffled(this.size, this.seed, epoch) };
    const place = this.#order.rows[row];
    return place === undefined ? undefined : this.examples.at(place);
  }
}

/** The numbers below `size` in an order that follows from seed and epoch (Fisher–Yates). */
export async function shuffled(size: number, seed: number, epoch: number): Promise<Uint32Array> {
  const order = Uint32Array.from({ length: size }, (_, i) => i);
  const slice = new TimeSlice();
  for (let i = size - 1; i > 0; i--) {
    const j = drawn(i + 1, seed, epoch, i);
    [order[i], order[j]] = [order[j]!, order[i]!];
    if (i % 4096 === 0 && slice.over) await slice.pause();
  }
  return order;
}

/** Examples in their own order, read when they are needed. */
export class StreamedSource implements Source {
  readonly size = undefined;
  #reader: AsyncGenerator<Example, void, void> | undefined;
  #epoch = -1;
  #next = 0;
  #latest: Example | undefined;

  constructor(
    private readonly data: Data,
    private readonly options: EncodeOptions,
    private readonly report: DataReport,
    private readonly signal: AbortSignal,
  ) {}

  async at(epoch: number, row: number): Promise<Example | undefined> {
    if (epoch !== this.#epoch || row < this.#next - 1) {
      await this.close();
      this.#reader = examples(this.data, this.options, this.report, this.signal);
      this.#epoch = epoch;
      this.#next = 0;
    }
    // A resumed run skips the rows before its position.
    while (this.#next <= row) {
      const next = await this.#reader!.next();
      this.#latest = next.done ? undefined : next.value;
      if (next.done) break;
      this.#next++;
    }
    if (this.#latest === undefined && row === 0) {
      const name = dataName(this.data);
      throw new Error(
        epoch === 0
          ? `${name}: there are no rows to learn from`
          : `${name}: ended before the last step, and can't be read again`,
      );
    }
    return this.#latest;
  }

  async close(): Promise<void> {
    await this.#reader?.return();
    this.#reader = undefined;
    this.#latest = undefined;
  }
}
