// Fine-tuning jobs on the wire: what a request may hold, and the specification's objects made from what is kept.
import { z } from 'zod';
import { figuresOf, type MethodName, methodNames, methods } from '../../train/methods/index.js';
import { list } from '../http/sized.js';
import type { JobEvent } from './events.js';
import { schemaOf } from './hyperparameters.js';
import { type JobRecord, metadataSchema } from './record.js';

// Unknown fields are dropped, as every list of jobs repeats the integrations.
const word = z.string().max(256);
const integration = z.object({
  type: z.literal('wandb'),
  wandb: z.object({
    project: word,
    name: word.nullish(),
    entity: word.nullish(),
    tags: list(z.string().max(64), 50).optional(),
  }),
});

const methodSchema = (name: MethodName) => z.looseObject({ hyperparameters: schemaOf([name]).optional() }).nullish();
const methodSchemas = Object.fromEntries(methodNames.map((name) => [name, methodSchema(name)])) as Readonly<
  Record<MethodName, ReturnType<typeof methodSchema>>
>;

export const createSchema = z.looseObject({
  model: z.string().min(1).max(512),
  training_file: z.string().min(1).max(200),
  validation_file: z.string().min(1).max(200).nullish(),
  suffix: z.string().min(1).max(64).nullish(),
  seed: z
    .number()
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .nullish(),
  metadata: metadataSchema.nullish(),
  integrations: list(integration, 5).nullish(),
  method: z
    .looseObject({
      type: z.enum(methodNames, `must be ${methodNames.map((name) => `'${name}'`).join(' or ')}`),
      ...methodSchemas,
    })
    .nullish(),
  // OpenAI's older form, from before there were methods.
  hyperparameters: schemaOf([]).nullish(),
});

export type CreateRequest = z.infer<typeof createSchema>;

const seconds = (milliseconds: number): number => Math.floor(milliseconds / 1000);

/** The spec's `FineTuningJob`. A paused job is `queued`: the enumeration has no word for it, and its events tell. */
export function jobObject(job: JobRecord, organization: string, estimatedFinish: number | undefined): object {
  const succeeded = job.status === 'succeeded';
  const { batch_size = 'auto', learning_rate_multiplier = 'auto', n_epochs = 'auto', ...more } = job.hyperparameters;
  const hyperparameters = { n_epochs, batch_size, learning_rate_multiplier, ...more };
  return {
    object: 'fine_tuning.job',
    id: job.id,
    model: job.model,
    created_at: seconds(job.createdAt),
    finished_at: job.finishedAt === undefined ? null : seconds(job.finishedAt),
    fine_tuned_model: succeeded ? job.name : null,
    organization_id: organization,
    result_files: succeeded ? [job.resultFile] : [],
    status: job.status,
    validation_file: job.validation?.id ?? null,
    training_file: job.training.id,
    hyperparameters,
    trained_tokens: job.trainedTokens ?? null,
    error: job.error ?? null,
    user_provided_suffix: job.suffix ?? null,
    seed: job.seed,
    estimated_finish: estimatedFinish === undefined ? null : seconds(estimatedFinish),
    integrations: job.integrations,
    metadata: job.metadata ?? null,
    usage_metrics: null,
    shared_with_openai: false,
    method: { type: job.method, [job.method]: { hyperparameters } },
  };
}

/** The spec's `FineTuningJobEvent`. */
export function eventObject({ id, at, level, message, type, data }: JobEvent): object {
  return { object: 'fine_tuning.job.event', id, created_at: seconds(at), level, message, type, data: data ?? {} };
}

/** What OpenAI's checkpoint objects have. */
const checkpointMetrics = (method: MethodName): string[] => {
  const figures = figuresOf(methods[method]).filter(([, { wire }]) => wire.inCheckpoints);
  const names = ['loss', ...figures.map(([, { wire }]) => wire.name)];
  return ['step', ...['train', 'valid', 'full_valid'].flatMap((part) => names.map((name) => `${part}_${name}`))];
};

/** The id of the checkpoint that an event tells of. */
export const checkpointId = ({ id }: JobEvent): string => id.replace(/^ftevent-/, 'ftckpt_');

/** The spec's `FineTuningJobCheckpoint`. `metrics` is what the step's event has. */
export function checkpointObject(
  job: JobRecord,
  event: JobEvent,
  metrics: JobEvent['data'],
): Record<string, unknown> & { id: string } {
  const { at, data } = event;
  const step = Number(data?.step);
  const known = checkpointMetrics(job.method);
  const shown = Object.entries(metrics ?? {}).filter(([name]) => known.includes(name));
  return {
    object: 'fine_tuning.job.checkpoint',
    id: checkpointId(event),
    created_at: seconds(at),
    fine_tuned_model_checkpoint: checkpointName(job, step),
    fine_tuning_job_id: job.id,
    step_number: step,
    metrics: { step, ...Object.fromEntries(shown) },
  };
}

export const checkpointName = (job: JobRecord, step: number): string => `${job.name}:ckpt-step-${step}`;
