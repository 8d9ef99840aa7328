// The models of a server: loads them, and finds the model and adapter that a request names.
import { createHash } from 'node:crypto';
import { resolve as absolute, basename, join } from 'node:path';
import { whyCpu } from '../core/device.js';
import type { Adapter } from '../lora/adapter.js';
import { AdapterFolder } from '../lora/folder.js';
import { loadModel, type Model } from '../model.js';
import { afterBase, longestName } from './adapter-names.js';
import { ApiError, badRequest, notFound } from './http/errors.js';
import type { Logger } from './log.js';
import type { ServedModelOptions, ServerSettings } from './options.js';
import type { Resolved, ServedModel } from './served.js';

export class Models {
  readonly byId = new Map<string, ServedModel>();
  /** Models loaded here, to be disposed of here. */
  readonly #own: Model[] = [];
  /** Base models of adapters whose configs name none, found by loading them. */
  readonly #bases = new Map<string, ServedModel>();

  constructor(
    private readonly settings: ServerSettings,
    private readonly log: Logger,
  ) {}

  /** Loads them one after the other. */
  async load(signal: AbortSignal): Promise<void> {
    for (const entry of this.settings.models) await this.#add(entry, signal);
  }

  async #add({ id, model: given }: ServedModelOptions, signal: AbortSignal): Promise<void> {
    const { settings } = this;
    const started = performance.now();
    const model = typeof given === 'string' ? await this.#open(given, signal) : given;
    const name = id ?? model.name;
    if (this.byId.has(name)) throw new Error(`createServer: two models are called '${name}': give one another 'id'`);
    // A loaded model that was passed in may be in use: its engine stays as its owner configured it, unless options are given.
    if (typeof given === 'string' || Object.keys(settings.engine).length > 0) model.configureEngine(settings.engine);
    const adapters = new AdapterFolder(
      { loadAdapter: (folder) => loadAdapter(model, folder) },
      {
        root: adapterRoot(settings, name),
        max: settings.loadedAdapters,
        isFor: (base) => base === undefined || isNamed(name, model, base) || !this.#isServed(base),
      },
    );
    this.byId.set(name, { id: name, model, adapters, createdAt: Math.floor(Date.now() / 1000) });
    const milliseconds = Math.round(performance.now() - started);
    const device = String(model.decoder.device);
    // Only where the device was chosen here.
    const chosen = typeof given === 'string' && settings.device === 'auto';
    const why = chosen && device === 'cpu' ? { why: whyCpu() } : {};
    this.log.info({ model: name, dtype: model.dtype, device, ...why, milliseconds }, 'loaded');
  }

  #isServed(base: string): boolean {
    return [...this.byId.values()].some(({ id, model }) => isNamed(id, model, base));
  }

  async #open(name: string, signal: AbortSignal): Promise<Model> {
    const { device, dtype, controlTokensInMessages } = this.settings;
    const options = { device, controlTokensInMessages, signal, ...(dtype ? { dtype } : {}) };
    const model = await loadModel(name, options);
    this.#own.push(model);
    return model;
  }

  /** @throws ApiError 404 `model_not_found`; 400 where a name is missing and several models are served. */
  async resolve(given: string | null | undefined, signal?: AbortSignal): Promise<Resolved> {
    const [first, ...others] = this.byId.keys();
    const name = given ?? (others.length === 0 ? first : undefined);
    if (name === undefined) throw badRequest("'model': is missing, expected string.", 'model');
    const served = this.byId.get(name);
    if (served) return resolved(name, served);
    if (name.length > longestName) throw this.notFound(name);
    const found = (await this.#wholeName(name, signal)) ?? (await this.#afterColon(name, signal));
    if (!found) throw this.notFound(name);
    return found;
  }

  notFound(name: string): ApiError {
    const shown = JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);
    return notFound(
      `The model ${shown} does not exist here; GET /v1/models lists those that do.`,
      'model',
      'model_not_found',
    );
  }

  /** Whole names come first: names of fine-tuned models contain colons. */
  async #wholeName(name: string, signal: AbortSignal | undefined): Promise<Resolved | undefined> {
    let failure: unknown;
    const before = this.#bases.get(name);
    for (const served of new Set([...(before ? [before] : []), ...this.byId.values()])) {
      try {
        const adapter = await served.adapters.resolve(name, signal);
        if (adapter) {
          this.#bases.set(name, served);
          return resolved(name, served, adapter);
        }
      } catch (error) {
        failure ??= error; // it may be another model's
      }
    }
    this.#bases.delete(name);
    if (failure !== undefined) throw this.#unusable(name, failure, signal);
    return undefined;
  }

  /** `base:adapter`, where the longest name of a model counts. */
  async #afterColon(name: string, signal: AbortSignal | undefined): Promise<Resolved | undefined> {
    for (const { served, rest } of afterBase(this.byId, name)) {
      try {
        const adapter = await served.adapters.resolve(rest, signal);
        if (adapter) return resolved(name, served, adapter);
      } catch (error) {
        throw this.#unusable(name, error, signal);
      }
    }
    return undefined;
  }

  #unusable(name: string, error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return error;
    this.log.error({ adapter: name, error: (error as Error).message }, 'adapter not loaded');
    return new ApiError(500, `The adapter '${name}' cannot be loaded; the server's log says why.`, {
      code: 'adapter_not_loadable',
      headers: { 'x-should-retry': 'false' },
    });
  }

  async dispose(): Promise<void> {
    for (const model of this.#own) {
      await model.engine.dispose();
      model.dispose();
    }
  }
}

const resolved = (id: string, served: ServedModel, adapter?: Adapter): Resolved => ({
  id,
  served,
  model: served.model,
  adapter,
  [Symbol.dispose]: () => adapter?.release(),
});
/** @throws Error (as a rejection) if the adapter cannot be loaded, RangeError if the engine could not hold it. */
async function loadAdapter(model: Model, folder: string): Promise<Adapter> {
  const adapter = await model.loadAdapter(folder);
  const rank = Math.max(...Array.from(adapter.pairs.values(), ({ a }) => a.dim(0)));
  const { maxLoraRank } = model.engine.settings;
  if (rank <= maxLoraRank) return adapter;
  adapter.dispose();
  throw new RangeError(`the adapter's rank is ${rank}, more than the engine's maxLoraRank of ${maxLoraRank}`);
}

/** Whether `base` in an adapter's config is this model, by its served name or its own. */
function isNamed(id: string, model: Model, base: string): boolean {
  return base === id || base === model.name || basename(base) === basename(model.path);
}

/** The folder whose subfolders are this model's adapters. */
export function adapterRoot({ adapters, dataDir }: ServerSettings, id: string): string | undefined {
  if (adapters !== undefined) return absolute(adapters);
  return dataDir === undefined ? undefined : join(absolute(dataDir), 'adapters', safeName(id));
}

/** The folders in which adapters for this model may be loaded by path. */
export function adapterRoots(settings: ServerSettings, id: string): string[] {
  const shared = settings.dataDir === undefined ? undefined : join(absolute(settings.dataDir), 'adapters');
  return [adapterRoot(settings, id), shared].filter((root) => root !== undefined);
}

/** A model's name as a folder's name: other characters become `-`, and a hash keeps two such names apart. */
export function safeName(id: string): string {
  const plain = id
    .replace(/[^\w.-]+/g, '-')
    .replace(/^\.+/, '')
    .slice(0, 80);
  return plain === id ? plain : `${plain}-${createHash('sha256').update(id).digest('hex').slice(0, 8)}`;
}
