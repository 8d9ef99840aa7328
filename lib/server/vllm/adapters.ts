// POST /v1/load_lora_adapter and /v1/unload_lora_adapter, as vLLM has them. Only folders inside the server's own can be
// loaded, links followed.
import { realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { Hono } from 'hono';
import { z } from 'zod';
import type { ServedModel, ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { badRequest, notFound } from '../http/errors.js';
import { isTrained } from '../jobs/routes.js';
import { adapterRoot } from '../serving.js';

// /metrics lists names with commas between them; a slash would make them paths.
const adapterName = z.string().regex(/^[\w.:@-]{1,200}$/, 'expected 1 to 200 letters, digits, or . _ - : @');

const loadBody = z.looseObject({
  lora_name: adapterName,
  lora_path: z.string().min(1),
  load_inplace: z.boolean().nullish(),
  /** Which model it is for, where several are served. */
  model: z.string().nullish(),
});

const unloadBody = z.looseObject({ lora_name: z.string().min(1) });

export function adapterRoutes(context: ServerContext): Hono {
  return new Hono()
    .post('/load_lora_adapter', async (c) => {
      const { lora_name: name, lora_path: path, load_inplace: replace, model } = await jsonBody(c, context, loadBody);
      await context.ready;
      const served = await baseOf(context, model ?? undefined);
      if (context.models.has(name)) throw badRequest(`'lora_name': '${name}' is the name of a model.`, 'lora_name');
      const folder = await confined(context, served, path);
      const known = await served.adapters.find(name);
      // A folder's own name answers before it is loaded, and may be loaded once all the same.
      const found = known && !served.adapters.isGiven(name) && (await realpath(known.path)) === folder;
      if (known && !found && !replace) {
        throw badRequest(`'lora_name': '${name}' is loaded already; 'load_inplace' replaces it.`, 'lora_name');
      }
      try {
        await served.adapters.load(name, found ? known.path : folder, { replace: replace ?? false });
      } catch (error) {
        context.log.warn({ adapter: name, error: (error as Error).message }, 'adapter not loaded');
        throw badRequest(`'lora_path': ${reason(error, folder, path)}`, 'lora_path');
      }
      return c.text(`Success: LoRA adapter '${name}' added successfully`);
    })
    .post('/unload_lora_adapter', async (c) => {
      const { lora_name: name } = await jsonBody(c, context, unloadBody);
      await context.ready;
      if (isTrained(context, name)) {
        throw badRequest(
          `'lora_name': '${name}' was made by a job; DELETE /v1/models/${name} removes it.`,
          'lora_name',
        );
      }
      // From all of them: several models may share a folder.
      const known = await Promise.all(Array.from(context.models.values(), ({ adapters }) => adapters.withhold(name)));
      if (known.includes(true)) return c.text(`Success: LoRA adapter '${name}' removed successfully`);
      throw notFound(
        `The adapter ${JSON.stringify(name.slice(0, 200))} is not loaded.`,
        'lora_name',
        'adapter_not_found',
      );
    });
}

async function baseOf(context: ServerContext, name: string | undefined): Promise<ServedModel> {
  if (name !== undefined) {
    using resolved = await context.resolve(name);
    return resolved.served;
  }
  const [first, ...others] = context.models.values();
  if (!first || others.length > 0) {
    throw badRequest(`'model': is missing; one of ${[...context.models.keys()].join(', ')}.`, 'model');
  }
  return first;
}

/** @throws ApiError 400 where the path leads out of the server's adapter folders, or to nothing. */
async function confined(context: ServerContext, served: ServedModel, path: string): Promise<string> {
  const { settings, dataDir } = context;
  const roots = [adapterRoot(settings, served.id), dataDir && join(dataDir, 'adapters')].filter(
    (root) => root !== undefined,
  );
  if (roots.length === 0)
    throw badRequest("'lora_path': this server was started without an adapter folder.", 'lora_path');
  for (const root of roots) {
    const real = await realpath(resolve(root, path)).catch(() => undefined);
    const inside = relative(await realpath(root).catch(() => root), real ?? root);
    if (real !== undefined && inside !== '' && inside.split(/[/\\]/)[0] !== '..' && !isAbsolute(inside)) return real;
  }
  throw badRequest(
    `'lora_path': ${JSON.stringify(path.slice(0, 200))} is no folder inside the server's adapter folder.`,
    'lora_path',
  );
}

/** The error's own sentence, without the server's paths. */
const reason = (error: unknown, folder: string, path: string): string =>
  (error instanceof Error ? error.message : String(error)).replaceAll(folder, path);
