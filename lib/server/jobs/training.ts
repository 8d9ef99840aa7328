// The two halves of a job's work: reading its data, and the training itself. Both may be cut off at any moment and
// started again.
//
// They work on local files in scratch: data and checkpoints are fetched from the store, and each new checkpoint is
// published as soon as it is written.
import { join, sep } from 'node:path';
import { Readable } from 'node:stream';
import type { Blobs, Scratch, Store } from '../../store/store.js';
import { checkpointFolder, checkpointStep } from '../../train/checkpoint.js';
import { figuresOf, methods } from '../../train/methods/index.js';
import type { TrainStep } from '../../train/step.js';
import type { FileStore } from '../files/store.js';
import type { ServedModel } from '../served.js';
import type { JobEvents } from './events.js';
import { addStateEvents, addStepEvent } from './messages.js';
import { type JobModels, runBlob } from './models.js';
import { isOver, type JobRecord } from './record.js';
import { readData, settled, trainingOptions, withoutPath } from './settings.js';
import { type JobStore, parts } from './store.js';

/** What a server keeps for its jobs. */
export interface JobData {
  readonly store: Store;
  readonly files: FileStore;
  readonly jobs: JobStore;
  readonly models: JobModels;
}

// Checkpoints in the store to continue from: the one before the newest is there in case that is broken.
const keptCheckpoints = 2;

/** Reads the data and settles the hyperparameters. @throws JobFailure that names the line. */
export async function validateJob(
  { store, jobs }: JobData,
  job: JobRecord,
  { model }: ServedModel,
  signal: AbortSignal,
): Promise<void> {
  const events = jobs.events(job.id);
  await events.add('validating', `Validating training file: ${job.training.id}`);
  await using scratch = await store.scratch();
  const { training, validation, start } = await fetchInputs(jobs.blobs(job.id), scratch, job);
  const facts = await readData(model, job, 'training', training, signal);
  const others = validation === undefined ? undefined : await readData(model, job, 'validation', validation, signal);
  for (const warning of [...facts.warnings, ...(others?.warnings ?? [])]) await addWarning(events, warning);
  await jobs.update(job, () => {
    signal.throwIfAborted();
    const hyperparameters = settled(model, job, facts, start === undefined);
    return { status: 'queued', hyperparameters, longestRow: facts.longestRow, starts: 0 };
  });
  await addStateEvents(events, job);
}

interface Inputs {
  training: string;
  validation: string | undefined;
  start: string | undefined;
}

/** Fetches what a job learns from and starts with; gives the local paths. */
async function fetchInputs(blobs: Blobs, scratch: Scratch, job: JobRecord): Promise<Inputs> {
  const fetched = async (name: string): Promise<string | undefined> => {
    const path = join(scratch.path, name);
    return (await blobs.fetch(name, path)) ? path : undefined;
  };
  const dataOf = async (name: string, { filename }: JobRecord['training']): Promise<string> => {
    const path = await fetched(name);
    if (path === undefined) throw new Error(`'${filename}': is no longer stored`);
    return path;
  };
  const training = await dataOf(parts.training, job.training);
  const validation = job.validation && (await dataOf(parts.validation, job.validation));
  return { training, validation, start: await fetched(parts.start) };
}

/** Fetches the stored checkpoints into the folder that this run writes its own to, and gives its path. */
async function fetchCheckpoints(blobs: Blobs, scratch: Scratch): Promise<string> {
  const folder = join(scratch.path, parts.run);
  for (const step of await storedSteps(blobs)) await blobs.fetch(runBlob(step), join(folder, checkpointFolder(step)));
  return folder;
}

/** Steps of the checkpoints that the training can continue from, newest first. */
export async function storedSteps(blobs: Blobs): Promise<number[]> {
  const steps = (await blobs.list(parts.run)).map(checkpointStep);
  return steps.filter((step) => step !== undefined).sort((a, b) => b - a);
}

async function publishCheckpoint(blobs: Blobs, step: number, folder: string): Promise<void> {
  await blobs.publish(runBlob(step), folder);
  for (const old of (await storedSteps(blobs)).slice(keptCheckpoints)) await blobs.remove(runBlob(old));
}

