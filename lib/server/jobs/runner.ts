// Runs jobs: reads their data, then trains one at a time on each device, in the order in which they were queued.
//
// Stored records say what is to be done: a process that starts continues from them. A start is counted in the record
// before any work, so that a job which ends its process is not started for ever.
//
// A shortage of the machine, such as a full disk, is not the job's fault: the job waits, and goes on from its checkpoint. So
// does one whose end cannot be stored.
import { resolve as absolute } from 'node:path';
import type { Device } from '../../core/device.js';
import { shortageIn } from '../../files/shortage.js';
import { badRequest } from '../http/errors.js';
import type { ServedModel, Serving } from '../served.js';
import { addStateEvents } from './messages.js';
import { isOver, type JobRecord } from './record.js';
import { Retries } from './retries.js';
import { JobFailure, withoutFolders } from './settings.js';
import { parts } from './store.js';
import { type JobData, storedSteps, trainJob, validateJob } from './training.js';

interface Running {
  job: JobRecord;
  controller: AbortController;
  done: Promise<void>;
  /** First step of this process and its time in milliseconds of `performance.now()`, for the estimate. */
  first?: { step: number; at: number };
  latest?: { step: number; steps: number; at: number };
}

// Once or twice, a process may end for reasons that are not the job's.
const mostStarts = 3;

