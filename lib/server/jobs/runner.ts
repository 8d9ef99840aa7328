// Runs jobs: reads their data, then trains one at a time on each device, in the order in which they were queued.
//
// The record on the disk says what is to be done, so a process that starts looks through the records and goes on. Each
// beginning is counted there before anything is done: a job that takes its process with it is not begun for ever.
import type { Device } from '../../core/device.js';
import { listCheckpoints } from '../../train/checkpoint.js';
import type { ServedModel, ServerContext } from '../context.js';
import { badRequest } from '../http/errors.js';
import { JobFailure, withoutFolders } from './settings.js';
import { isOver, type JobRecord, places } from './store.js';
import { tellRecord } from './telling.js';
import { type JobRooms, trainJob, validateJob } from './training.js';

interface Running {
  job: JobRecord;
  controller: AbortController;
  done: Promise<void>;
  /** For the estimate: when the first step of this process ended, and which it was. */
  first?: { step: number; at: number };
  latest?: { step: number; steps: number; at: number };
}

// A process may end for reasons of its own once or twice.
const mostStarts = 3;

export class JobRunner {
  readonly #running = new Map<Device, Running>();
  readonly #reading = new Map<string, AbortController>();
  /** Jobs whose end could not be written: the next process may have more luck. */
  readonly #stuck = new Set<JobRecord>();
  #readers: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(
    private readonly context: ServerContext,
    private readonly rooms: JobRooms,
  ) {}

  /** Goes on with whatever an earlier process left. */
  async start(): Promise<void> {
    const { store, models } = this.rooms;
    for (const job of store.all) {
      try {
        await models.serve(job);
        if (!store.isTidy(job.id)) await tellRecord(await store.events(job.id), job);
      } catch (error) {
        this.#log(job, error, 'what a job left cannot be taken up');
      }
      if (isOver(job)) await this.#tidy(job);
      else if (!this.context.models.has(job.base)) {
        this.context.log.warn({ job: job.id, model: job.base }, 'job waits for a model that is not served');
      } else if (job.status === 'validating_files') this.#read(job);
    }
    this.#pump();
  }

  /** Takes a new job. */
  add(job: JobRecord): void {
    this.#read(job);
  }

  async cancel(job: JobRecord): Promise<void> {
    let busy = false;
    await this.#change(
      job,
      () => {
        if (isOver(job)) throw wrongState(job, 'cancelled');
        return { status: 'cancelled', finishedAt: Date.now(), paused: false };
      },
      () => {
        busy = this.#stop(job);
      },
    );
    if (!busy) await this.#tidy(job);
  }

  async pause(job: JobRecord): Promise<void> {
    await this.#change(
      job,
      () => {
        if (isOver(job) || job.paused) throw wrongState(job, 'paused');
        const { status } = job;
        return { paused: true, pausedAt: Date.now(), status: status === 'validating_files' ? status : 'queued' };
      },
      () => {
        if (job.status !== 'validating_files') this.#stop(job);
      },
    );
  }

  async resume(job: JobRecord): Promise<void> {
    await this.#change(job, () => {
      if (isOver(job) || !job.paused) throw wrongState(job, 'resumed');
      return { paused: false, resumedAt: Date.now(), queuedAt: Date.now() };
    });
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

  /** Whether there was something to stop, which then tidies up by itself. */
  #stop(job: JobRecord): boolean {
    const controllers = [this.#reading.get(job.id), this.#runningJob(job)?.controller];
    const busy = controllers.filter((controller) => controller !== undefined);
    for (const controller of busy) controller.abort(new Error('the job was stopped'));
    return busy.length > 0;
  }

  /** `then` is called at once when the record is changed, before that is told. */
  async #change(job: JobRecord, change: () => Partial<JobRecord>, then?: () => void): Promise<void> {
    await this.rooms.store.update(job, change);
    then?.();
    await tellRecord(await this.rooms.store.events(job.id), job);
  }

  /** One file after the other, so that many jobs don't hold the event loop together. */
  #read(job: JobRecord): void {
    const controller = new AbortController();
    const { signal } = controller;
    this.#reading.set(job.id, controller);
    this.#readers = this.#readers.then(async () => {
      await this.#attempt(job, signal, async () => {
        await this.#begin(job, 0, () => {
          signal.throwIfAborted();
          return {};
        });
        await validateJob(this.rooms, job, this.context.models.get(job.base)!, signal);
      });
      this.#reading.delete(job.id);
      if (isOver(job)) await this.#tidy(job);
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#closed) return;
    const waiting = this.rooms.store.all.filter(
      (job) => (job.status === 'queued' || job.status === 'running') && !job.paused && !this.#stuck.has(job),
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
    await this.#attempt(job, controller.signal, async () => {
      const [newest] = await listCheckpoints(this.rooms.store.path(job.id, places.run));
      await this.#begin(job, newest?.step ?? 0, () => {
        if (job.paused || isOver(job)) controller.abort(new Error('the job was stopped'));
        controller.signal.throwIfAborted();
        return { status: 'running' };
      });
      log.info({ job: job.id, model: job.base }, 'training');
      await trainJob(this.rooms, job, served, controller.signal, ({ step, steps }) => {
        running.latest = { step, steps, at: Date.now() };
        running.first ??= running.latest;
      });
      log.info({ job: job.id, model: job.name }, 'trained');
    });
    if (isOver(job)) await this.#tidy(job);
  }

  /** Counts a beginning, from the checkpoint of step `reached`. @throws JobFailure where there were too many. */
  async #begin(job: JobRecord, reached: number, change: () => Partial<JobRecord>): Promise<void> {
    await this.#change(job, () => {
      const starts = reached > (job.reached ?? 0) ? 1 : (job.starts ?? 0) + 1;
      return { ...change(), starts, reached };
    });
    if ((job.starts ?? 0) <= mostStarts) return;
    const doing = job.status === 'running' ? 'trained this job without reaching a checkpoint' : "read this job's files";
    throw new JobFailure(
      `The server ended ${mostStarts} times while it ${doing}. ` +
        "It may need more memory than there is: a smaller 'max_length' or 'batch_size' needs less.",
      'server_ended',
    );
  }

  /** Whatever goes wrong here is the job's end, never the server's; but a stop is no failure. */
  async #attempt(job: JobRecord, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!signal.aborted) await this.#fail(job, error);
      else if (error !== signal.reason) this.#log(job, error, 'job did not stop in order');
    }
    if (!signal.aborted || isOver(job)) return;
    await this.rooms.store
      .update(job, () => ({ starts: 0 }))
      .catch((error: unknown) => this.#log(job, error, 'job cannot be written'));
  }

  async #fail(job: JobRecord, error: unknown): Promise<void> {
    this.#log(job, error, 'job failed');
    const { models, settings, dataDir } = this.context;
    const roots = [dataDir, settings.adapters, models.get(job.base)?.model.path].filter((root) => root !== undefined);
    const message = withoutFolders(error instanceof Error ? error.message : String(error), roots);
    const { code, param } = error instanceof JobFailure ? error : { code: 'training_failed', param: null };
    try {
      await this.#change(job, () =>
        isOver(job) ? {} : { status: 'failed', finishedAt: Date.now(), paused: false, error: { code, message, param } },
      );
    } catch (unwritten) {
      this.#stuck.add(job);
      this.#log(job, unwritten, 'job cannot be written');
    }
  }

  /** Removes what only an unfinished job needs; of one that did not succeed, its result too. */
  async #tidy(job: JobRecord): Promise<void> {
    const { store, files } = this.rooms;
    if (store.isTidy(job.id)) return;
    try {
      await tellRecord(await store.events(job.id), job);
      if (job.status !== 'succeeded') {
        await this.context.models.get(job.base)?.adapters.unload(job.name);
        await store.removePart(job.id, places.adapter);
        await files.remove(job.resultFile);
      }
      const { run, training, validation, start } = places;
      // The training data last: whether it is there tells whether all of this was done.
      for (const part of [run, start, validation, training]) await store.removePart(job.id, part);
    } catch (error) {
      this.#log(job, error, 'job cannot be tidied up');
    }
  }

  #log(job: JobRecord, error: unknown, event: string): void {
    this.context.log.error({ job: job.id, error: error instanceof Error ? error.message : String(error) }, event);
  }
}

const wrongState = ({ id, status, paused }: JobRecord, wanted: string): Error =>
  badRequest(`The job ${id} is ${paused ? 'paused' : status}: it cannot be ${wanted}.`, null, 'invalid_job_state');
