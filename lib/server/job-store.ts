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
// after a crash replaces itself.
import { existsSync } from 'node:fs';
import { copyFile, link, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { settleFolder, writeAtomic, writeFolderAtomic } from '../files/atomic.js';
import { check, readJson } from '../files/json.js';
import { JobEvents } from './job-events.js';
import { hyperparametersSchema, metadataSchema } from './job-shapes.js';

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
  method: z.enum(['supervised', 'dpo']),
  hyperparameters: hyperparametersSchema,
  /** Known once the data was read. */
  longestRow: z.number().optional(),
  suffix: z.string().optional(),
  seed: z.number(),
  metadata: metadataSchema.optional(),
  integrations: z.array(z.looseObject({})),
  status: z.enum(['validating_files', 'queued', 'running', 'succeeded', 'failed', 'cancelled']),
  paused: z.boolean(),
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

export class JobStore {
  readonly #jobs = new Map<string, JobRecord>();
  readonly #events = new Map<string, Promise<JobEvents>>();
  #writing: Promise<void> = Promise.resolve();

  private constructor(readonly folder: string) {}

  static async open(folder: string, warn: (message: string) => void): Promise<JobStore> {
    const store = new JobStore(folder);
    await mkdir(folder, { recursive: true });
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
    for (const job of found.sort((a, b) => a.createdAt - b.createdAt)) store.#jobs.set(job.id, job);
    return store;
  }

  /** Oldest first. */
  get all(): JobRecord[] {
    return [...this.#jobs.values()];
  }

  get(id: string): JobRecord | undefined {
    return this.#jobs.get(id);
  }

  path(id: string, ...parts: string[]): string {
    return join(this.folder, id, ...parts);
  }

  events(id: string): Promise<JobEvents> {
    let events = this.#events.get(id);
    if (!events) {
      events = JobEvents.open(this.path(id, 'events.jsonl'), id);
      this.#events.set(id, events);
    }
    return events;
  }

  /** `fill` puts the data into the new folder. */
  async create(record: JobRecord, fill: (folder: string) => Promise<void>): Promise<JobRecord> {
    const createdAt = Math.max(record.createdAt, (this.all.at(-1)?.createdAt ?? 0) + 1);
    const job = { ...record, createdAt, queuedAt: createdAt };
    await writeFolderAtomic(this.path(job.id), async (inside) => {
      await fill(inside);
      await writeAtomic(join(inside, 'job.json'), textOf(job));
    });
    this.#jobs.set(job.id, job);
    return job;
  }

  /** Changes the record at once for readers; resolves when the change is on the disk. */
  async update(job: JobRecord, changes: Partial<JobRecord>): Promise<void> {
    Object.assign(job, changes);
    const text = textOf(job);
    this.#writing = this.#writing.catch(() => {}).then(() => writeAtomic(this.path(job.id, 'job.json'), text));
    return this.#writing;
  }

  /** Removes a part of a job so that no half of it is ever seen. */
  async removePart(id: string, ...parts: string[]): Promise<void> {
    const doomed = join(this.folder, `.${id}.${parts.join('.')}.gone`);
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

/** The same bytes under a second name, without a copy where the file system can. Such files are never written again. */
export async function share(from: string, to: string): Promise<void> {
  await link(from, to).catch(() => copyFile(from, to));
}

/** The two files of an adapter in PEFT's format, as a folder of their own. */
export async function shareAdapter(from: string, to: string): Promise<void> {
  await writeFolderAtomic(to, async (inside) => {
    for (const name of ['adapter_config.json', 'adapter_model.safetensors']) {
      await share(join(from, name), join(inside, name));
    }
  });
}
