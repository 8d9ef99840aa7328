// A folder of adapters by name: found when they are first asked for, a number of them kept loaded.
//
// `<root>/<name>/adapter_config.json` makes `name` known. Other folders, and adapters kept elsewhere, can be given names of
// their own, which survive eviction: the adapter is loaded again from the same place. What was read from the disk counts
// for a second; a folder that was rewritten is then loaded again.
import { constants, copyFile, mkdir, open, readdir, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { folderMode } from '../files/atomic.js';
import type { Adapter } from './adapter.js';
import { configName, maxConfigBytes, weightsName } from './read.js';

export interface AdapterFolderOptions {
  /** Undefined: only names given by `load`. */
  root: string | undefined;
  /** Adapters in memory at once; the least recently used is evicted first. */
  max: number;
  /** Whether an adapter whose config names this base is for the model; all are unless said otherwise. */
  isFor?: (base: string | undefined) => boolean;
}

export interface AdapterEntry {
  name: string;
  /** The adapter's folder; undefined where it is kept elsewhere. */
  path: string | undefined;
  /** Unix seconds. */
  createdAt: number;
}

/** An adapter that is kept elsewhere, and never changes there. */
export interface AdapterSource {
  /** Unix seconds. */
  createdAt: number;
  /** A folder that holds it until it is disposed of. */
  fetch(): Promise<{ readonly path: string } & AsyncDisposable>;
}

/** An adapter on the disk, as it was when it was last looked at. */
interface Seen {
  entry: AdapterEntry;
  /** Changes when the folder is rewritten. */
  stamp: string;
  at: number;
}

interface Loaded {
  adapter: Promise<Adapter>;
  stamp: string;
}

/** The files of an adapter in PEFT's format. */
export const adapterFiles = [configName, weightsName] as const;
const believedMilliseconds = 1000;
// Letters, digits and -_.: as in file names; never a path.
const folderName = /^[\p{L}\p{N}_][\p{L}\p{N}_.:@-]{0,254}$/u;
// `ft:` names have their base model's name inside, and that may have a slash.
const givenName = /^[\p{L}\p{N}_][\p{L}\p{N}_.:@/-]{0,254}$/u;

export class AdapterFolder {
  readonly #given = new Map<string, { entry: AdapterEntry; source?: AdapterSource }>();
  // In the order of their last use.
  readonly #loaded = new Map<string, Loaded>();
  readonly #seen = new Map<string, Seen>();
  /** Names in the folder that answer no more until they are loaded again. */
  readonly #withheld = new Set<string>();
  #refresh: { at: number; done: Promise<void> } | undefined;

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
    const seen = await this.#look(name);
    if (!seen) {
      this.#drop(name); // its folder is gone
      return undefined;
    }
    const adapter = (await this.#open(seen)).hold();
    if (signal?.aborted) adapter.release();
    signal?.throwIfAborted();
    return adapter;
  }

  /**
   * Gives the adapter in `path` a name, and loads it.
   *
   * @throws Error (as a rejection) if the name is taken and `replace` is not set, or the adapter cannot be loaded.
   */
  async load(name: string, path: string, options: { replace?: boolean } = {}): Promise<void> {
    checkName(name);
    const before = await this.find(name);
    if (before && before.path !== resolve(path) && !options.replace)
      throw new Error(`adapter '${name}': is already loaded${before.path === undefined ? '' : ` from ${before.path}`}`);
    if (options.replace) this.#drop(name);
    const { mtimeMs } = await stat(path);
    const entry = { name, path: resolve(path), createdAt: Math.floor(mtimeMs / 1000) };
    await this.#open({ entry, stamp: (await stampOf(path)) ?? '' });
    this.#give(name, { entry });
  }

  /** Gives an adapter that is kept elsewhere a name, by which it is fetched and loaded when it is asked for. */
  offer(name: string, source: AdapterSource): void {
    checkName(name);
    this.#give(name, { entry: { name, path: undefined, createdAt: source.createdAt }, source });
  }

  #give(name: string, given: { entry: AdapterEntry; source?: AdapterSource }): void {
    this.#given.set(name, given);
    this.#withheld.delete(name);
    this.#seen.delete(name);
  }

  /** The adapter of that name, which is not loaded; undefined if there is none. */
  async find(name: string): Promise<AdapterEntry | undefined> {
    return (await this.#look(name))?.entry;
  }

  /** Whether the name was given by `load`, not only found in the folder. */
  isGiven(name: string): boolean {
    return this.#given.has(name);
  }

  /** The folder in the root that the name stands for, if that is `folder` once links are followed. */
  async foundAt(name: string, folder: string): Promise<string | undefined> {
    const path = this.isGiven(name) ? undefined : (await this.find(name))?.path;
    return path !== undefined && (await realpath(path)) === folder ? path : undefined;
  }

  /** Forgets a name that was given, and frees the adapter after its last use. False if it was not known. */
  async unload(name: string): Promise<boolean> {
    const known = this.#given.delete(name);
    if (known) this.#seen.delete(name);
    return this.#drop(name) || known;
  }

  /** The same, and a name of the folder answers no more until `load` gives it again. Whether it was known. */
  async withhold(name: string): Promise<boolean> {
    const known = await this.find(name);
    const unloaded = await this.unload(name);
    if (await this.find(name)) this.#withheld.add(name);
    return unloaded || known !== undefined;
  }

  /** All names, including folders that the last `refresh` found and no request has used yet. */
  list(): AdapterEntry[] {
    const found = [...this.#seen.values()].map(({ entry }) => entry);
    const others = found.filter(({ name }) => !this.#given.has(name) && !this.#withheld.has(name));
    return [
      ...Array.from(this.#given.values(), ({ entry }) => entry),
      ...others.sort((a, b) => (a.name < b.name ? -1 : 1)),
    ];
  }

  /** Looks into the folder again, unless that was done within the last second. */
  refresh(): Promise<void> {
    const at = performance.now();
    if (!this.#refresh || at - this.#refresh.at >= believedMilliseconds)
      this.#refresh = { at, done: this.#readFolder() };
    return this.#refresh.done;
  }

  async #readFolder(): Promise<void> {
    const { root } = this.options;
    if (!root) return;
    const names = new Set(await readdir(root).catch(() => []));
    for (const name of this.#seen.keys()) if (!names.has(name) && !this.#given.has(name)) this.#seen.delete(name);
    for (const name of names) if (!this.#given.has(name)) await this.#look(name);
  }

  async #look(name: string): Promise<Seen | undefined> {
    if (this.#withheld.has(name)) return undefined;
    const recent = this.#seen.get(name);
    if (recent && performance.now() - recent.at < believedMilliseconds) return recent;
    const given = this.#given.get(name)?.entry;
    const entry = given ?? (await this.#found(name));
    // A name that was given stays, even where its folder is gone.
    const stamp = entry && ((await stampOf(entry.path)) ?? (given && (this.#loaded.get(name)?.stamp ?? '')));
    if (entry && stamp !== undefined) {
      const seen = { entry, stamp, at: performance.now() };
      this.#seen.set(name, seen);
      return seen;
    }
    this.#seen.delete(name);
    return undefined;
  }

  async #found(name: string): Promise<AdapterEntry | undefined> {
    const { root, isFor } = this.options;
    if (!root || !folderName.test(name)) return undefined;
    const path = join(root, name);
    try {
      // A link must not lead out of the root: neither the folder nor a file in it.
      const inside = (await realpath(root)) + sep;
      for (const file of ['.', ...adapterFiles]) {
        const real = await realpath(join(path, file)).catch(() => undefined);
        if (real !== undefined && !real.startsWith(inside)) return undefined;
      }
      const config = await configIn(path);
      if (config === undefined || (isFor && !isFor(baseIn(config)))) return undefined;
      return { name, path: resolve(path), createdAt: Math.floor((await stat(path)).mtimeMs / 1000) };
    } catch {
      return undefined;
    }
  }

  #open({ entry, stamp }: Pick<Seen, 'entry' | 'stamp'>): Promise<Adapter> {
    const { name } = entry;
    if (this.#loaded.get(name)?.stamp !== stamp) this.#drop(name);
    const adapter = this.#loaded.get(name)?.adapter ?? this.#load(entry);
    this.#loaded.delete(name); // it goes to the end of their order
    this.#loaded.set(name, { adapter, stamp });
    adapter.then(
      (loaded) => {
        loaded.name = name;
      },
      () => {
        if (this.#loaded.get(name)?.adapter === adapter) this.#loaded.delete(name);
      },
    );
    for (const [oldest] of this.#loaded) {
      if (this.#loaded.size <= this.options.max) break;
      this.#drop(oldest);
    }
    return adapter;
  }

  async #load({ name, path }: AdapterEntry): Promise<Adapter> {
    if (path !== undefined) return this.model.loadAdapter(path);
    const source = this.#given.get(name)?.source;
    if (!source) throw new Error(`adapter '${name}': was unloaded`);
    await using folder = await source.fetch();
    return await this.model.loadAdapter(folder.path);
  }

  // Its last holder frees the memory.
  #drop(name: string): boolean {
    void this.#loaded.get(name)?.adapter.then(
      (adapter) => adapter.retire(),
      () => {},
    );
    return this.#loaded.delete(name);
  }
}

function checkName(name: string): void {
  if (!givenName.test(name)) throw new Error(`adapter '${name}': is not a name: letters, digits and _.:@/- only`);
}

/** The real path of `path`, relative to a root, if it leads to something inside one of `roots`, links followed. */
export async function insideRoots(roots: readonly string[], path: string): Promise<string | undefined> {
  for (const root of roots) {
    const real = await realpath(resolve(root, path)).catch(() => undefined);
    const inside = relative(await realpath(root).catch(() => root), real ?? root);
    if (real !== undefined && inside !== '' && inside.split(/[/\\]/)[0] !== '..' && !isAbsolute(inside)) return real;
  }
  return undefined;
}

/** Copies an adapter's files into a new folder: their owner may change them. */
export async function copyAdapter(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: folderMode });
  for (const file of adapterFiles) {
    // The copying of a FIFO waits for its writer.
    if (!(await stat(join(from, file))).isFile()) throw new Error(`${join(from, file)}: is not a regular file`);
    await copyFile(join(from, file), join(to, file), constants.COPYFILE_FICLONE);
  }
}

/** The text of an adapter's config; undefined where it is a FIFO, a device or larger than any config. */
async function configIn(path: string): Promise<string | undefined> {
  await using file = await open(join(path, configName), constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  const found = await file.stat();
  return found.isFile() && found.size <= maxConfigBytes ? await file.readFile('utf8') : undefined;
}

/** The base model that a config names. A broken config gives none here; loading it reports the fault. */
function baseIn(config: string): string | undefined {
  try {
    const { base_model_name_or_path: base } = JSON.parse(config) as Record<string, unknown>;
    return typeof base === 'string' ? base : undefined;
  } catch {
    return undefined;
  }
}

/** Of an adapter's config, which is written with every save; undefined where there is none. */
async function stampOf(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const file = await stat(join(path, configName)).catch(() => undefined);
  return file && `${file.ino} ${file.mtimeMs}`;
}
