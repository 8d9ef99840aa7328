// What a server keeps over a store: files, jobs, the models that jobs make, the jobs' runner, responses
// and batches.
import type { Store } from '../store/store.js';
import { BatchRunner } from './batches/runner.js';
import { FileStore } from './files/store.js';
import { JobModels } from './jobs/models.js';
import { JobRunner } from './jobs/runner.js';
import { JobStore } from './jobs/store.js';
import { ResponseStore } from './responses/store.js';
import type { Serving } from './served.js';

// Expired files leave the store within this time, even if no request asks for files.
const sweepMilliseconds = 60_000;

export class ServerData {
  readonly models: JobModels;
  readonly runner: JobRunner;

  private constructor(
    context: Serving,
    readonly store: Store,
    readonly files: FileStore,
    readonly jobs: JobStore,
    readonly responses: ResponseStore,
    readonly batches: BatchRunner,
  ) {
    this.models = new JobModels(context, store, jobs);
    this.runner = new JobRunner(context, this);
  }

  /** Reads what is there, and continues its jobs. */
  static async open(context: Serving & { signal: AbortSignal }, store: Store): Promise<ServerData> {
    const { log, signal } = context;
    const files = await FileStore.open(store, (error) => log.warn({ error }, 'file left out'));
    const jobs = await JobStore.open(store, (error) => log.warn({ error }, 'job left out'));
    const responses = await ResponseStore.open(store, (error) => log.warn({ error }, 'response left out'));
    const batches = await BatchRunner.open(context, store, files);
    const data = new ServerData(context, store, files, jobs, responses, batches);
    await data.runner.start();
    const timer = setInterval(() => {
      files.sweep().catch((error: unknown) => log.error({ error: String(error) }, 'expired files not removed'));
    }, sweepMilliseconds).unref();
    signal.addEventListener('abort', () => clearInterval(timer), { once: true });
    return data;
  }

  /** Stops jobs, each with a checkpoint, and batches, whose answers are kept. */
  async stop(): Promise<void> {
    await Promise.all([this.runner.close(), this.batches.close()]);
  }

  async close(): Promise<void> {
    await this.stop();
    await this.store.close();
  }
}
