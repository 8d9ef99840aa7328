// createServer(): OpenAI's API over models in this process, as handlers to mount and as a server of its own.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve as absolute } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import { FolderStore } from '../store/folder.js';
import type { Store } from '../store/store.js';
import type { ServerContext } from './context.js';
import { probes } from './health.js';
import { limitedListener } from './http/connections.js';
import { asApiError, badRequest } from './http/errors.js';
import { isLoopback, strangeHost } from './http/origin.js';
import { routed } from './http/path.js';
import { requestIdOf } from './http/request.js';
import { Lifecycle } from './lifecycle.js';
import { type ServerOptions, type ServerSettings, serverSettings } from './options.js';

export interface ListenOptions {
  /** Default `'127.0.0.1'`: this machine only. */
  host?: string;
  /** Default 8000; 0 takes any that is free. */
  port?: number;
}

export interface CloseOptions {
  /** Seconds that running requests get to end. Default 30. */
  drainSeconds?: number;
}

export interface Server {
  /**
   * A fetch handler, for Hono, Next.js and everything that speaks `Request` and `Response`. A Request has no sender:
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
  /**
   * Listens at once, while the models are still being loaded.
   *
   * @throws Error (as a rejection) for an address beyond this machine where there is no key and `noAuth` is not set.
   */
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
  const { logger, dataDir } = settings;
  const warn = (warning: string): void => logger.warn({ warning }, 'data folder');
  const folder = dataDir === undefined ? undefined : absolute(dataDir);
  return serverOf(settings, folder === undefined ? undefined : () => FolderStore.open(folder, warn));
}

/** A server over any store; without one there are no files and no jobs. */
export function serverOf(settings: ServerSettings, openStore: (() => Promise<Store>) | undefined): Server {
  const life = new Lifecycle(settings, openStore);
  const { context, fetch, ready } = life;
  const node = nodeListener(fetch, context);
  return {
    fetch,
    node,
    ready,
    close: ({ drainSeconds = 30 } = {}) => life.close(drainSeconds),
    listen: async ({ host = '127.0.0.1', port = 8000 } = {}) => {
      refuseOpenAddress(host, settings);
      const guarded = isLoopback(host) && settings.apiKeys.length === 0;
      const known: Server['fetch'] = async (request, env) =>
        strangeHost(request.headers.get('host'), settings.allowedHosts)?.response() ?? fetch(request, env);
      const own = guarded ? nodeListener(known, context) : node;
      const isProbe = ({ url = '' }: IncomingMessage): boolean =>
        probes.has(routed(url.replace(/\?.*/s, ''), settings.basePath));
      const listener = limitedListener(settings.limits, isProbe, own);
      await new Promise<void>((resolve, reject) => {
        listener.once('error', reject);
        listener.listen(port, host, resolve);
      });
      listener.on('error', (error) => context.log.error({ error: error.message }, 'listener failed'));
      life.add(listener);
      const bound = (listener.address() as AddressInfo).port;
      const url = `http://${host.includes(':') ? `[${host}]` : host}:${bound}`;
      context.log.info({ url }, 'listening');
      return { url, host, port: bound };
    },
  };
}

/** @throws Error where other machines could call a server that asks for no key, unless that is what its owner wants. */
function refuseOpenAddress(host: string, { apiKeys, noAuth }: ServerSettings): void {
  if (isLoopback(host) || apiKeys.length > 0 || noAuth) return;
  throw new Error(
    `listen: host '${host}' lets other machines call this server, and it has no key, so that all of them could use its models, ` +
      "read what users uploaded and start jobs: set 'apiKeys' (--api-key KEY), or 'noAuth' (--no-auth) if the network is trusted",
  );
}

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
    // The client has left already: there will be no 'close' event, and no reader of an answer.
    if (outgoing.destroyed) return;
    track(new Promise<void>((resolve) => outgoing.once('close', resolve)));
    keepParsedBody(incoming);
    return listener(incoming, outgoing);
  };
}

/** Hands the listener a body that the application's own parser has read already. */
function keepParsedBody(incoming: IncomingMessage & { body?: unknown; rawBody?: Buffer }): void {
  const { body } = incoming;
  if (!incoming.readableDidRead || incoming.rawBody || body === undefined) return;
  incoming.rawBody = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}
