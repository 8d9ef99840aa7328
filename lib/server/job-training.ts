// The two halves of a job's work: reading its data, and the training itself. Both may be cut off at any moment and
// begun again.
import { existsSync } from 'node:fs';
import { writeAtomic } from '../files/atomic.js';
import { listCheckpoints } from '../train/checkpoint.js';
import type { TrainStep } from '../train/loop.js';
import type { ServedModel } from './context.js';
import type { FileStore } from './file-store.js';
import type { JobEvents } from './job-events.js';
import type { JobModels } from './job-models.js';
import { readData, settled, trainingOptions, withoutPath } from './job-settings.js';
import { isOver, type JobRecord, type JobStore, places } from './job-store.js';

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
  for (const [i, warning] of [...facts.warnings, ...(others?.warnings ?? [])].entries()) {
    await events.add(`warning:${i}`, warning, { level: 'warn' });
  }
  signal.throwIfAborted();
  await Promise.all([
    store.update(job, {
      status: 'queued',
      hyperparameters: settled(job.hyperparameters, job.method, facts.rows),
      longestRow: facts.longestRow,
    }),
    events.add('queued', 'Files validated, moving job to queued state'),
  ]);
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
  const events = await store.events(job.id);
  // A process that died after a checkpoint was written may not have kept it.
  for (const { step, path: from } of await listCheckpoints(path('run'))) {
    await models.keepCheckpoint(job, served, step, from);
  }
  const start = existsSync(path('start')) ? await model.loadAdapter(path('start')) : undefined;
  const { lora, ...options } = trainingOptions(model, job);
  const run = model.finetune({
    ...options,
    ...(start ? { adapter: start } : { lora }),
    data: path('training'),
    ...(job.validation ? { evalData: path('validation') } : {}),
    checkpointDir: path('run'),
    resume: true,
    signal,
    onStep: async (step) => {
      onStep(step);
      if (!isOver(job)) await tellStep(events, step); // cancelled: that is the last event
    },
    onCheckpoint: ({ step, path: from }) => models.keepCheckpoint(job, served, step, from),
    onWarning: () => {}, // the validation has told
  });
  try {
    const adapter = await run;
    await adapter.save(path('adapter'));
  } catch (error) {
    signal.throwIfAborted();
    throw new Error(withoutPath((error as Error).message, path('training'), job.training.filename), { cause: error });
  } finally {
    run.adapter?.dispose();
    start?.dispose();
  }
  await writeResult(files, job, events);
  await models.serveResult(job, served);
  signal.throwIfAborted();
  const steps = events.all.filter(({ type }) => type === 'metrics');
  const trainedTokens = steps.reduce((sum, { data }) => sum + Number(data?.train_tokens), 0);
  // In one stretch: whoever sees the job succeeded sees its last events too.
  await Promise.all([
    store.update(job, { status: 'succeeded', finishedAt: Date.now(), trainedTokens }),
    tellSuccess(events, job),
  ]);
}

export async function tellSuccess(events: JobEvents, job: JobRecord): Promise<void> {
  await Promise.all([
    events.add('model', `New fine-tuned model created: ${job.name}`),
    events.add('succeeded', 'The job has successfully completed'),
  ]);
}

async function tellStep(events: JobEvents, step: TrainStep): Promise<void> {
  const { loss, evalLoss } = step;
  const figures: Record<string, number | undefined> = {
    step: step.step,
    total_steps: step.steps,
    train_loss: loss,
    train_mean_token_accuracy: step.tokenAccuracy,
    train_reward_margin: step.rewardMargin,
    train_reward_accuracy: step.rewardAccuracy,
    train_tokens: step.tokens,
    learning_rate: step.learningRate,
    valid_loss: evalLoss,
    valid_mean_token_accuracy: step.evalTokenAccuracy,
    valid_reward_margin: step.evalRewardMargin,
    valid_reward_accuracy: step.evalRewardAccuracy,
    // The whole file is measured each time.
    full_valid_loss: evalLoss,
    full_valid_mean_token_accuracy: step.evalTokenAccuracy,
  };
  const data = Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== undefined));
  const measured = evalLoss === undefined ? '' : `, validation loss=${evalLoss.toFixed(2)}`;
  const message = `Step ${step.step}/${step.steps}: training loss=${loss.toFixed(2)}${measured}`;
  await events.add(`step:${step.step}`, message, { data });
}

/** One row for each step: of a supervised job token accuracies, of preferences the shares of pairs won. */
async function writeResult(files: FileStore, job: JobRecord, events: JobEvents): Promise<void> {
  const measure = job.method === 'dpo' ? 'reward_accuracy' : 'mean_token_accuracy';
  const columns = ['step', 'train_loss', `train_${measure}`, 'valid_loss', `valid_${measure}`];
  const head = job.method === 'dpo' ? columns : ['step', 'train_loss', 'train_accuracy', ...columns.slice(3)];
  const rows = events.all.flatMap(({ type, data }) =>
    type === 'metrics' ? [columns.map((name) => data?.[name] ?? '')] : [],
  );
  const text = [head, ...rows].map((row) => `${row.join(',')}\n`).join('');
  await files.add(job.resultFile, async (content) => {
    await writeAtomic(content, text);
    return { filename: 'step_metrics.csv', purpose: 'fine-tune-results', bytes: Buffer.byteLength(text) };
  });
}