/** Trains, from the newest checkpoint on if there is one, and leaves the model, the result file and the last events. */
export async function trainJob(
  data: JobData,
  job: JobRecord,
  served: ServedModel,
  signal: AbortSignal,
  onStep: (step: TrainStep) => void,
): Promise<void> {
  const { jobs, files, models } = data;
  const events = jobs.events(job.id);
  await makeAdapter(data, job, served, signal, onStep);
  await writeResult(files, job, events);
  await models.serveResult(job, served);
  const steps = (await events.all()).filter(({ type }) => type === 'metrics');
  const trainedTokens = steps.reduce((sum, { data }) => sum + Number(data?.train_tokens), 0);
  try {
    await jobs.update(job, () => {
      signal.throwIfAborted();
      // Paused or cancelled just now, and about to be stopped.
      if (job.status !== 'running') return {};
      return { status: 'succeeded', finishedAt: jobs.now(), trainedTokens };
    });
  } finally {
    if (job.status !== 'succeeded') {
      await models.withdrawResult(job, served);
      await files.remove(job.resultFile);
    }
  }
  await addStateEvents(events, job);
}

/** The training itself: it publishes checkpoints and, at its end, the adapter. */
async function makeAdapter(
  { store, jobs, models }: JobData,
  job: JobRecord,
  served: ServedModel,
  signal: AbortSignal,
  onStep: (step: TrainStep) => void,
): Promise<void> {
  const { model } = served;
  const events = jobs.events(job.id);
  const blobs = jobs.blobs(job.id);
  await using scratch = await store.scratch();
  const inputs = await fetchInputs(blobs, scratch, job);
  const checkpointDir = await fetchCheckpoints(blobs, scratch);
  const plain = (message: string): string => plainMessage(message, job, inputs, scratch);
  const start = inputs.start === undefined ? undefined : await model.loadAdapter(inputs.start);
  const { lora, ...options } = trainingOptions(model, job);
  const warned: Promise<void>[] = [];
  const run = model.finetune({
    ...options,
    ...(start ? { adapter: start } : { lora }),
    data: inputs.training,
    evalData: inputs.validation,
    checkpointDir,
    checkpointFirst: (job.starts ?? 0) > 1,
    resume: true,
    signal,
    onStep: async (step) => {
      if (!isOver(job)) await addStepEvent(events, job.method, step); // cancelled: that is the last event
    },
    // After a power cut, no checkpoint may know of steps that the events don't.
    beforeCheckpoint: () => events.flush(),
    afterCheckpoint: ({ step, path }) => publishCheckpoint(blobs, step, path),
    onCheckpoint: ({ step }) => models.keepCheckpoint(job, served, step),
    onWarning: (message) => {
      const telling = addWarning(events, plain(message));
      telling.catch(() => {}); // awaited below, unless the run fails before
      warned.push(telling);
    },
  });
  try {
    // Read as they come: unread steps of a long run would pile up.
    for await (const step of run) onStep(step);
    const adapter = await run;
    const saved = join(scratch.path, parts.adapter);
    await adapter.save(saved);
    await blobs.publish(parts.adapter, saved);
    await Promise.all(warned);
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Error(plain((error as Error).message), { cause: error });
  } finally {
    run.adapter?.dispose();
    start?.dispose();
  }
}

/** The message with the files' own names in the place of local paths. */
function plainMessage(message: string, job: JobRecord, inputs: Inputs, scratch: Scratch): string {
  const named = (['training', 'validation'] as const).reduce((text, which) => {
    const [path, file] = [inputs[which], job[which]];
    return path === undefined || !file ? text : withoutPath(text, path, file.filename);
  }, message);
  return named.replaceAll(scratch.path + sep, '');
}

/** The same warning comes of reading and of training: it is kept once. */
const addWarning = (events: JobEvents, warning: string): Promise<void> =>
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
  const rows = (await events.all()).flatMap(({ type, data }) =>
    type === 'metrics' ? [columns.map((name) => data?.[name] ?? '')] : [],
  );
  const text = [head, ...rows].map((row) => `${row.join(',')}\n`).join('');
  await files.add(job.resultFile, async (save) => {
    await save(Readable.from([Buffer.from(text)]));
    return { filename: 'step_metrics.csv', purpose: 'fine-tune-results', bytes: Buffer.byteLength(text) };
  });
}
