// A fine-tune as the commands show it: progress, the figures of each step, and what it leaves in the adapter's folder.
import { copyFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { writeAtomic } from '../files/atomic.js';
import type { Adapter } from '../lora/adapter.js';
import type { Finetune } from '../train/finetune.js';
import { allFigures } from '../train/methods/index.js';
import { lossPlot, type MetricsFile } from '../train/report.js';
import type { RunPlan, TrainStep } from '../train/step.js';
import { digits, plural } from './format.js';
import type { Progress } from './progress.js';

/** What a run settled on, in one line. */
export function planLine({ rows, epochs, steps, batchSize, batchTokens, learningRate, ...plan }: RunPlan): string {
  const data = rows === undefined ? '' : ` of ${plural(rows, 'row')}`;
  const length = epochs === undefined ? `${plural(steps, 'step')}${data}` : `${plural(epochs, 'epoch')}${data}`;
  const size = batchSize === undefined ? `at most ${plural(batchTokens ?? 0, 'token')}` : plural(batchSize, 'row');
  const rise = plan.warmupSteps > 0 ? ` after ${plural(plan.warmupSteps, 'step')} of warm-up` : '';
  const lora = plan.lora ? `, rank ${plan.lora.r}, alpha ${plan.lora.alpha}` : '';
  return `${length}, ${size} in a step, learning rate ${learningRate.toExponential()} (${plan.schedule}${rise})${lora}`;
}

export interface Watched {
  /** The last step, if there was one. */
  last: TrainStep | undefined;
  /** Steps of this run alone. */
  count: number;
  /** The figures of all steps, those of an earlier part of a resumed run included. */
  metrics: MetricsFile;
}

/** What a fine-tune does with each step before it may save a checkpoint of it, so that none is missing after a kill. */
export const keeping =
  (metrics: MetricsFile) =>
  ({ steps: _, ...figures }: TrainStep): Promise<void> =>
    metrics.add(figures);

/** Follows a fine-tune to its end or its failure. */
export async function watch(
  run: Finetune,
  watched: Watched,
  progress: Progress | undefined,
  onStep?: (step: TrainStep) => void,
): Promise<Adapter> {
  progress?.wait('reading the data');
  for await (const step of run) {
    watched.last = step;
    watched.count++;
    onStep?.(step);
    const { loss, tokensPerSecond } = step;
    const details = [`loss ${loss.toFixed(3)}`, `${digits(tokensPerSecond)} tokens/s`, ...methodFigures(step)];
    progress?.update(step.step, step.steps, details);
    if (step.evalLoss !== undefined) progress?.note(`step ${step.step}: eval loss ${step.evalLoss.toFixed(4)}`);
  }
  return run;
}

function methodFigures(step: TrainStep): string[] {
  const values: Readonly<Record<string, unknown>> = { ...step };
  return [...allFigures].flatMap(([name, { label }]) => {
    const value = values[name];
    return typeof value === 'number' ? [`${label} ${value.toFixed(3)}`] : [];
  });
}

/**
 * Writes the adapter with its figures and its plot beside it. The folder is replaced whole.
 *
 * @param unit what the loss is per
 */
export async function saveRun(
  folder: string,
  adapter: Adapter,
  metrics: MetricsFile,
  title: string,
  unit?: string,
): Promise<void> {
  await adapter.save(folder);
  if (metrics.steps.length === 0) return;
  await copyFile(metrics.path, join(folder, basename(metrics.path)));
  await writeAtomic(join(folder, 'loss.svg'), lossPlot(metrics.steps, title, unit));
}
