// GET /v1/models, GET and DELETE /v1/models/{model}. An adapter is a model whose `parent` is its base.
import { type Context, Hono } from 'hono';
import { adapterNamed } from '../adapter-names.js';
import type { ServerContext } from '../context.js';
import { ApiError } from '../http/errors.js';

interface ModelObject {
  id: string;
  object: 'model';
  created: number;
  owned_by: string;
  shutdown_date: null;
  root: string;
  parent: string | null;
  /** The same length, under the names of vLLM, LM Studio and OpenRouter. */
  max_model_len: number;
  context_length: number;
  max_context_length: number;
  /** As vLLM has it. */
  permission: [];
}

export function modelRoutes(context: ServerContext): Hono {
  const routes = new Hono();
  routes.get('/models', async (c) => {
    return c.json({ object: 'list', data: await listedModels(context) });
  });
  // Ids may hold slashes, percent-encoded or not.
  routes.get('/models/:id{.+}', async (c) => {
    const id = modelId(c);
    await context.ready;
    const known = listed(context).find((model) => model.id === id);
    if (known) return c.json(known);
    const named = await adapterNamed(context.models, id);
    using base = named ? undefined : await context.resolve(id, c.req.raw.signal);
    const { served } = (named ?? base)!;
    const { contextLength } = served.model.decoder.config;
    return c.json(modelObject(id, (named?.entry ?? served).createdAt, named ? served.id : null, contextLength));
  });
  routes.delete('/models/:id{.+}', async (c) => {
    const id = modelId(c);
    await context.ready;
    // Not loaded: one that is damaged can be deleted too.
    const named = await adapterNamed(context.models, id);
    if (!named) {
      using _ = await context.resolve(id, c.req.raw.signal); // or it says that there is none
      throw new ApiError(403, `The model '${id}' belongs to the server's set-up; only adapters can be deleted.`, {
        param: 'model',
        code: 'permission_denied',
      });
    }
    const { name } = named.entry;
    const { adapters } = named.served;
    const trained = (await context.data?.models.delete(name)) ?? false;
    if (!trained) await adapters.unload(name);
    const gone = trained || (await adapters.find(name)) === undefined;
    if (!gone) {
      throw new ApiError(403, `The adapter '${id}' lies in the server's adapter folder: remove it there.`, {
        param: 'model',
        code: 'permission_denied',
      });
    }
    return c.json({ id, object: 'model', deleted: true });
  });
  return routes;
}

const modelId = (c: Context): string => c.req.param('id') ?? '';

/** All models and adapters. A name that two base models know is listed once, under the first. */
export async function listedModels(context: ServerContext): Promise<ModelObject[]> {
  await context.ready;
  await Promise.all(Array.from(context.models.values(), ({ adapters }) => adapters.refresh()));
  return listed(context);
}

function listed(context: ServerContext): ModelObject[] {
  const models = new Map<string, ModelObject>();
  for (const { id, createdAt, model } of context.models.values()) {
    models.set(id, modelObject(id, createdAt, null, model.decoder.config.contextLength));
  }
  for (const { id: parent, adapters, model } of context.models.values()) {
    for (const { name, createdAt } of adapters.list()) {
      if (!models.has(name)) models.set(name, modelObject(name, createdAt, parent, model.decoder.config.contextLength));
    }
  }
  return [...models.values()];
}

function modelObject(id: string, created: number, parent: string | null, contextLength: number): ModelObject {
  const root = parent ?? id;
  return {
    id,
    object: 'model',
    created,
    owned_by: 'helvetia',
    shutdown_date: null,
    root,
    parent,
    max_model_len: contextLength,
    context_length: contextLength,
    max_context_length: contextLength,
    permission: [],
  };
}
