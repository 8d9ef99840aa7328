// createServer(): OpenAI's API over models in this process, as handlers to mount and as a server of its own.
import { setMaxListeners } from 'node:events';
import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve as absolute } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import { makeApp, makeEarlyApp } from './app.js';
import type { ServerContext } from './context.js';
import { type Readiness, shuttingDown } from './health.js';
import { asApiError, badRequest } from './http/errors.js';
import { isLoopback, strangeHost } from './http/origin.js';
import { requestIdOf } from './http/request.js';
import { openJobs } from './jobs/routes.js';
import { Metrics } from './metrics.js';
import { type ServerOptions, serverSettings } from './options.js';
import { Models } from './serving.js';

export interface ListenOptions {
  /** Default `'127.0.0.1'`: this machine only. */
  host?: string;
  /** Default 8000; 0 takes any that is free. */
  port?: number;
}

export interface CloseOptions {
  /** For how long running requests may go on, in seconds. Default 30. */
  drainSeconds?: number;
}

export interface Server {
  /**
   * A fetch handler, for Hono, Next.js and whatever speaks `Request` and `Response`. A Request does not tell who sent it:
   * without keys all callers share the engine as one client, unless `env` is the `c.env` of @hono/node-server, whose
   * connection has an address.
   */
  readonly fetch: (request: Request, env?: unknown) => Promise<Response>;
  /**
   * A listener for node:http, Express, Connect. For Fastify call `reply.hijack()` and hand it `request.raw` and
   * `reply.raw`, in a plugin without content type parsers, or with the parsed body put on the first as its `body`.
   */
  readonly node: (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>;
  /** Resolves once all models are loaded; rejects if one cannot be. Requests wait for it by themselves. */
  readonly ready: Promise<void>;
  /** Listens at once, while the models are still being loaded. */
  listen(options?: ListenOptions): Promise<{ url: string; host: string; port: number }>;
  /** Takes no more requests, lets running ones end, and frees what the server loaded. */
  close(options?: CloseOptions): Promise<void>;
}

/**
 * Serves models by OpenAI's API. The models are loaded in the background.
 *
 * @throws TypeError or RangeError that names the option that is wrong.
 */
export function createServer(options: ServerOptions): Server {
  const settings = serverSettings(options);
  const { logger: log, dataDir } = settings;
  const models = new Models(settings, log);
  const readiness: Readiness = { state: 'loading' };
  const loading = new AbortController();
  const ending = new AbortController();
  // Every running stream listens for the end.
  setMaxListeners(0, ending.signal);
  const running = new Set<Promise<unknown>>();
  const listeners: HttpServer[] = [];
  const context: ServerContext = {
    settings,
    models: models.byId,
    dataDir: dataDir === undefined ? undefined : absolute(dataDir),
    log,
    metrics: new Metrics(settings.metricsPrefix, models.byId),
    ready: models.load(loading.signal),
    signal: ending.signal,
    track: (work) => {
      running.add(work);
      const done = (): void => void running.delete(work);
      work.then(done, done);
    },
    resolve: (name, signal) => models.resolve(name, signal),
  };
  let jobs: Awaited<ReturnType<typeof openJobs>> | undefined;
  const ready = context.ready.then(async () => {
    context.metrics.watch();
    if (context.dataDir !== undefined) jobs = await openJobs(context);
    if (readiness.state === 'loading') readiness.state = 'ready';
  });
  const whole = ready
    .catch((error: Error) => {
      if (readiness.state === 'loading') readiness.state = 'failed';
      log.error({ error: error.message }, 'not started');
    })
    .then(() => {
      app = makeApp(context, readiness, jobs?.routes);
      return app;
    });
  let app = makeEarlyApp(context, readiness, whole);

  const fetch: Server['fetch'] = async (request, env) => {
    try {
      const answer = Promise.resolve(app.fetch(request, env as object | undefined));
      context.track(answer);
      return await answer;
    } catch (error) {
      // Hono handles what is thrown if it is an Error; a request that is given up throws its signal's reason.
      return asApiError(error, log, requestIdOf(undefined), request.signal).response();
    }
  };
  const node = nodeListener(fetch, context);
  let closing: Promise<void> | undefined;
  const end = async ({ drainSeconds = 30 }: CloseOptions): Promise<void> => {
    readiness.state = 'draining';
    loading.abort(new Error('the server was closed'));
    await whole;
    log.info({ running: running.size }, 'draining');
    for (const listener of listeners) listener.close();
    const stopped = jobs?.stop();
    await drained(running, drainSeconds);
    ending.abort(shuttingDown());
    for (const listener of listeners) listener.closeAllConnections();
    await drained(running, endSeconds);
    await stopped;
    await jobs?.close();
    context.metrics.close();
    await models.dispose();
    log.info({}, 'closed');
  };
  return {
    fetch,
    node,
    ready,
    close: (given = {}) => {
      closing ??= end(given);
      return closing;
    },
    listen: async ({ host = '127.0.0.1', port = 8000 } = {}) => {
      const guarded = isLoopback(host) && settings.apiKeys.length === 0;
      const known: Server['fetch'] = async (request, env) =>
        strangeHost(request.headers.get('host'), settings.allowedHosts)?.response() ?? fetch(request, env);
      const own = guarded ? nodeListener(known, context) : node;
      const listener = createHttpServer({ requestTimeout: requestMilliseconds }, (incoming, outgoing) => {
        void own(incoming, outgoing);
      });
      await new Promise<void>((resolve, reject) => {
        listener.once('error', reject);
        listener.listen(port, host, resolve);
      });
      listener.on('error', (error) => log.error({ error: error.message }, 'listener failed'));
      listeners.push(listener);
      const bound = (listener.address() as AddressInfo).port;
      const url = `http://${host.includes(':') ? `[${host}]` : host}:${bound}`;
      log.info({ url }, 'listening');
      return { url, host, port: bound };
    },
  };
}

// Cut off, generations end within a step. A reader that takes nothing, on a listener that is not ours, may never end.
const endSeconds = 2;

// A large file over a slow line may take its time; headers have Node's own, shorter limit, JSON bodies one of ours.
const requestMilliseconds = 3_600_000;

function nodeListener(fetch: Server['fetch'], { log, track }: ServerContext): Server['node'] {
  const listener = getRequestListener(fetch, {
    overrideGlobalObjects: false, // the process is the user's
    errorHandler: (error) => {
      const wrong = error instanceof Error && error.name === 'RequestError';
      const known = wrong ? badRequest(`The request cannot be read: ${error.message}.`) : error;
      return asApiError(known, log, requestIdOf(undefined)).response();
    },
  });
  return async (incoming, outgoing) => {
    // A client that has left already: nothing would tell of it, and the answer would be for nobody.
    if (outgoing.destroyed) return;
    track(new Promise<void>((resolve) => outgoing.once('close', resolve)));
    keepParsedBody(incoming);
    return listener(incoming, outgoing);
  };
}

/** Where a body parser of the application has read the body already, gives the listener what it found. */
function keepParsedBody(incoming: IncomingMessage & { body?: unknown; rawBody?: Buffer }): void {
  const { body } = incoming;
  if (!incoming.readableDidRead || incoming.rawBody || body === undefined) return;
  incoming.rawBody = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}

/** Waits until the work under way has ended, or the time is over. */
async function drained(running: ReadonlySet<Promise<unknown>>, seconds: number): Promise<void> {
  let over = false;
  let timer: NodeJS.Timeout | undefined;
  const time = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      over = true;
      resolve();
    }, seconds * 1000);
  });
  while (running.size > 0 && !over) await Promise.race([Promise.allSettled(running), time]);
  clearTimeout(timer);
}
