// The record of a fine-tuning job, which decides: what was asked for, how far it is, how it ended.
import { z } from 'zod';
import { methodNames } from '../../train/methods/index.js';
import { record } from '../http/sized.js';
import { hyperparametersSchema } from './hyperparameters.js';

export const metadataSchema = record(z.string().max(512), 16, z.string().max(64));

const fileSchema = z.object({ id: z.string(), filename: z.string() });

export const recordSchema = z.object({
  id: z.string(),
  /** Milliseconds, as all times here. */
  createdAt: z.number(),
  /** Jobs wait in this order. */
  queuedAt: z.number(),
  finishedAt: z.number().optional(),
  /** The request's name for it. */
  model: z.string(),
  /** The served model. */
  base: z.string(),
  training: fileSchema,
  validation: fileSchema.optional(),
  method: z.enum(methodNames),
  hyperparameters: hyperparametersSchema,
  /** Known once the data was read. */
  longestRow: z.number().optional(),
  suffix: z.string().optional(),
  seed: z.number(),
  metadata: metadataSchema.optional(),
  integrations: z.array(z.looseObject({})),
  status: z.enum(['validating_files', 'queued', 'running', 'succeeded', 'failed', 'cancelled']),
  paused: z.boolean(),
  pausedAt: z.number().optional(),
  resumedAt: z.number().optional(),
  /** Starts since the newest checkpoint that did not end in an orderly way. */
  starts: z.number().optional(),
  /** The step of that checkpoint. */
  reached: z.number().optional(),
  error: z.object({ code: z.string(), message: z.string(), param: z.string().nullable() }).optional(),
  trainedTokens: z.number().optional(),
  /** The model that it makes. */
  name: z.string(),
  /** The file that it makes. */
  resultFile: z.string(),
  /** Models of it that were deleted. */
  deleted: z.array(z.string()),
});

export type JobRecord = z.infer<typeof recordSchema>;

export const isOver = ({ status }: JobRecord): boolean => ['succeeded', 'failed', 'cancelled'].includes(status);
