// A fine-tune as the commands show it: progress, the figures of each step, and what it leaves in the adapter's folder.
import { copyFile, mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { writeAtomic } from '../files/atomic.js';
import type { Adapter } from '../lora/adapter.js';
import type { Finetune } from '../train/finetune.js';
import type { TrainStep } from '../train/loop.js';
import { lossPlot, type MetricsFile } from '../train/report.js';
import { digits } from './format.js';
import type { Progress } from './progress.js';

export interface Watched {
  /** The last step, if there was one. */
  last: TrainStep | undefined;
  /** The figures of all steps, those of an earlier part of a resumed run included. */
  metrics: MetricsFile;
}

/** Follows a fine-tune to its end or its failure, and keeps its figures in `metrics` as they come. */
export async function watch(
  run: Finetune,
  watched: Watched,
  progress: Progress | undefined,
  onStep?: (step: TrainStep) => void,
): Promise<Adapter> {
  await mkdir(dirname(watched.metrics.path), { recursive: true });
  progress?.wait('reading the data');
  for await (const step of run) {
    watched.last = step;
    const { steps: _, ...figures } = step;
    await watched.metrics.add(figures);
    onStep?.(step);
    progress?.update(step.step, step.steps, [
      `loss ${step.loss.toFixed(3)}`,
      `${digits(step.tokensPerSecond)} tokens/s`,
    ]);
    if (step.evalLoss !== undefined) progress?.note(`step ${step.step}: eval loss ${step.evalLoss.toFixed(4)}`);
  }
  return run;
}

/** Writes the adapter with its figures and its plot beside it. The folder is replaced whole. */
export async function saveRun(folder: string, adapter: Adapter, metrics: MetricsFile, title: string): Promise<void> {
  await adapter.save(folder);
  if (metrics.steps.length === 0) return;
  await copyFile(metrics.path, join(folder, basename(metrics.path)));
  await writeAtomic(join(folder, 'loss.svg'), lossPlot(metrics.steps, title));
}
