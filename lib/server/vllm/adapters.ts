// POST /v1/load_lora_adapter and /v1/unload_lora_adapter, as vLLM has them. Only folders inside the server's own can be
// loaded, links followed.
import { Hono } from 'hono';
import { z } from 'zod';
import { insideRoots } from '../../lora/folder.js';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { badRequest, notFound } from '../http/errors.js';
import { adapterRoots } from '../models.js';
import type { ServedModel } from '../served.js';

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
      // An adapter found by its folder's name is known before it is loaded, and may be loaded by that name once.
      const found = await served.adapters.foundAt(name, folder);
      if (known && found === undefined && !replace) {
        throw badRequest(`'lora_name': '${name}' is loaded already; 'load_inplace' replaces it.`, 'lora_name');
      }
      try {
        await served.adapters.load(name, found ?? folder, { replace: replace ?? false });
      } catch (error) {
        context.log.warn({ adapter: name, error: (error as Error).message }, 'adapter not loaded');
        throw badRequest(`'lora_path': ${reason(error, folder, path)}`, 'lora_path');
      }
      return c.text(`Success: LoRA adapter '${name}' added successfully`);
    })
    .post('/unload_lora_adapter', async (c) => {
      const { lora_name: name } = await jsonBody(c, context, unloadBody);
      await context.ready;
      if (context.data?.models.owns(name)) {
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
  const roots = adapterRoots(context.settings, served.id);
  if (roots.length === 0)
    throw badRequest("'lora_path': this server was started without an adapter folder.", 'lora_path');
  const folder = await insideRoots(roots, path);
  if (folder !== undefined) return folder;
  throw badRequest(
    `'lora_path': ${JSON.stringify(path.slice(0, 200))} is no folder inside the server's adapter folder.`,
    'lora_path',
  );
}

/** The error's own sentence, without the server's paths. */
const reason = (error: unknown, folder: string, path: string): string =>
  (error instanceof Error ? error.message : String(error)).replaceAll(folder, path);
