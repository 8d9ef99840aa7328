// The models that jobs make: their names, where they lie, and their place among the adapters that are served.
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { checkpointPath, listCheckpoints } from '../../train/checkpoint.js';
import type { ServedModel, ServerContext } from '../context.js';
import { badRequest } from '../http/errors.js';
import { checkpointName } from './shapes.js';
import { isOver, type JobRecord, type JobStore, places, shareAdapter } from './store.js';

export class JobModels {
  constructor(
    private readonly context: ServerContext,
    private readonly store: JobStore,
  ) {}

  /** Makes all models of a job answer, and ends the removal of those that were deleted. */
  async serve(job: JobRecord): Promise<void> {
    for (const name of job.deleted) {
      const parts = await this.#parts(job, name);
      if (parts) await this.store.removePart(job.id, ...parts);
    }
    const served = this.context.models.get(job.base);
    if (!served) return;
    for (const { step, path } of await listCheckpoints(this.store.path(job.id, places.checkpoints))) {
      await this.#load(served, job, checkpointName(job, step), path);
    }
    if (job.status === 'succeeded') await this.serveResult(job, served);
  }

  serveResult(job: JobRecord, served: ServedModel): Promise<void> {
    return this.#load(served, job, job.name, this.store.path(job.id, places.adapter));
  }

  /** The model of a job that was stopped at the last moment is not there until it goes on. */
  async withdrawResult(job: JobRecord, { adapters }: ServedModel): Promise<void> {
    await adapters.unload(job.name);
  }

  /** Whether a model of this name is a job's, or will be one. */
  owns(name: string): boolean {
    return this.store.all.some(
      (job) => !job.deleted.includes(name) && (job.name === name || name.startsWith(`${job.name}:`)),
    );
  }

  /** Keeps the adapter of a checkpoint, tells of it, and makes it answer; each of it once. */
  async keepCheckpoint(job: JobRecord, served: ServedModel, step: number, from: string): Promise<void> {
    const to = checkpointPath(this.store.path(job.id, places.checkpoints), step);
    const name = checkpointName(job, step);
    if (job.deleted.includes(name)) return;
    const events = await this.store.events(job.id);
    if (!existsSync(to)) await shareAdapter(from, to);
    if (isOver(job)) return; // cancelled meanwhile: that is the last event
    await events.add(`checkpoint:${step}`, `Checkpoint created at step ${step}`, { data: { step } });
    await this.#load(served, job, name, to);
  }

  /** Removes a model that a job made. False if none has this name. @throws ApiError 400 where the job is not over. */
  async delete(name: string): Promise<boolean> {
    for (const job of this.store.all) {
      if (job.deleted.includes(name)) continue;
      const parts = await this.#parts(job, name);
      if (!parts) continue;
      await this.store.update(job, () => ({ deleted: [...new Set([...job.deleted, name])] }));
      await this.context.models.get(job.base)?.adapters.unload(name);
      await this.store.removePart(job.id, ...parts);
      return true;
    }
    return false;
  }

  async #parts(job: JobRecord, name: string): Promise<string[] | undefined> {
    if (job.name === name) {
      if (!isOver(job)) throw badRequest(`The job ${job.id} is still making the model '${name}'.`, 'model');
      return job.status === 'succeeded' ? [places.adapter] : undefined;
    }
    const folder = this.store.path(job.id, places.checkpoints);
    if (!name.startsWith(`${job.name}:`) || !existsSync(folder)) return undefined;
    const found = (await listCheckpoints(folder)).find(({ step }) => checkpointName(job, step) === name);
    return found && [places.checkpoints, basename(found.path)];
  }

  async #load({ adapters }: ServedModel, job: JobRecord, name: string, path: string): Promise<void> {
    if (job.deleted.includes(name) || adapters.list().some((known) => known.name === name)) return;
    await adapters.load(name, path, { lazy: true });
  }
}
