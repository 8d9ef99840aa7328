// Jobs: a record of each over the store's `job` items. Their blobs:
//
//   training.jsonl, validation.jsonl    the data, kept though the file may be deleted
//   start                               the adapter that the training starts from, if there is one
//   run/step-000120                     checkpoints of the training, to continue from
//   checkpoints/step-000120, adapter    the models that it makes
//
// The names of what a job makes (its model, its result file) are chosen when it is created: work that is done twice after
// a crash replaces itself. A change is first in the record, then among the events (see messages.ts), and only then in
// memory: what cannot be stored has not happened.
import { check } from '../../files/json.js';
import type { Blobs, Draft, Item, Records, Store } from '../../store/store.js';
import { type JobEvent, JobEvents } from './events.js';
import { isOver, type JobRecord, recordSchema } from './record.js';

/** The names of a job's blobs. */
export const parts = {
  training: 'training.jsonl',
  validation: 'validation.jsonl',
  start: 'start',
  run: 'run',
  checkpoints: 'checkpoints',
  adapter: 'adapter',
} as const;

export class JobStore {
  readonly #records: Records;
  readonly #jobs = new Map<string, JobRecord>();
  readonly #versions = new Map<string, string>();
  #writing: Promise<void> = Promise.resolve();
  #latest = 0;

  private constructor(private readonly store: Store) {
    this.#records = store.records('job');
  }

  /** `warn` gets what is wrong with a record that is left out. */
  static async open(store: Store, warn: (message: string) => void): Promise<JobStore> {
    const jobs = new JobStore(store);
    for (const { id, value, version, source } of await jobs.#records.list(warn)) {
      try {
        jobs.#keep({ ...check(source, recordSchema, value), id }, version);
      } catch (error) {
        warn((error as Error).message);
      }
    }
    return jobs;
  }

  /** Oldest first. */
  get all(): JobRecord[] {
    return [...this.#jobs.values()].sort((a, b) => a.createdAt - b.createdAt);
  }

  get(id: string): JobRecord | undefined {
    return this.#jobs.get(id);
  }

  /** Milliseconds since 1970, later than all times before: a clock that is put back changes no order. */
  now(): number {
    this.#latest = Math.max(Date.now(), this.#latest + 1);
    return this.#latest;
  }

  events(id: string): JobEvents {
    return new JobEvents(this.store.events(itemOf(id)), id);
  }

  blobs(id: string): Blobs {
    return this.store.blobs(itemOf(id));
  }

  /** The right to work on a job; undefined while another process has it. */
  lease(id: string): Promise<AsyncDisposable | undefined> {
    return this.store.lease(itemOf(id));
  }

  /** Whether a job is over, and nothing of it is left to be done. */
  async isTidy(job: JobRecord): Promise<boolean> {
    // Every job has training data, which is removed last.
    return isOver(job) && (await this.blobs(job.id).storedAt(parts.training)) === undefined;
  }

  /** `fill` puts the job's first blobs. */
  async create(
    record: Omit<JobRecord, 'createdAt' | 'queuedAt'>,
    events: readonly JobEvent[],
    fill: (draft: Draft) => Promise<void>,
  ): Promise<JobRecord> {
    const createdAt = this.now();
    const job = { ...record, createdAt, queuedAt: createdAt };
    const { version } = await this.#records.create(job.id, async (draft) => {
      await fill(draft);
      for (const event of events) await draft.append(event);
      return job;
    });
    this.#keep(job, version);
    return job;
  }

  /**
   * Changes the record in the store, then in memory. `change` is called when all changes before it are done, and again if
   * another process was first; what it throws leaves everything as it is.
   */
  update(job: JobRecord, change: () => Partial<JobRecord>): Promise<void> {
    const turn = this.#writing.then(async () => {
      for (;;) {
        const changes = change();
        const known = this.#versions.get(job.id) ?? '';
        const version = await this.#records.replace(job.id, { ...job, ...changes }, known).catch(async (error) => {
          // The failed write may have taken place all the same: memory follows the store.
          await this.#reload(job).catch(() => {});
          throw error;
        });
        if (version !== undefined) {
          this.#versions.set(job.id, version);
          Object.assign(job, changes);
          return;
        }
        await this.#reload(job);
      }
    });
    this.#writing = turn.catch(() => {});
    return turn;
  }

  async #reload(job: JobRecord): Promise<void> {
    const stored = await this.#records.get(job.id);
    if (!stored) throw new Error(`job ${job.id}: its record is gone`);
    Object.assign(job, check(stored.source, recordSchema, stored.value));
    this.#versions.set(job.id, stored.version);
  }

  #keep(job: JobRecord, version: string): void {
    this.#jobs.set(job.id, job);
    this.#versions.set(job.id, version);
    const { createdAt, queuedAt, finishedAt = 0, pausedAt = 0, resumedAt = 0 } = job;
    this.#latest = Math.max(this.#latest, createdAt, queuedAt, finishedAt, pausedAt, resumedAt);
  }
}

export const itemOf = (id: string): Item => ({ kind: 'job', id });
