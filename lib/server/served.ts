// Served models, and what remains of the server where no request is at hand: its models, settings and log.
import type { Adapter } from '../lora/adapter.js';
import type { AdapterFolder } from '../lora/folder.js';
import type { Model } from '../model.js';
import type { Logger } from './log.js';
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

export interface Serving {
  readonly settings: ServerSettings;
  /** Complete once the server is ready. */
  readonly models: ReadonlyMap<string, ServedModel>;
  readonly log: Logger;
}
