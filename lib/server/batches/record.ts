// The record of a batch, and the object that clients see.
import { z } from 'zod';
import { unixSeconds } from '../openai/answers.js';

const fault = z.object({
  code: z.string(),
  message: z.string(),
  param: z.string().nullable(),
  line: z.number().nullable(),
});

export const recordSchema = z.object({
  id: z.string(),
  /** Milliseconds: keeps batches of one second in order. */
  createdAt: z.number(),
  status: z.enum(['validating', 'failed', 'in_progress', 'finalizing', 'completed', 'cancelling', 'cancelled']),
  endpoint: z.string(),
  inputFileId: z.string(),
  metadata: z.record(z.string(), z.string()).nullable(),
  /** Lines of the input; 0 until they were looked at. */
  total: z.number(),
  faults: z.array(fault).optional(),
  outputFileId: z.string().optional(),
  errorFileId: z.string().optional(),
  /** Unix seconds at which each state began. */
  times: z.record(z.string(), z.number()),
});

export type BatchRecord = z.infer<typeof recordSchema>;
export type Fault = z.infer<typeof fault>;

export const isOver = ({ status }: BatchRecord): boolean => ['failed', 'completed', 'cancelled'].includes(status);

/** Answers so far. */
export interface Counts {
  completed: number;
  failed: number;
}

const day = 24 * 3600;

export function batchObject(batch: BatchRecord, counts: Counts): object {
  const { id, endpoint, inputFileId, status, createdAt, metadata, total, times, faults } = batch;
  const created = Math.floor(createdAt / 1000);
  const at = (state: string) => (times[state] === undefined ? {} : { [`${state}_at`]: times[state] });
  return {
    id,
    object: 'batch',
    endpoint,
    ...(faults ? { errors: { object: 'list', data: faults } } : {}),
    input_file_id: inputFileId,
    completion_window: '24h',
    status,
    ...(batch.outputFileId ? { output_file_id: batch.outputFileId } : {}),
    ...(batch.errorFileId ? { error_file_id: batch.errorFileId } : {}),
    created_at: created,
    // Batches do not expire here: it is the end of the window that was asked for.
    expires_at: created + day,
    ...at('in_progress'),
    ...at('finalizing'),
    ...at('completed'),
    ...at('failed'),
    ...at('cancelling'),
    ...at('cancelled'),
    request_counts: { total, ...counts },
    metadata,
  };
}

/** The changes by which a batch enters a state. */
export const entering = (batch: BatchRecord, status: BatchRecord['status']): Partial<BatchRecord> => ({
  status,
  times: { ...batch.times, [status]: unixSeconds() },
});
