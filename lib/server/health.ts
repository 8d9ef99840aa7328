// /health, /health/ready, /ping, /version and /metrics: open to everybody, as probes and scrapers carry no keys.
import { Hono } from 'hono';
import { packageFacts } from '../files/package.js';
import type { ServerContext } from './context.js';
import { ApiError } from './http/errors.js';

export interface Readiness {
  state: 'loading' | 'ready' | 'failed' | 'draining';
}

/** What monitors ask for: answered also where nothing else is. */
export const probes: ReadonlySet<string> = new Set(['/health', '/health/ready', '/metrics']);

export function healthRoutes(context: ServerContext, readiness: Readiness): Hono {
  return new Hono()
    .get('/health', (c) => {
      if (readiness.state === 'failed') throw failed();
      return c.json({ status: 'ok' });
    })
    .get('/health/ready', (c) => {
      requireReady(readiness);
      return c.json({ status: 'ok', models: [...context.models.keys()] });
    })
    .get('/ping', (c) => {
      requireReady(readiness);
      return c.body(null, 200);
    })
    .get('/version', (c) => c.json({ version: packageFacts().version }))
    .get('/metrics', async (c) => {
      const { registry } = context.metrics;
      return c.body(await registry.metrics(), 200, { 'content-type': registry.contentType });
    });
}

/** @throws ApiError 503 that says why not. */
export function requireReady({ state }: Readiness): void {
  if (state === 'loading') throw unavailable('The models are being loaded.');
  if (state === 'draining') throw shuttingDown();
  if (state === 'failed') throw failed();
}

const unavailable = (message: string, headers: Record<string, string> = { 'retry-after': '1' }): ApiError =>
  new ApiError(503, message, { type: 'unavailable_error', code: 'unavailable', headers });

/** For requests that arrive while the server closes, and for those cut off at its end. */
export const shuttingDown = (): ApiError => unavailable('The server is shutting down.');

/** For good: clients must not retry. */
const failed = (): ApiError =>
  unavailable('The server did not start: a model could not be loaded, or its data folder not be opened.', {
    'x-should-retry': 'false',
  });