export class JobRunner {
  readonly #running = new Map<Device, Running>();
  readonly #reading = new Map<string, AbortController>();
  /** Jobs left to another process, which works on them. */
  readonly #left = new Set<JobRecord>();
  /** Jobs that this process has begun: it lives, so that their earlier starts ended in an orderly way. */
  readonly #begun = new Set<JobRecord>();
  readonly #retries = new Retries((job) => this.#again(job));
  #readers: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(
    private readonly context: Serving,
    private readonly data: JobData,
  ) {}

  /** Continues the jobs of earlier processes. */
  async start(): Promise<void> {
    const { jobs, models } = this.data;
    for (const job of jobs.all) {
      try {
        await models.serve(job);
        if (!(await jobs.isTidy(job))) await addStateEvents(jobs.events(job.id), job);
      } catch (error) {
        if (shortageIn(error) !== undefined) throw error;
        this.#log(job, error, 'job cannot be continued');
      }
    }
    for (const job of jobs.all) {
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
        return { status: 'cancelled', finishedAt: this.data.jobs.now(), paused: false };
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
        return {
          paused: true,
          pausedAt: this.data.jobs.now(),
          status: status === 'validating_files' ? status : 'queued',
        };
      },
      () => {
        if (job.status !== 'validating_files') this.#stop(job);
      },
    );
  }

  /** Continues a paused job, and tries at once what waits for its next try. */
  async resume(job: JobRecord): Promise<void> {
    if (this.#retries.now(job) && !job.paused) return;
    await this.#change(job, () => {
      if (isOver(job) || !job.paused) throw wrongState(job, 'resumed');
      const now = this.data.jobs.now();
      return { paused: false, resumedAt: now, queuedAt: now };
    });
    this.#pump();
  }

  /** Milliseconds since 1970; undefined before the second step of this process. */
  estimatedFinish(job: JobRecord): number | undefined {
    const { first, latest } = this.#runningJob(job) ?? {};
    if (job.status !== 'running' || !first || !latest || latest.step === first.step) return undefined;
    const each = (latest.at - first.at) / (latest.step - first.step);
    const left = latest.at + each * (latest.steps - latest.step) - performance.now();
    return Date.now() + Math.max(0, left);
  }

  /** Whether a job waits until the machine has room, or its record can be written. */
  waits(job: JobRecord): boolean {
    return this.#retries.has(job);
  }

  /** Stops running jobs, each with a checkpoint from which the next process continues. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#retries.close();
    for (const controller of this.#reading.values()) controller.abort(new Error('the server was closed'));
    const running = [...this.#running.values()];
    for (const { controller } of running) controller.abort(new Error('the server was closed'));
    await Promise.all([this.#readers, ...running.map(({ done }) => done)]);
  }

  #runningJob(job: JobRecord): Running | undefined {
    return [...this.#running.values()].find((running) => running.job === job);
  }

  /** Stops the work on a job, which then tidies up by itself. False if there is none. */
  #stop(job: JobRecord): boolean {
    const controllers = [this.#reading.get(job.id), this.#runningJob(job)?.controller];
    const busy = controllers.filter((controller) => controller !== undefined);
    for (const controller of busy) controller.abort(new Error('the job was stopped'));
    return busy.length > 0;
  }

  /** `then` is called as soon as the record is changed, before its events. */
  async #change(job: JobRecord, change: () => Partial<JobRecord>, then?: () => void): Promise<void> {
    await this.data.jobs.update(job, change);
    then?.();
    await addStateEvents(this.data.jobs.events(job.id), job);
  }

  /** Jobs are read one after the other, so that many of them don't block the event loop together. */
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
        await validateJob(this.data, job, this.context.models.get(job.base)!, signal);
      });
      this.#reading.delete(job.id);
      if (isOver(job)) await this.#tidy(job);
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#closed) return;
    const waiting = this.data.jobs.all.filter(
      (job) =>
        (job.status === 'queued' || job.status === 'running') &&
        !job.paused &&
        !this.#left.has(job) &&
        !this.#retries.has(job) &&
        !this.#reading.has(job.id), // its lease is released after its last event
    );
    // Jobs that an earlier process had started come first.
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
      const [newest = 0] = await storedSteps(this.data.jobs.blobs(job.id));
      await this.#begin(job, newest, () => {
        if (job.paused || isOver(job)) controller.abort(new Error('the job was stopped'));
        controller.signal.throwIfAborted();
        return { status: 'running' };
      });
      log.info({ job: job.id, model: job.base }, 'training');
      await trainJob(this.data, job, served, controller.signal, ({ step, steps }) => {
        running.latest = { step, steps, at: performance.now() };
        running.first ??= running.latest;
      });
      log.info({ job: job.id, model: job.name }, 'trained');
    });
    if (isOver(job)) await this.#tidy(job);
  }

  /** Counts a start from the checkpoint of step `reached`. @throws JobFailure where there were too many. */
  async #begin(job: JobRecord, reached: number, change: () => Partial<JobRecord>): Promise<void> {
    await this.#change(job, () => {
      const orderly = reached > (job.reached ?? 0) || this.#begun.has(job);
      return { ...change(), starts: orderly ? 1 : (job.starts ?? 0) + 1, reached };
    });
    this.#begun.add(job);
    if ((job.starts ?? 0) <= mostStarts) return;
    const doing = job.status === 'running' ? 'trained this job without reaching a checkpoint' : "read this job's files";
    throw new JobFailure(
      `The server ended ${mostStarts} times while it ${doing}. ` +
        "It may need more memory than there is: a smaller 'max_length' or 'batch_size' needs less.",
      'server_ended',
    );
  }

  /** Failures of `work` end the job, never the server; a stop is no failure. */
  async #attempt(job: JobRecord, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    try {
      await using lease = await this.data.jobs.lease(job.id);
      if (!lease) this.#left.add(job);
      else {
        await work();
        this.#retries.forget(job);
      }
    } catch (error) {
      if (!signal.aborted) await this.#fail(job, error);
      else if (error !== signal.reason) this.#log(job, error, 'job did not stop in order');
    }
    if (!signal.aborted || isOver(job)) return;
    await this.data.jobs
      .update(job, () => ({ starts: 0 }))
      .catch((error: unknown) => this.#log(job, error, 'job cannot be written'));
  }

  /** Ends a job, but for a shortage: the job waits then. */
  async #fail(job: JobRecord, error: unknown): Promise<void> {
    const shortage = shortageIn(error);
    if (shortage !== undefined) return this.#wait(job, error, shortage);
    this.#log(job, error, 'job failed');
    const { models, settings } = this.context;
    const roots = [settings.dataDir, settings.adapters, models.get(job.base)?.model.path];
    const folders = roots.filter((root) => root !== undefined).map((root) => absolute(root));
    const message = withoutFolders(error instanceof Error ? error.message : String(error), folders);
    const { code, param } = error instanceof JobFailure ? error : { code: 'training_failed', param: null };
    try {
      await this.#change(job, () =>
        isOver(job)
          ? {}
          : { status: 'failed', finishedAt: this.data.jobs.now(), paused: false, error: { code, message, param } },
      );
    } catch (unwritten) {
      this.#log(job, unwritten, 'job cannot be written');
      this.#retries.add(job);
    }
  }

  async #wait(job: JobRecord, error: unknown, shortage: string): Promise<void> {
    this.#log(job, error, 'job waits');
    this.#retries.add(job);
    // One event for each checkpoint: a full disk may stay so for long.
    const key = `waits:${job.reached ?? 0}:${shortage}`;
    const message = `The job waits, and is tried again: ${shortage}`;
    await this.data.jobs
      .events(job.id)
      .add(key, message, { level: 'warn' })
      .catch(() => {}); // the shortage may be of room for this, too
  }

  /** Takes up what could not be done before. */
  #again(job: JobRecord): void {
    if (isOver(job)) void this.#tidy(job);
    else if (job.status === 'validating_files') this.#read(job);
    else this.#pump();
  }

  /** Removes what only an unfinished job needs, and the result of one that did not succeed. */
  async #tidy(job: JobRecord): Promise<void> {
    const { jobs, files } = this.data;
    const blobs = jobs.blobs(job.id);
    try {
      if (await jobs.isTidy(job)) return;
      await addStateEvents(jobs.events(job.id), job);
      if (job.status !== 'succeeded') {
        await this.context.models.get(job.base)?.adapters.unload(job.name);
        await blobs.remove(parts.adapter);
        await files.remove(job.resultFile);
      }
      const { run, training, validation, start } = parts;
      // The training data last: without it, all of this was done.
      for (const part of [run, start, validation, training]) await blobs.remove(part);
      this.#retries.forget(job);
    } catch (error) {
      this.#log(job, error, 'job cannot be tidied up');
      this.#retries.add(job);
    }
  }

  #log(job: JobRecord, error: unknown, event: string): void {
    this.context.log.error({ job: job.id, error: error instanceof Error ? error.message : String(error) }, event);
  }
}

const wrongState = ({ id, status, paused }: JobRecord, wanted: string): Error =>
  badRequest(`The job ${id} is ${paused ? 'paused' : status}: it cannot be ${wanted}.`, null, 'invalid_job_state');
