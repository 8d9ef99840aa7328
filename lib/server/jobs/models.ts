// The models that jobs make: their names, their blobs, and their place among the adapters that are served.
import { join } from 'node:path';
import { type AdapterSource, adapterFiles } from '../../lora/folder.js';
import type { Item, Store } from '../../store/store.js';
import { checkpointFolder, checkpointStep } from '../../train/checkpoint.js';
import { badRequest } from '../http/errors.js';
import type { ServedModel, Serving } from '../served.js';
import { isOver, type JobRecord } from './record.js';
import { checkpointName } from './shapes.js';
import { itemOf, type JobStore, parts } from './store.js';

export class JobModels {
  constructor(
    private readonly context: Serving,
    private readonly store: Store,
    private readonly jobs: JobStore,
  ) {}

  /** Serves all models of a job, and ends the removal of deleted ones. */
  async serve(job: JobRecord): Promise<void> {
    for (const name of job.deleted) {
      const blob = await this.#blobOf(job, name);
      if (blob !== undefined) await this.jobs.blobs(job.id).remove(blob);
    }
    const served = this.context.models.get(job.base);
    if (!served) return;
    for (const folder of await this.jobs.blobs(job.id).list(parts.checkpoints)) {
      const step = checkpointStep(folder);
      if (step !== undefined) await this.#serve(served, job, checkpointName(job, step), checkpointBlob(step));
    }
    if (job.status === 'succeeded') await this.serveResult(job, served);
  }

  serveResult(job: JobRecord, served: ServedModel): Promise<void> {
    return this.#serve(served, job, job.name, parts.adapter);
  }

  /** A job that was stopped at the last moment has no model until it continues. */
  async withdrawResult(job: JobRecord, { adapters }: ServedModel): Promise<void> {
    await adapters.unload(job.name);
  }

  /** Whether a model of this name is a job's, or will be one. */
  owns(name: string): boolean {
    return this.jobs.all.some(
      (job) => !job.deleted.includes(name) && (job.name === name || name.startsWith(`${job.name}:`)),
    );
  }

  /** The blob of a job's model. Undefined if there is none of this name. */
  async find(name: string): Promise<{ item: Item; name: string } | undefined> {
    for (const job of this.jobs.all) {
      if (job.deleted.includes(name)) continue;
      const blob = job.name === name ? parts.adapter : await this.#blobOf(job, name);
      if (blob !== undefined) return { item: itemOf(job.id), name: blob };
    }
    return undefined;
  }

  /** Makes a model of a step's stored checkpoint, with its event; may be repeated. */
  async keepCheckpoint(job: JobRecord, served: ServedModel, step: number): Promise<void> {
    const [blob, name] = [checkpointBlob(step), checkpointName(job, step)];
    if (job.deleted.includes(name)) return;
    const blobs = this.jobs.blobs(job.id);
    if ((await blobs.storedAt(blob)) === undefined) {
      const from = { item: itemOf(job.id), name: runBlob(step) };
      if (!(await blobs.share(blob, from, adapterFiles))) throw new Error(`checkpoint of step ${step}: is not stored`);
    }
    if (isOver(job)) return; // cancelled meanwhile: that is the last event
    await this.jobs.events(job.id).add(`checkpoint:${step}`, `Checkpoint created at step ${step}`, { data: { step } });
    await this.#serve(served, job, name, blob);
  }

  /** Removes a model that a job made. False if none has this name. @throws ApiError 400 where the job is not over. */
  async delete(name: string): Promise<boolean> {
    for (const job of this.jobs.all) {
      if (job.deleted.includes(name)) continue;
      if (job.name === name && !isOver(job))
        throw badRequest(`The job ${job.id} is still making the model '${name}'.`, 'model');
      const blob = await this.#blobOf(job, name);
      if (blob === undefined) continue;
      await this.jobs.update(job, () => ({ deleted: [...new Set([...job.deleted, name])] }));
      await this.context.models.get(job.base)?.adapters.unload(name);
      await this.jobs.blobs(job.id).remove(blob);
      return true;
    }
    return false;
  }

  async #blobOf(job: JobRecord, name: string): Promise<string | undefined> {
    if (job.name === name) return job.status === 'succeeded' ? parts.adapter : undefined;
    if (!name.startsWith(`${job.name}:`)) return undefined;
    const steps = (await this.jobs.blobs(job.id).list(parts.checkpoints)).map(checkpointStep);
    const step = steps.find((step) => step !== undefined && checkpointName(job, step) === name);
    return step === undefined ? undefined : checkpointBlob(step);
  }

  async #serve({ adapters }: ServedModel, job: JobRecord, name: string, blob: string): Promise<void> {
    if (job.deleted.includes(name) || adapters.list().some((known) => known.name === name)) return;
    const storedAt = (await this.jobs.blobs(job.id).storedAt(blob)) ?? job.finishedAt ?? job.createdAt;
    adapters.offer(name, { createdAt: Math.floor(storedAt / 1000), fetch: () => this.#fetch(job, blob) });
  }

  async #fetch(job: JobRecord, blob: string): ReturnType<AdapterSource['fetch']> {
    const scratch = await this.store.scratch();
    const path = join(scratch.path, 'adapter');
    try {
      if (!(await this.jobs.blobs(job.id).fetch(blob, path))) throw new Error(`job ${job.id}: ${blob}: is not stored`);
    } catch (error) {
      await scratch[Symbol.asyncDispose]();
      throw error;
    }
    return { path, [Symbol.asyncDispose]: () => scratch[Symbol.asyncDispose]() };
  }
}

/** The model of a step. */
const checkpointBlob = (step: number): string => `${parts.checkpoints}/${checkpointFolder(step)}`;

/** The whole checkpoint of a step, to continue from. */
export const runBlob = (step: number): string => `${parts.run}/${checkpointFolder(step)}`;
