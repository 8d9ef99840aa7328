// What the routes of the server share: the models, the settings, what is kept, the log and the metrics.
import type { Adapter } from '../lora/adapter.js';
import type { AdapterFolder } from '../lora/folder.js';
import type { Model } from '../model.js';
import type { ServerData } from './data.js';
import type { Logger } from './log.js';
import type { Metrics } from './metrics.js';
import type { ServerSettings } from './options.js';

/** A model in memory under the name that requests use. */
export interface ServedModel {
  readonly id: string;
  readonly model: Model;
  /** From the adapters' folder and from jobs that trained for this model. */
  readonly adapters: AdapterFolder;
  /** Unix seconds. */
  readonly createdAt: number;
}

/** What a request's `model` stands for. Its adapter stays in memory until this is disposed of. */
export interface Resolved extends Disposable {
  /** As the request wrote it: answers repeat it. */
  readonly id: string;
  readonly served: ServedModel;
  readonly model: Model;
  readonly adapter: Adapter | undefined;
}

export interface ServerContext {
  readonly settings: ServerSettings;
  /** Complete once `ready` has resolved. */
  readonly models: ReadonlyMap<string, ServedModel>;
  /** Files and jobs; undefined until `ready`, and on a server without a store. */
  readonly data: ServerData | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Rejects if a model cannot be loaded. */
  readonly ready: Promise<void>;
  /** Aborted when the server closes, after running requests have had their time. */
  readonly signal: AbortSignal;
  /** Adds work that a closing server waits for, up to its limit of time. */
  track(work: Promise<unknown>): void;
  /**
   * A model or adapter by name: a whole name first, then `base:adapter`.
   *
   * @throws ApiError 404 `model_not_found`.
   */
  resolve(name: string, signal?: AbortSignal): Promise<Resolved>;
}
