// What a run leaves beside its adapter: the figures of each step (JSON Lines or CSV), and the loss as a plot (SVG).
import { existsSync } from 'node:fs';
import { appendFile, readFile } from 'node:fs/promises';
import { dirname, extname } from 'node:path';
import { makeFolder, writeAtomic } from '../files/atomic.js';
import { fileError } from '../files/json.js';
import { evalName } from './figures.js';
import { allFigures } from './methods/index.js';
import type { TrainStep } from './step.js';

export type Figures = Omit<TrainStep, 'steps'>;

const columns = [
  'step',
  'epoch',
  'loss',
  'gradNorm',
  'learningRate',
  'tokens',
  'tokensPerSecond',
  'evalLoss',
  ...allFigures.keys(),
  ...[...allFigures.keys()].map(evalName),
] as readonly (keyof Figures)[];

/**
 * A file of one line per step, as CSV where its name ends so, else as JSON Lines. A resumed run
 * appends to its file: lines from its first step on are replaced.
 */
export class MetricsFile {
  /** All steps in the file. */
  readonly steps: Figures[] = [];
  readonly #csv: boolean;
  #started = false;

  constructor(readonly path: string) {
    this.#csv = extname(path).toLowerCase() === '.csv';
  }

  /** Appends one step. @throws Error that names the file. */
  async add(step: Figures): Promise<void> {
    try {
      if (!this.#started) await this.#start(step.step);
      this.#started = true;
      await appendFile(this.path, this.#line(step));
      this.steps.push(step);
    } catch (error) {
      throw fileError(this.path, error);
    }
  }

  async #start(first: number): Promise<void> {
    if (first > 1 && existsSync(this.path)) {
      const lines = (await readFile(this.path, 'utf8')).split('\n');
      // An earlier version's file may have fewer columns.
      const names = lines[0]!.trim().split(',');
      // A line that a killed process left half written is no step.
      const kept = lines.map((line) => this.#parsed(line, names)).filter((step) => step !== undefined);
      this.steps.push(...kept.filter(({ step }) => step < first));
    }
    await makeFolder(dirname(this.path));
    const head = this.#csv ? `${columns.join(',')}\n` : '';
    await writeAtomic(this.path, head + this.steps.map((step) => this.#line(step)).join(''));
  }

  #line(step: Figures): string {
    const cells = columns
      .map((name) => [name, step[name]] as const)
      .filter(([, value]) => value !== undefined || this.#csv);
    if (this.#csv) return `${cells.map(([, value]) => value ?? '').join(',')}\n`;
    return `${JSON.stringify(Object.fromEntries(cells))}\n`;
  }

  #parsed(line: string, names: readonly string[]): Figures | undefined {
    try {
      const values = this.#csv ? fromCsv(line, names) : (JSON.parse(line) as Record<string, unknown>);
      return Number.isFinite(values.step) && Number.isFinite(values.loss) ? (values as unknown as Figures) : undefined;
    } catch {
      return undefined;
    }
  }
}

function fromCsv(line: string, names: readonly string[]): Record<string, unknown> {
  const cells = line.trim().split(',');
  if (cells.length !== names.length) return {};
  return Object.fromEntries(names.map((name, i) => [name, Number(cells[i])]).filter((_, i) => cells[i] !== ''));
}

export type PlotPoint = Pick<TrainStep, 'step' | 'loss'> & { evalLoss?: number | undefined };

const width = 720;
const height = 380;
const frame = { left: 64, right: 20, top: 44, bottom: 50 };
// Points beyond the image's pixels only make the file larger.
const mostPoints = 600;

/** The loss in nats per `unit` over the steps, as an SVG image that follows the reader's light or dark theme. */
export function lossPlot(points: readonly PlotPoint[], title = 'Training loss', unit = 'token'): string {
  const drawn = points.filter(({ loss }) => Number.isFinite(loss));
  const evals = points.flatMap(({ step, evalLoss }) => (Number.isFinite(evalLoss) ? [{ step, loss: evalLoss! }] : []));
  const losses = [...drawn, ...evals].map(({ loss }) => loss);
  const yTicks = ticks(
    losses.reduce((a, b) => Math.min(a, b), Infinity),
    losses.reduce((a, b) => Math.max(a, b), -Infinity),
    6,
  );
  const xSpan = [drawn[0]?.step ?? 0, Math.max((drawn[0]?.step ?? 0) + 1, drawn.at(-1)?.step ?? 1)] as const;
  const ySpan = [yTicks[0]!, yTicks.at(-1)!] as const;
  const xTicks = ticks(...xSpan, 8).filter((v) => Number.isInteger(v) && v >= xSpan[0] && v <= xSpan[1]);
  const right = width - frame.right;
  const bottom = height - frame.bottom;
  const x = (step: number): string => place(step, xSpan, frame.left, right);
  const y = (loss: number): string => place(loss, ySpan, bottom, frame.top);
  const line = (list: readonly PlotPoint[]): string => list.map(({ step, loss }) => `${x(step)},${y(loss)}`).join(' ');

  const legend = [['raw', 'loss'], ['smooth', 'smoothed'], ...(evals.length > 0 ? [['eval', 'eval loss']] : [])];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">`,
    `<style>${style}</style>`,
    `<rect class="ground" width="${width}" height="${height}"/>`,
    `<text class="title" x="${frame.left}" y="24">${escaped(title)}</text>`,
    ...yTicks.map(
      (v) =>
        `<path class="grid" d="M${frame.left} ${y(v)}H${right}"/><text x="${frame.left - 8}" y="${y(v)}" dy="4" text-anchor="end">${label(v)}</text>`,
    ),
    ...xTicks.map(
      (v) =>
        `<path class="axis" d="M${x(v)} ${bottom}v5"/><text x="${x(v)}" y="${bottom + 20}" text-anchor="middle">${label(v)}</text>`,
    ),
    `<path class="axis" d="M${frame.left} ${bottom}H${right}"/>`,
    `<text x="${(frame.left + right) / 2}" y="${height - 10}" text-anchor="middle">step</text>`,
    `<text transform="translate(18 ${(frame.top + bottom) / 2}) rotate(-90)" text-anchor="middle">loss (nats per ${escaped(unit)})</text>`,
    `<polyline class="raw" points="${line(thinned(drawn))}"/>`,
    `<polyline class="smooth" points="${line(thinned(smoothed(drawn)))}"/>`,
    `<polyline class="eval" points="${line(evals)}"/>`,
    ...evals.map(({ step, loss }) => `<circle class="dot" cx="${x(step)}" cy="${y(loss)}" r="3.5"/>`),
    ...legend.map(([name, words], i) => {
      const at = right - 96 * (legend.length - i) + 8;
      return `<path class="${name}" d="M${at} 20h20"/><text x="${at + 26}" y="24">${words}</text>`;
    }),
    '</svg>',
    '',
  ].join('\n');
}

const style = [
  'text{font:12px system-ui,sans-serif;fill:#57606a}',
  '.title{font-size:15px;font-weight:600;fill:#1f2328}',
  '.ground{fill:#fff}',
  '.grid{stroke:#d0d7de;stroke-width:.7}',
  '.axis{stroke:#8c959f}',
  '.raw,.smooth,.eval{fill:none;stroke-linejoin:round}',
  '.raw{stroke:#8fb8f0;stroke-width:1.1}',
  '.smooth{stroke:#0a58ca;stroke-width:2.2}',
  '.eval{stroke:#c2410c;stroke-width:1.6}',
  '.dot{fill:#c2410c}',
  '@media (prefers-color-scheme:dark){text{fill:#9aa4b0}.title{fill:#e6edf3}.ground{fill:#0d1117}.grid{stroke:#2a3038}',
  '.axis{stroke:#545d68}.raw{stroke:#31507d}.smooth{stroke:#6cb0ff}.eval{stroke:#ff9d5c}.dot{fill:#ff9d5c}}',
].join('');

function place(value: number, [low, high]: readonly [number, number], from: number, to: number): string {
  return String(Number((from + ((value - low) / (high - low)) * (to - from)).toFixed(1)));
}

/** Round numbers from at most `low` to at least `high`. */
function ticks(low: number, high: number, most: number): number[] {
  if (!(low <= high)) return [0, 1];
  const spread = Math.max(high - low, Math.abs(high) * 1e-3, 1e-6);
  const rough = spread / (most - 1);
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((size) => size >= rough)!;
  const first = Math.floor(low / step);
  const last = Math.max(first + 1, Math.ceil(high / step));
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

const label = (value: number): string => String(Number(value.toPrecision(6)));
const escaped = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** Centred moving means over a twentieth of the run; the window narrows at the ends. */
function smoothed(points: readonly PlotPoint[]): PlotPoint[] {
  const sums = [0];
  for (const { loss } of points) sums.push(sums.at(-1)! + loss);
  const reach = Math.ceil(points.length / 40);
  return points.map(({ step }, i) => {
    const near = Math.min(reach, i, points.length - 1 - i);
    return { step, loss: (sums[i + near + 1]! - sums[i - near]!) / (2 * near + 1) };
  });
}

/** Means over stretches of equal length, at most `mostPoints` of them. */
function thinned(points: readonly PlotPoint[]): PlotPoint[] {
  const length = Math.ceil(points.length / mostPoints);
  if (length <= 1) return [...points];
  return Array.from({ length: Math.ceil(points.length / length) }, (_, i) => {
    const part = points.slice(i * length, (i + 1) * length);
    return { step: part.at(-1)!.step, loss: part.reduce((sum, { loss }) => sum + loss, 0) / part.length };
  });
}
