// The two halves of a job's work: reading its data, and the training itself. Both may be cut off at any moment and
// begun again.
import { existsSync } from 'node:fs';
import { writeAtomic } from '../../files/atomic.js';
import type { TrainStep } from '../../train/loop.js';
import { figuresOf, methods } from '../../train/methods/index.js';
import type { ServedModel } from '../context.js';
import type { FileStore } from '../files/store.js';
import type { JobEvents } from './events.js';
import type { JobModels } from './models.js';
import { readData, settled, trainingOptions, withoutPath } from './settings.js';
import { isOver, type JobRecord, type JobStore, places } from './store.js';
import { tellRecord, tellStep } from './telling.js';

export interface JobRooms {
  store: JobStore;
  files: FileStore;
  models: JobModels;
}

/** Reads the data and settles the hyperparameters. @throws JobFailure that names the line. */
export async function validateJob(
  { store }: JobRooms,
  job: JobRecord,
  { model }: ServedModel,
  signal: AbortSignal,
): Promise<void> {
  const events = await store.events(job.id);
  await events.add('validating', `Validating training file: ${job.training.id}`);
  const facts = await readData(model, job, 'training', store.path(job.id, places.training), signal);
  const others = job.validation
    ? await readData(model, job, 'validation', store.path(job.id, places.validation), signal)
    : undefined;
  for (const warning of [...facts.warnings, ...(others?.warnings ?? [])]) await tellWarning(events, warning);
  await store.update(job, () => {
    signal.throwIfAborted();
    const hyperparameters = settled(job.hyperparameters, job.method, facts.rows);
    return { status: 'queued', hyperparameters, longestRow: facts.longestRow, starts: 0 };
  });
  await tellRecord(events, job);
}

/** Trains, from the newest checkpoint on if there is one, and leaves the model, the result file and the last events. */
export async function trainJob(
  { store, files, models }: JobRooms,
  job: JobRecord,
  served: ServedModel,
  signal: AbortSignal,
  onStep: (step: TrainStep) => void,
): Promise<void> {
  const { model } = served;
  const path = (place: keyof typeof places): string => store.path(job.id, places[place]);
  const plain = (message: string): string =>
    withoutPath(
      withoutPath(message, path('training'), job.training.filename),
      path('validation'),
      job.validation?.filename ?? '',
    );
  const events = await store.events(job.id);
  const start = existsSync(path('start')) ? await model.loadAdapter(path('start')) : undefined;
  const { lora, ...options } = trainingOptions(model, job);
  const warned: Promise<void>[] = [];
  const run = model.finetune({
    ...options,
    ...(start ? { adapter: start } : { lora }),
    data: path('training'),
    ...(job.validation ? { evalData: path('validation') } : {}),
    checkpointDir: path('run'),
    checkpointFirst: (job.starts ?? 0) > 1,
    resume: true,
    signal,
    onStep: async (step) => {
      if (!isOver(job)) await tellStep(events, job.method, step); // cancelled: that is the last event
    },
    // After a power cut, no checkpoint may know of steps that the events don't.
    beforeCheckpoint: () => events.sync(),
    onCheckpoint: ({ step, path: from }) => models.keepCheckpoint(job, served, step, from),
    onWarning: (message) => {
      const telling = tellWarning(events, plain(message));
      telling.catch(() => {}); // awaited below, unless the run fails before
      warned.push(telling);
    },
  });
  try {
    // Taken as they come: a long run would pile them up.
    for await (const step of run) onStep(step);
    const adapter = await run;
    await adapter.save(path('adapter'));
    await Promise.all(warned);
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Error(plain((error as Error).message), { cause: error });
  } finally {
    run.adapter?.dispose();
    start?.dispose();
  }
  await writeResult(files, job, events);
  await models.serveResult(job, served);
  const steps = events.all.filter(({ type }) => type === 'metrics');
  const trainedTokens = steps.reduce((sum, { data }) => sum + Number(data?.train_tokens), 0);
  try {
    await store.update(job, () => {
      signal.throwIfAborted();
      // Paused or cancelled just now, and about to be stopped.
      if (job.status !== 'running') return {};
      return { status: 'succeeded', finishedAt: Date.now(), trainedTokens };
    });
  } finally {
    if (job.status !== 'succeeded') {
      await models.withdrawResult(job, served);
      await files.remove(job.resultFile);
    }
  }
  await tellRecord(events, job);
}

/** Reading and training find the same: each is told once. */
const tellWarning = (events: JobEvents, warning: string): Promise<void> =>
  events.add(`warning:${warning}`, warning, { level: 'warn' });

/** One row for each step: its losses, and the figures that the method gives columns. */
async function writeResult(files: FileStore, job: JobRecord, events: JobEvents): Promise<void> {
  const figures = figuresOf(methods[job.method]).flatMap(([, { wire }]) =>
    wire.resultColumns ? [{ name: wire.name, columns: wire.resultColumns }] : [],
  );
  const columns = [
    'step',
    'train_loss',
    ...figures.map(({ name }) => `train_${name}`),
    'valid_loss',
    ...figures.map(({ name }) => `valid_${name}`),
  ];
  const head = [
    'step',
    'train_loss',
    ...figures.map(({ columns: [train] }) => train),
    'valid_loss',
    ...figures.map(({ columns: [, valid] }) => valid),
  ];
  const rows = events.all.flatMap(({ type, data }) =>
    type === 'metrics' ? [columns.map((name) => data?.[name] ?? '')] : [],
  );
  const text = [head, ...rows].map((row) => `${row.join(',')}\n`).join('');
  await files.add(job.resultFile, async (content) => {
    await writeAtomic(content, text);
    return { filename: 'step_metrics.csv', purpose: 'fine-tune-results', bytes: Buffer.byteLength(text) };
  });
}
