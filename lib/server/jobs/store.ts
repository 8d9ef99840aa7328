// Jobs on the disk, each a folder that appears whole:
//
//   jobs/ftjob-…/job.json                  the record, replaced atomically at each change
//   jobs/ftjob-…/events.jsonl              its events
//   jobs/ftjob-…/training.jsonl            the data, kept even if the file is deleted; also validation.jsonl
//   jobs/ftjob-…/start/                    the adapter that the training begins with, if there is one
//   jobs/ftjob-…/run/                      what the training goes on from after a stop
//   jobs/ftjob-…/checkpoints/step-000120/  adapters on the way
//   jobs/ftjob-…/adapter/                  the result
//
// What a job will make (its model's name, its result file's id) is chosen when it is created: whatever is done twice
// after a crash replaces itself. Each change is first in the record, then among the events (see job-telling.ts), and
// only then in memory's own: what cannot be written has not happened.
import { existsSync } from 'node:fs';
import { constants, copyFile, link, readdir, realpath, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeFolder, settleFolder, writeAtomic, writeFolderAtomic } from '../../files/atomic.js';
import { check, readJson } from '../../files/json.js';
import { methodNames } from '../../train/methods/index.js';
import { type JobEvent, JobEvents, lineOf } from './events.js';
import { hyperparametersSchema, metadataSchema } from './shapes.js';

const fileSchema = z.object({ id: z.string(), filename: z.string() });

const recordSchema = z.object({
  id: z.string(),
  /** Milliseconds, as all times here. */
  createdAt: z.number(),
  /** Its place among the waiting. */
  queuedAt: z.number(),
  finishedAt: z.number().optional(),
  /** As the request wrote it. */
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
  /** Times that work on it was begun since the newest checkpoint, and not ended in an orderly way. */
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

/** Where the parts of a job lie, from its folder. */
export const places = {
  training: 'training.jsonl',
  validation: 'validation.jsonl',
  start: 'start',
  run: 'run',
  checkpoints: 'checkpoints',
  adapter: 'adapter',
} as const;

// Logs of jobs that are over and kept in memory: a few, for those who walk through them by page.
const mostLogs = 8;

export class JobStore {
  readonly #jobs = new Map<string, JobRecord>();
  readonly #events = new Map<string, Promise<JobEvents>>();
  #writing: Promise<void> = Promise.resolve();
  #latest = 0;

  private constructor(readonly folder: string) {}

  static async open(folder: string, warn: (message: string) => void): Promise<JobStore> {
    const store = new JobStore(folder);
    await makeFolder(folder);
    const found: JobRecord[] = [];
    for (const name of await readdir(folder)) {
      if (name.startsWith('.')) await rm(join(folder, name), { recursive: true, force: true });
      else if (name.startsWith('ftjob-')) {
        try {
          const path = join(folder, name, 'job.json');
          found.push({ ...check(path, recordSchema, readJson(path)), id: name });
          await clean(join(folder, name));
        } catch (error) {
          warn((error as Error).message);
        }
      }
    }
    for (const job of found) {
      store.#jobs.set(job.id, job);
      store.#latest = Math.max(store.#latest, job.createdAt);
    }
    return store;
  }

  /** Oldest first. */
  get all(): JobRecord[] {
    return [...this.#jobs.values()].sort((a, b) => a.createdAt - b.createdAt);
  }

  get(id: string): JobRecord | undefined {
    return this.#jobs.get(id);
  }

  path(id: string, ...parts: string[]): string {
    return join(this.folder, id, ...parts);
  }

  events(id: string): Promise<JobEvents> {
    const events = this.#events.get(id) ?? JobEvents.open(this.path(id, 'events.jsonl'), id);
    // The last one asked for is the last to go.
    this.#events.delete(id);
    this.#events.set(id, events);
    events.catch(() => this.#events.delete(id));
    const quiet = [...this.#events.keys()].filter((key) => this.isTidy(key));
    for (const key of quiet.slice(0, -mostLogs)) this.#events.delete(key);
    return events;
  }

  /** Whether a job is over, and nothing of it is left to be done. */
  isTidy(id: string): boolean {
    const job = this.#jobs.get(id);
    // Every job has training data, which is removed last.
    return job !== undefined && isOver(job) && !existsSync(this.path(id, places.training));
  }

  /** `fill` puts the data into the new folder. */
  async create(
    record: JobRecord,
    events: readonly JobEvent[],
    fill: (folder: string) => Promise<void>,
  ): Promise<JobRecord> {
    const createdAt = Math.max(record.createdAt, this.#latest + 1);
    this.#latest = createdAt;
    const job = { ...record, createdAt, queuedAt: createdAt };
    await writeFolderAtomic(this.path(job.id), async (inside) => {
      await fill(inside);
      await writeAtomic(join(inside, 'events.jsonl'), events.map(lineOf).join(''));
      await writeAtomic(join(inside, 'job.json'), textOf(job));
    });
    this.#jobs.set(job.id, job);
    return job;
  }

  /**
   * Changes the record on the disk, then for readers. `change` is asked when all changes before it are done: what it
   * throws leaves everything as it is.
   */
  update(job: JobRecord, change: () => Partial<JobRecord>): Promise<void> {
    const turn = this.#writing.then(async () => {
      const changes = change();
      await writeAtomic(this.path(job.id, 'job.json'), textOf({ ...job, ...changes }));
      Object.assign(job, changes);
    });
    this.#writing = turn.catch(() => {});
    return turn;
  }

  /** Removes a part of a job so that no half of it is ever seen. */
  async removePart(id: string, ...parts: string[]): Promise<void> {
    const doomed = join(this.folder, `.${id}.${parts.join('.')}.gone`);
    await rm(doomed, { recursive: true, force: true });
    try {
      await rename(this.path(id, ...parts), doomed);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    await rm(doomed, { recursive: true, force: true });
  }
}

/** Removes what a killed process left half written. */
async function clean(folder: string): Promise<void> {
  await settleFolder(join(folder, places.adapter));
  for (const inside of [folder, join(folder, places.checkpoints)]) {
    for (const name of existsSync(inside) ? await readdir(inside) : []) {
      if (name.startsWith('.') && name.endsWith('.tmp')) await rm(join(inside, name), { recursive: true, force: true });
    }
  }
}

const textOf = (job: JobRecord): string => `${JSON.stringify(job, null, 2)}\n`;

export type Share = (from: string, to: string) => Promise<void>;

/** The same bytes under a second name, without a copy where the file system can: for files never written again. */
export const share: Share = async (from, to) => {
  const real = await realpath(from);
  await link(real, to).catch(() => copyFile(real, to));
};

/** For files of others, who may change them. */
export const copy: Share = (from, to) => copyFile(from, to, constants.COPYFILE_FICLONE);

/** The two files of an adapter in PEFT's format, as a folder of their own. */
export async function shareAdapter(from: string, to: string, how: Share = share): Promise<void> {
  await writeFolderAtomic(to, async (inside) => {
    for (const name of ['adapter_config.json', 'adapter_model.safetensors']) {
      await how(join(from, name), join(inside, name));
    }
  });
}
