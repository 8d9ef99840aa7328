// What the rooms of the server share: the models, the settings, the log and the metrics.

import type { Adapter } from '../lora/adapter.js';
import type { AdapterFolder } from '../lora/folder.js';
import type { Model } from '../model.js';
import type { Logger } from './log.js';
import type { Metrics } from './metrics.js';
import type { ServerSettings } from './options.js';

/** A model in memory under the name that requests use. */
export interface ServedModel {
  readonly id: string;
  readonly model: Model;
  /** Those of the adapters' folder, and those that jobs trained for this model. */
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
  /** Absolute; undefined where nothing is to be kept. */
  readonly dataDir: string | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Rejects if a model cannot be loaded. */
  readonly ready: Promise<void>;
  /** Aborted when the server closes, after what is running has had its time. */
  readonly signal: AbortSignal;
  /** Work that a closing server waits for, for a while. */
  track(work: Promise<unknown>): void;
  /**
   * A model or adapter by name: a whole name first, then `base:adapter`.
   *
   * @throws ApiError 404 `model_not_found`.
   */
  resolve(name: string, signal?: AbortSignal): Promise<Resolved>;
}
