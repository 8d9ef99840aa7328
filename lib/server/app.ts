// The server as one Hono app: what every request goes through, and the routes behind it.
import { type Context, Hono } from 'hono';
import { cors } from 'hono/cors';
import { messagesErrors } from './anthropic/errors.js';
import { messagesRoutes } from './anthropic/routes.js';
import { batchRoutes } from './batches/routes.js';
import type { ServerContext } from './context.js';
import type { ServerData } from './data.js';
import { fileRoutes } from './files/routes.js';
import { healthRoutes, type Readiness, requireReady } from './health.js';
import { bearerAuth } from './http/auth.js';
import { ApiError, asApiError, type ErrorForm, notFound } from './http/errors.js';
import { refuseOtherSites } from './http/origin.js';
import { routed } from './http/path.js';
import { requestIdOf } from './http/request.js';
import { jobRoutes } from './jobs/routes.js';
import { ollamaErrors } from './ollama/errors.js';
import { ollamaRoutes } from './ollama/routes.js';
import { chatRoutes } from './openai/chat.js';
import { completionRoutes } from './openai/completions.js';
import { embeddingRoutes } from './openai/embeddings.js';
import { modelRoutes } from './openai/models.js';
import { pageRoutes } from './page.js';
import { responsesRoutes } from './responses/routes.js';
import { ResponseStore } from './responses/store.js';
import { adapterRoutes } from './vllm/adapters.js';
import { rankRoutes } from './vllm/rank.js';
import { tokenizeRoutes } from './vllm/tokenize.js';

/** `data` is undefined where nothing is kept. */
export function makeApp(context: ServerContext, readiness: Readiness, data: ServerData | undefined): Hono {
  const { settings, log } = context;
  const app = new Hono({ getPath: (request) => routed(new URL(request.url).pathname, settings.basePath) });
  app.use(async (c, next) => {
    const started = performance.now();
    const requestId = requestIdOf(c.req.header('x-request-id'));
    c.set('requestId', requestId);
    await next();
    c.header('x-request-id', requestId);
    const milliseconds = Math.round(performance.now() - started);
    log.info({ requestId, method: c.req.method, path: c.req.path, status: c.res.status, milliseconds }, 'request');
  });
  if (settings.cors.length > 0) {
    const origin = settings.cors.includes('*') ? '*' : [...settings.cors];
    app.use(cors({ origin, exposeHeaders: ['x-request-id', 'retry-after', 'x-helvetia-warning'] }));
  }
  app.use(async (c, next) => {
    refuseOtherSites(c, settings.cors);
    await next();
  });
  app.route('/', healthRoutes(context, readiness));
  app.route('/', pageRoutes());
  app.use(bearerAuth(settings.apiKeys));
  app.use(async (_, next) => {
    requireReady(readiness);
    await next();
  });
  app.route('/', chatRoutes(context));
  app.route('/', completionRoutes(context));
  app.route('/', messagesRoutes(context));
  app.route('/', responsesRoutes(context, data?.responses ?? ResponseStore.inMemory()));
  app.route('/', embeddingRoutes(context));
  app.route('/', ollamaRoutes(context));
  app.route('/', modelRoutes(context));
  app.route('/', tokenizeRoutes(context));
  app.route('/', rankRoutes(context));
  app.route('/', adapterRoutes(context));
  if (data) {
    app.route('/', fileRoutes(context, data.files));
    app.route('/', jobRoutes(context, data));
    app.route('/', batchRoutes(context, data.batches));
    data.batches.start((request) => app.fetch(request));
  }
  refuseOtherMethods(app);
  const failed = (error: unknown, c: Context): Response => {
    const requestId = c.get('requestId');
    const told = asApiError(error, log, requestId, c.req.raw.signal);
    return told.response(errorForms.find(({ paths }) => paths.test(c.req.path))?.body(told, requestId));
  };
  app.notFound((c) => {
    const why = whyNot(c.req.path, data !== undefined);
    return failed(notFound(`${c.req.method} ${addressOf(c)}: ${why}.`, null, 'unknown_url'), c);
  });
  app.onError(failed);
  return app;
}

const errorForms: readonly ErrorForm[] = [messagesErrors, ollamaErrors];

/** The app while the models are being loaded: it answers probes and the page at once, and leaves the rest to `whole`. */
export function makeEarlyApp(context: ServerContext, readiness: Readiness, whole: Promise<Hono>): Hono {
  const app = new Hono({ getPath: (request) => routed(new URL(request.url).pathname, context.settings.basePath) });
  app.route('/', healthRoutes(context, readiness));
  app.route('/', pageRoutes());
  app.notFound(async (c) => (await whole).fetch(c.req.raw, c.env));
  app.onError((error) => asApiError(error, context.log, requestIdOf(undefined)).response());
  return app;
}

/** Why there is nothing at an address. */
function whyNot(path: string, keeps: boolean): string {
  if (!keeps && /^\/(files|fine_tuning|batches)\b/.test(path)) return 'this server was started without a data folder';
  if (/^\/(audio|images|videos|moderations|realtime)\b/.test(path)) {
    return 'images, speech and moderation are not served here: the models take and give text';
  }
  return 'there is no such address';
}

/** The address as the client wrote it, cut to a length that fits a message. */
const addressOf = (c: Context): string => new URL(c.req.url).pathname.slice(0, 200);

/** Answers 405 with `allow` where an address exists, but not for the request's method. */
function refuseOtherMethods(app: Hono): void {
  const methods = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method === 'ALL') continue;
    const known = methods.get(path) ?? new Set();
    methods.set(path, known.add(method));
  }
  for (const [path, known] of methods) {
    app.all(path, (c) => {
      const allow = [...known].join(', ');
      throw new ApiError(405, `${c.req.method} ${addressOf(c)}: expected ${allow}.`, {
        code: 'method_not_allowed',
        headers: { allow },
      });
    });
  }
}
