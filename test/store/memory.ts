// A store in memory: the contract's second member, with which the server's code shows that it knows no folder. Only
// scratch, which is local by contract, lies on the disk.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type {
  Blobs,
  Draft,
  Events,
  Item,
  Json,
  Records,
  Scratch,
  Store,
  StoredEvent,
  StoredRecord,
} from '../../lib/store/store.js';

/** One file, or a folder's files by their names. */
type Content = Uint8Array | ReadonlyMap<string, Uint8Array>;

class Parts {
  value: Json = {};
  version = 0;
  readonly events = new Map<string, StoredEvent>();
  readonly blobs = new Map<string, { content: Content; at: number }>();
}

export class MemoryStore implements Store {
  readonly #items = new Map<string, Parts>();
  readonly #leased = new Set<string>();
  /** Paths of scratch folders that were not disposed of. */
  readonly scratches = new Set<string>();

  records(kind: Item['kind']): Records {
    const source = (id: string): string => `${kind} ${id}`;
    const shown = (id: string, { value, version }: Parts): StoredRecord => ({
      id,
      value: structuredClone(value),
      version: String(version),
      source: source(id),
    });
    return {
      list: async () =>
        [...this.#items].flatMap(([name, parts]) =>
          name.startsWith(`${kind} `) ? [shown(name.slice(kind.length + 1), parts)] : [],
        ),
      get: async (id) => {
        const parts = this.#items.get(source(id));
        return parts && shown(id, parts);
      },
      create: async (id, fill) => {
        const taken = (): boolean => this.#items.has(source(id));
        if (taken()) throw new Error(`${source(id)}: is there already`);
        const parts = new Parts();
        const blobs = this.#blobsOf(() => parts);
        const events = eventsOf(() => parts);
        const draft: Draft = { ...blobs, ...events };
        parts.value = structuredClone(await fill(draft));
        if (taken()) throw new Error(`${source(id)}: is there already`);
        this.#items.set(source(id), parts);
        return shown(id, parts);
      },
      replace: async (id, value, version) => {
        const parts = this.#of({ kind, id });
        if (String(parts.version) !== version) return undefined;
        parts.value = structuredClone(value);
        return String(++parts.version);
      },
      remove: async (id) => this.#items.delete(source(id)),
    };
  }

  events(item: Item): Events {
    return eventsOf(() => this.#of(item));
  }

  blobs(item: Item): Blobs {
    return this.#blobsOf(() => this.#of(item));
  }

  async lease(item: Item): Promise<AsyncDisposable | undefined> {
    const name = `${item.kind} ${item.id}`;
    if (this.#leased.has(name)) return undefined;
    this.#leased.add(name);
    return { [Symbol.asyncDispose]: async () => void this.#leased.delete(name) };
  }

  async scratch(): Promise<Scratch> {
    const path = await mkdtemp(join(tmpdir(), 'helvetia-scratch-'));
    this.scratches.add(path);
    return {
      path,
      [Symbol.asyncDispose]: async () => {
        this.scratches.delete(path);
        await rm(path, { recursive: true, force: true });
      },
    };
  }

  async close(): Promise<void> {
    for (const path of this.scratches) await rm(path, { recursive: true, force: true });
  }

  #of({ kind, id }: Item): Parts {
    const parts = this.#items.get(`${kind} ${id}`);
    if (!parts) throw new Error(`${kind} ${id}: does not exist`);
    return parts;
  }

  #blobsOf(parts: () => Parts): Blobs {
    const set = (name: string, content: Content): void => {
      parts().blobs.set(name, { content, at: Date.now() });
    };
    const get = (name: string) => parts().blobs.get(name);
    const below = (name: string): string[] => [...parts().blobs.keys()].filter((key) => key.startsWith(`${name}/`));
    return {
      put: async (name, chunks) => {
        const list: Uint8Array[] = [];
        for await (const chunk of chunks) list.push(chunk);
        set(name, Buffer.concat(list));
      },
      publish: async (name, folder) => {
        const files = new Map<string, Uint8Array>();
        for (const file of await readdir(folder)) files.set(file, await readFile(join(folder, file)));
        await rm(folder, { recursive: true });
        set(name, files);
      },
      share: async (name, from, files) => {
        const found = this.#items.get(`${from.item.kind} ${from.item.id}`)?.blobs.get(from.name);
        if (!found) return false;
        const { content } = found;
        if (content instanceof Uint8Array) set(name, content);
        else set(name, new Map((files ?? [...content.keys()]).map((file) => [file, content.get(file)!])));
        return true;
      },
      read: async (name) => {
        const content = get(name)?.content;
        if (!(content instanceof Uint8Array)) return undefined;
        return { size: content.length, stream: new Blob([new Uint8Array(content)]).stream() };
      },
      fetch: async (name, path) => {
        const content = get(name)?.content;
        if (!content) return false;
        await mkdir(content instanceof Uint8Array ? dirname(path) : path, { recursive: true });
        if (content instanceof Uint8Array) await writeFile(path, content);
        else {
          for (const [file, bytes] of content) await writeFile(join(path, file), bytes);
        }
        return true;
      },
      storedAt: async (name) => get(name)?.at,
      list: async (name) => [...new Set(below(name).map((key) => key.slice(name.length + 1).split('/')[0]!))].sort(),
      remove: async (name) => {
        for (const key of [name, ...below(name)]) parts().blobs.delete(key);
      },
    };
  }
}

function eventsOf(parts: () => Parts): Events {
  return {
    append: async (event) => {
      const { events } = parts();
      if (!events.has(event.id)) events.set(event.id, structuredClone(event));
    },
    read: async (from = 0) => [...parts().events.values()].slice(from),
    flush: async () => {},
  };
}
