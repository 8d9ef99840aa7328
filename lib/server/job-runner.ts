// Runs jobs: reads their data, then trains one at a time on each device, in the order in which they were queued.
//
// The record on the disk says what is to be done, so a process that starts looks through the records and goes on.
import { existsSync } from 'node:fs';
import type { Device } from '../device.js';
import type { ServedModel, ServerContext } from './context.js';
import { badRequest } from './errors.js';
import { JobFailure } from './job-settings.js';
import { isOver, type JobRecord, places } from './job-store.js';
import { type JobRooms, tellSuccess, trainJob, validateJob } from './job-training.js';

interface Running {
  job: JobRecord;
  controller: AbortController;
  done: Promise<void>;
  /** For the estimate: when the first step of this process ended, and which it was. */
  first?: { step: number; at: number };
  latest?: { step: number; steps: number; at: number };
}

export class JobRunner {
  readonly #running = new Map<Device, Running>();
  readonly #reading = new Map<string, AbortController>();
  #readers: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(
    private readonly context: ServerContext,
    private readonly rooms: JobRooms,
  ) {}

  /** Goes on with whatever an earlier process left. */
  async start(): Promise<void> {
    for (const job of this.rooms.store.all) {
      try {
        await this.rooms.models.serve(job);
      } catch (error) {
        this.context.log.error({ job: job.id, error: String(error) }, 'models of a job cannot be served');
      }
      if (isOver(job)) await this.#tidy(job);
      else if (!this.context.models.has(job.base)) {
        this.context.log.warn({ job: job.id, model: job.base }, 'job waits for a model that is not served');
      } else if (job.status === 'validating_files') this.#read(job);
    }
    this.#pump();
  }

  /** Takes a new job. */
  async add(job: JobRecord): Promise<void> {
    await (await this.rooms.store.events(job.id)).add('created', `Created fine-tuning job: ${job.id}`);
    this.#read(job);
  }

  async cancel(job: JobRecord): Promise<void> {
    if (isOver(job)) throw wrongState(job, 'cancelled');
    this.#stop(job);
    await Promise.all([
      this.rooms.store.update(job, { status: 'cancelled', finishedAt: Date.now(), paused: false }),
      this.#tell(job, 'cancelled', 'The job has been cancelled'),
    ]);
    if (!this.#runningJob(job)) await this.#tidy(job);
  }

  async pause(job: JobRecord): Promise<void> {
    if (isOver(job) || job.paused) throw wrongState(job, 'paused');
    const reading = job.status === 'validating_files';
    if (!reading) this.#stop(job);
    await Promise.all([
      this.rooms.store.update(job, { paused: true, ...(reading ? {} : { status: 'queued' as const }) }),
      this.#tell(job, `paused:${Date.now()}`, 'The job has been paused'),
    ]);
  }

  async resume(job: JobRecord): Promise<void> {
    if (!job.paused) throw wrongState(job, 'resumed');
    await Promise.all([
      this.rooms.store.update(job, { paused: false, queuedAt: Date.now() }),
      this.#tell(job, `resumed:${Date.now()}`, 'The job has been resumed'),
    ]);
    this.#pump();
  }

  /** Milliseconds since 1970; undefined as long as nothing is known. */
  estimatedFinish(job: JobRecord): number | undefined {
    const { first, latest } = this.#runningJob(job) ?? {};
    if (job.status !== 'running' || !first || !latest || latest.step === first.step) return undefined;
    const each = (latest.at - first.at) / (latest.step - first.step);
    return latest.at + each * (latest.steps - latest.step);
  }

  /** Stops what runs, with a checkpoint; the next process goes on from there. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const controller of this.#reading.values()) controller.abort(new Error('the server was closed'));
    const running = [...this.#running.values()];
    for (const { controller } of running) controller.abort(new Error('the server was closed'));
    await Promise.all([this.#readers, ...running.map(({ done }) => done)]);
  }

  #runningJob(job: JobRecord): Running | undefined {
    return [...this.#running.values()].find((running) => running.job === job);
  }

  #stop(job: JobRecord): void {
    this.#reading.get(job.id)?.abort(new Error('the job was stopped'));
    this.#runningJob(job)?.controller.abort(new Error('the job was stopped'));
  }

  async #tell(job: JobRecord, key: string, message: string, level?: 'error'): Promise<void> {
    await (await this.rooms.store.events(job.id)).add(key, message, level ? { level } : {});
  }

  /** One file after the other, so that many jobs don't hold the event loop together. */
  #read(job: JobRecord): void {
    const controller = new AbortController();
    this.#reading.set(job.id, controller);
    this.#readers = this.#readers.then(async () => {
      const { signal } = controller;
      try {
        signal.throwIfAborted();
        await validateJob(this.rooms, job, this.context.models.get(job.base)!, signal);
      } catch (error) {
        if (!signal.aborted) await this.#fail(job, error);
      } finally {
        this.#reading.delete(job.id);
      }
      if (isOver(job)) await this.#tidy(job);
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#closed) return;
    const waiting = this.rooms.store.all.filter(
      ({ status, paused }) => (status === 'queued' || status === 'running') && !paused,
    );
    // What an earlier process had begun comes first.
    waiting.sort((a, b) => Number(b.status === 'running') - Number(a.status === 'running') || a.queuedAt - b.queuedAt);
    for (const job of waiting) {
      const served = this.context.models.get(job.base);
      if (!served || this.#runningJob(job)) continue;
      const { device } = served.model.decoder;
      if (this.#running.has(device)) continue;
      const running: Running = { job, controller: new AbortController(), done: Promise.resolve() };
      this.#running.set(device, running);
      running.done = this.#run(running, served).finally(() => {
        this.#running.delete(device);
        this.#pump();
      });
    }
  }

  async #run(running: Running, served: ServedModel): Promise<void> {
    const { job, controller } = running;
    const { log } = this.context;
    try {
      log.info({ job: job.id, model: job.base }, 'training');
      await Promise.all([
        this.rooms.store.update(job, { status: 'running' }),
        this.#tell(job, 'started', 'Fine-tuning job started'),
      ]);
      await trainJob(this.rooms, job, served, controller.signal, ({ step, steps }) => {
        running.latest = { step, steps, at: Date.now() };
        running.first ??= running.latest;
      });
      log.info({ job: job.id, model: job.name }, 'trained');
    } catch (error) {
      if (!controller.signal.aborted) await this.#fail(job, error);
    }
    if (isOver(job)) await this.#tidy(job);
  }

  /** Whatever goes wrong here is the job's end, never the server's. */
  async #fail(job: JobRecord, error: unknown): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    const failure = error instanceof JobFailure ? error : new JobFailure(message, 'training_failed');
    this.context.log.error({ job: job.id, error: message }, 'job failed');
    const { code, param } = failure;
    try {
      await Promise.all([
        this.rooms.store.update(job, { status: 'failed', finishedAt: Date.now(), error: { code, message, param } }),
        this.#tell(job, 'failed', `The job failed: ${message}`, 'error'),
      ]);
    } catch (unwritten) {
      this.context.log.error({ job: job.id, error: String(unwritten) }, 'job cannot be written');
    }
  }

  /** Removes what only an unfinished job needs; of one that did not succeed, its result too. */
  async #tidy(job: JobRecord): Promise<void> {
    const { store, files } = this.rooms;
    if (!existsSync(store.path(job.id, places.training))) return;
    try {
      if (job.status === 'succeeded') await tellSuccess(await store.events(job.id), job);
      else {
        await this.context.models.get(job.base)?.adapters.unload(job.name);
        await store.removePart(job.id, places.adapter);
        await files.remove(job.resultFile);
      }
      const { run, training, validation, start } = places;
      // Every job has training data, so whether it is there tells whether all of this was done.
      for (const part of [run, start, validation, training]) await store.removePart(job.id, part);
    } catch (error) {
      this.context.log.error({ job: job.id, error: String(error) }, 'job cannot be tidied up');
    }
  }
}

const wrongState = ({ id, status, paused }: JobRecord, wanted: string): Error =>
  badRequest(`The job ${id} is ${paused ? 'paused' : status}: it cannot be ${wanted}.`, null, 'invalid_job_state');
