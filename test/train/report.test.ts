// The metrics file and the loss plot.
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Figures, lossPlot, MetricsFile } from '../../lib/train/report.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'helvetia-report-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const step = (n: number, more: Partial<Figures> = {}): Figures => ({
  step: n,
  epoch: n / 10,
  loss: 3 - n / 10,
  gradNorm: 1.5,
  learningRate: 2e-4,
  tokens: 100,
  tokensPerSecond: 5000.5,
  ...more,
});

describe('MetricsFile', () => {
  it.each(['metrics.jsonl', 'metrics.csv'])('%s: writes lines, and goes on after a checkpoint', async (name) => {
    const path = join(folder, name);
    const first = new MetricsFile(path);
    for (let n = 1; n <= 5; n++) await first.add(step(n, n === 2 ? { evalLoss: 2.5 } : {}));
    appendFileSync(path, '{"step":6,"lo');
    const second = new MetricsFile(path);
    await second.add(step(4, { loss: 1 }));
    await second.add(step(5, { loss: 1 }));
    expect(second.steps.map(({ step, loss }) => [step, loss])).toEqual([
      [1, 2.9],
      [2, 2.8],
      [3, 2.7],
      [4, 1],
      [5, 1],
    ]);
    expect(second.steps[1]).toEqual(step(2, { evalLoss: 2.5 }));
    const third = new MetricsFile(path);
    await third.add(step(6));
    expect(third.steps).toEqual([...second.steps, step(6)]);
  });

  it('begins a new file with step 1', async () => {
    const path = join(folder, 'metrics.csv');
    for (let n = 0; n < 2; n++) await new MetricsFile(path).add(step(1));
    expect(readFileSync(path, 'utf8')).toBe(
      'step,epoch,loss,gradNorm,learningRate,tokens,tokensPerSecond,evalLoss,tokenAccuracy,rewardMargin,' +
        'rewardAccuracy,evalTokenAccuracy,evalRewardMargin,evalRewardAccuracy\n1,0.1,2.9,1.5,0.0002,100,5000.5,,,,,,,\n',
    );
  });

  it('goes on in the file of a version that had fewer columns', async () => {
    const path = join(folder, 'earlier.csv');
    writeFileSync(path, 'step,epoch,loss,evalLoss\n1,0.1,2.9,\n2,0.2,2.8,2.5\n');
    const file = new MetricsFile(path);
    await file.add(step(3));
    expect(file.steps.slice(0, 2)).toEqual([
      { step: 1, epoch: 0.1, loss: 2.9 },
      { step: 2, epoch: 0.2, loss: 2.8, evalLoss: 2.5 },
    ]);
    expect(readFileSync(path, 'utf8')).toMatch(/^step,.*evalRewardAccuracy\n1,0\.1,2\.9,,,,,,/);
  });

  it('names the file that cannot be written', async () => {
    writeFileSync(join(folder, 'file'), '');
    await expect(new MetricsFile(join(folder, 'file', 'metrics.csv')).add(step(1))).rejects.toThrow(
      /metrics\.csv: .*exists/,
    );
    await new MetricsFile(join(folder, 'new', 'metrics.csv')).add(step(1));
  });
});

describe('lossPlot', () => {
  const numbers = (svg: string): number[] =>
    [...svg.matchAll(/points="([^"]*)"/g)].flatMap(([, list]) => list!.split(/[ ,]/).filter(Boolean).map(Number));

  it('keeps every point inside the image, whatever the figures', () => {
    const runs: Parameters<typeof lossPlot>[0][] = [
      [],
      [{ step: 1, loss: 2 }],
      Array.from({ length: 30 }, () => ({ step: 7, loss: 2 })),
      Array.from({ length: 5000 }, (_, i) => ({
        step: i + 1,
        loss: 5 * Math.exp(-i / 900) + Math.sin(i),
        ...(i % 500 === 499 ? { evalLoss: 3 } : {}),
      })),
      [
        { step: 1, loss: Number.NaN },
        { step: 2, loss: 1e-9 },
        { step: 3, loss: 1e9 },
      ],
    ];
    for (const run of runs) {
      const svg = lossPlot(run, 'A < B & "C"');
      expect(svg).not.toMatch(/NaN|Infinity|undefined|A < B/);
      for (const value of numbers(svg)) expect(value >= 0 && value <= 720, String(value)).toBe(true);
      expect(svg.length).toBeLessThan(60_000);
    }
  });

  it('draws the points where the figures are', () => {
    const svg = lossPlot([
      { step: 0, loss: 0 },
      { step: 10, loss: 1, evalLoss: 0.5 },
    ]);
    expect(svg).toContain('<polyline class="raw" points="64,330 700,44"/>');
    expect(svg).toContain('<circle class="dot" cx="700" cy="187"');
    expect(svg).toContain('loss (nats per token)');
    expect(lossPlot([{ step: 1, loss: 1 }], 'x', 'pair')).toContain('loss (nats per pair)');
  });
});
