// The life of a server: it loads the models, opens the store, answers, drains and closes.
import { setMaxListeners } from 'node:events';
import type { Server as HttpServer } from 'node:http';
import type { Hono } from 'hono';
import { within } from '../flow/pause.js';
import type { Store } from '../store/store.js';
import { makeApp, makeEarlyApp } from './app.js';
import type { ServerContext } from './context.js';
import { ServerData } from './data.js';
import { type Readiness, shuttingDown } from './health.js';
import { asApiError } from './http/errors.js';
import { requestIdOf } from './http/request.js';
import { Metrics } from './metrics.js';
import { Models } from './models.js';
import type { ServerSettings } from './options.js';

// Cut off, generations end within a step. A reader that takes nothing, on a listener that is not ours, may never end.
const endSeconds = 2;

export class Lifecycle {
  readonly context: ServerContext;
  /** Resolves once models are loaded and jobs continue; rejects if that fails. */
  readonly ready: Promise<void>;
  readonly #readiness: Readiness = { state: 'loading' };
  readonly #models: Models;
  /** Aborted when the server closes, while models are being loaded. */
  readonly #loading = new AbortController();
  /** Aborted when the server closes, after running requests have had their time. */
  readonly #ending = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  readonly #listeners: HttpServer[] = [];
  /** The app of a server that has loaded its models, or failed to. */
  readonly #whole: Promise<Hono>;
  #app: Hono;
  #data: ServerData | undefined;
  #closing: Promise<void> | undefined;

  /** Without `openStore` there are no files and no jobs. */
  constructor(
    settings: ServerSettings,
    private readonly openStore: (() => Promise<Store>) | undefined,
  ) {
    const { logger: log } = settings;
    this.#models = new Models(settings, log);
    // Every running stream listens for the end.
    setMaxListeners(0, this.#ending.signal);
    const data = (): ServerData | undefined => this.#data;
    this.context = {
      settings,
      models: this.#models.byId,
      get data() {
        return data();
      },
      log,
      metrics: new Metrics(settings.metricsPrefix, this.#models.byId),
      ready: this.#models.load(this.#loading.signal),
      signal: this.#ending.signal,
      track: (work) => this.#track(work),
      resolve: (name, signal) => this.#models.resolve(name, signal),
    };
    this.ready = this.#start();
    this.#whole = this.ready
      .catch((error: Error) => {
        if (this.#readiness.state === 'loading') this.#readiness.state = 'failed';
        log.error({ error: error.message }, 'not started');
      })
      .then(() => {
        this.#app = makeApp(this.context, this.#readiness, this.#data);
        return this.#app;
      });
    this.#app = makeEarlyApp(this.context, this.#readiness, this.#whole);
  }

  readonly fetch = async (request: Request, env?: unknown): Promise<Response> => {
    try {
      const answer = Promise.resolve(this.#app.fetch(request, env as object | undefined));
      this.#track(answer);
      return await answer;
    } catch (error) {
      // Hono handles what is thrown if it is an Error; an aborted request throws its signal's reason.
      return asApiError(error, this.context.log, requestIdOf(undefined), request.signal).response();
    }
  };

  /** A listener that ends with the server. */
  add(listener: HttpServer): void {
    this.#listeners.push(listener);
  }

  /** Refuses new requests, gives running ones `drainSeconds`, and frees what the server loaded. */
  close(drainSeconds: number): Promise<void> {
    this.#closing ??= this.#end(drainSeconds);
    return this.#closing;
  }

  async #start(): Promise<void> {
    const { context } = this;
    await context.ready;
    context.metrics.watch();
    if (this.openStore) this.#data = await openData(context, await this.openStore());
    if (this.#readiness.state === 'loading') this.#readiness.state = 'ready';
  }

  #track(work: Promise<unknown>): void {
    this.#running.add(work);
    const done = (): void => void this.#running.delete(work);
    work.then(done, done);
  }

  async #end(drainSeconds: number): Promise<void> {
    const { log, metrics } = this.context;
    this.#readiness.state = 'draining';
    this.#loading.abort(new Error('the server was closed'));
    await this.#whole;
    log.info({ running: this.#running.size }, 'draining');
    for (const listener of this.#listeners) listener.close();
    // Checkpoints first: the process may be killed before all requests have ended.
    const stopped = this.#data?.stop();
    await this.#drained(drainSeconds);
    this.#ending.abort(shuttingDown());
    for (const listener of this.#listeners) listener.closeAllConnections();
    await this.#drained(endSeconds);
    await stopped;
    await this.#data?.close();
    metrics.close();
    await this.#models.dispose();
    log.info({}, 'closed');
  }

  /** Waits until running work has ended, or the time is over. */
  async #drained(seconds: number): Promise<void> {
    const end = performance.now() + seconds * 1000;
    for (let left = seconds * 1000; this.#running.size > 0 && left > 0; left = end - performance.now())
      await within(left, Promise.allSettled(this.#running));
  }
}

async function openData(context: ServerContext, store: Store): Promise<ServerData> {
  try {
    return await ServerData.open(context, store);
  } catch (error) {
    await store.close();
    throw error;
  }
}
