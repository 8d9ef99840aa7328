// A folder of adapters by name: found when they are first asked for, a number of them kept loaded.
//
// `<root>/<name>/adapter_config.json` makes `name` known. Other folders can be given names of their own; those survive
// being unloaded for lack of room, and come back from where they were.
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import type { Adapter } from '../lora/adapter.js';

export interface AdapterFolderOptions {
  /** Undefined: only names given by `load`. */
  root: string | undefined;
  /** Adapters in memory at once; those that were asked for longest ago go first. */
  max: number;
}

export interface AdapterEntry {
  name: string;
  /** The adapter's folder. */
  path: string;
  /** Unix seconds. */
  createdAt: number;
}

const configName = 'adapter_config.json';
// Letters, digits and -_.: as in file names; never a path.
const folderName = /^[\p{L}\p{N}_][\p{L}\p{N}_.:@-]{0,254}$/u;
// `ft:` names have their base model's name inside, and that may have a slash.
const givenName = /^[\p{L}\p{N}_][\p{L}\p{N}_.:@/-]{0,254}$/u;

export class AdapterFolder {
  readonly #given = new Map<string, AdapterEntry>();
  // In the order of their last use.
  readonly #loaded = new Map<string, Promise<Adapter>>();

  constructor(
    private readonly model: { loadAdapter(folder: string): Promise<Adapter> },
    private readonly options: AdapterFolderOptions,
  ) {}

  /**
   * The adapter of that name, loaded if it is not, and held for the caller, who releases it; undefined if there is none.
   *
   * @throws Error (as a rejection) if the adapter cannot be loaded, or the signal's reason.
   */
  async resolve(name: string, signal?: AbortSignal): Promise<Adapter | undefined> {
    signal?.throwIfAborted();
    const entry = this.#given.get(name) ?? this.#found(name);
    if (!entry) {
      this.#drop(name); // its folder is gone
      return undefined;
    }
    const adapter = (await this.#open(entry)).hold();
    if (signal?.aborted) adapter.release();
    signal?.throwIfAborted();
    return adapter;
  }

  /**
   * Gives the adapter in `path` a name, and loads it; with `lazy` only when it is asked for.
   *
   * @throws Error (as a rejection) if the name is taken and `replace` is not set, or the adapter cannot be loaded.
   */
  async load(name: string, path: string, options: { replace?: boolean; lazy?: boolean } = {}): Promise<void> {
    if (!givenName.test(name)) throw new Error(`adapter '${name}': is not a name: letters, digits and _.:@/- only`);
    const before = this.#given.get(name) ?? this.#found(name);
    if (before && before.path !== resolve(path) && !options.replace)
      throw new Error(`adapter '${name}': is already loaded from ${before.path}`);
    if (options.replace) this.#drop(name);
    const entry = { name, path: resolve(path), createdAt: createdAt(path) };
    if (!options.lazy) await this.#open(entry);
    this.#given.set(name, entry);
  }

  /** Forgets a name that was given, and frees the adapter once nobody uses it. Whether it was known. */
  async unload(name: string): Promise<boolean> {
    const known = this.#given.delete(name);
    return this.#drop(name) || known;
  }

  /** All names, those in the folder that were not asked for yet included. */
  list(): AdapterEntry[] {
    const { root } = this.options;
    const names = root && existsSync(root) ? readdirSync(root).sort() : [];
    const found = names.filter((name) => !this.#given.has(name)).map((name) => this.#found(name));
    return [...this.#given.values(), ...found.filter((entry) => entry !== undefined)];
  }

  #found(name: string): AdapterEntry | undefined {
    const { root } = this.options;
    if (!root || !folderName.test(name)) return undefined;
    const path = join(root, name);
    if (!existsSync(join(path, configName))) return undefined;
    // A link must not lead out of the folder.
    if (!realpathSync(path).startsWith(realpathSync(root) + sep)) return undefined;
    return { name, path: resolve(path), createdAt: createdAt(path) };
  }

  #open({ name, path }: AdapterEntry): Promise<Adapter> {
    const known = this.#loaded.get(name);
    this.#loaded.delete(name);
    const adapter = known ?? this.model.loadAdapter(path);
    this.#loaded.set(name, adapter);
    adapter.then(
      (loaded) => {
        loaded.name = name;
      },
      () => {
        if (this.#loaded.get(name) === adapter) this.#loaded.delete(name);
      },
    );
    for (const [oldest] of this.#loaded) {
      if (this.#loaded.size <= this.options.max) break;
      this.#drop(oldest);
    }
    return adapter;
  }

  // Its memory goes with the last of those who hold it.
  #drop(name: string): boolean {
    void this.#loaded.get(name)?.then(
      (adapter) => adapter.retire(),
      () => {},
    );
    return this.#loaded.delete(name);
  }
}

const createdAt = (path: string): number => Math.floor(statSync(path).mtimeMs / 1000);
