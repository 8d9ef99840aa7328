// What the routes of the server share: the models, the settings, what is kept, the log and the metrics.
import type { ServerData } from './data.js';
import type { Metrics } from './metrics.js';
import type { Resolved, Serving } from './served.js';

export interface ServerContext extends Serving {
  /** Files and jobs; undefined until `ready`, and on a server without a store. */
  readonly data: ServerData | undefined;
  readonly metrics: Metrics;
  /** Rejects if a model cannot be loaded. */
  readonly ready: Promise<void>;
  /** Aborted when the server closes, after running requests have had their time. */
  readonly signal: AbortSignal;
  /** Adds work that a closing server waits for, up to its limit of time. */
  track(work: Promise<unknown>): void;
  /**
   * A model or adapter by name: a whole name first, then `base:adapter`. The only model needs no name.
   *
   * @throws ApiError 404 `model_not_found`, or 400 where a name is missing.
   */
  resolve(name: string | null | undefined, signal?: AbortSignal): Promise<Resolved>;
}
