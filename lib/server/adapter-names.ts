// Which adapter a name stands for, without loading it.
import type { AdapterEntry } from '../lora/folder.js';
import type { ServedModel } from './served.js';

export interface NamedAdapter {
  served: ServedModel;
  /** The adapter; its own name may be only a part of the name in the request. */
  entry: AdapterEntry;
}

/** Longer than any name of a folder behind any model's. */
export const longestName = 1024;

/** Finds an adapter by a request's name: a whole name first, then `base:adapter`, cut behind the longest model's name. */
export async function adapterNamed(
  models: ReadonlyMap<string, ServedModel>,
  name: string,
): Promise<NamedAdapter | undefined> {
  const known = async (served: ServedModel | undefined, own: string): Promise<NamedAdapter | undefined> => {
    const entry = await served?.adapters.find(own);
    return served && entry && { served, entry };
  };
  if (models.has(name) || name.length > longestName) return undefined;
  for (const served of models.values()) {
    const found = await known(served, name);
    if (found) return found;
  }
  for (const { served, rest } of afterBase(models, name)) {
    const found = await known(served, rest);
    if (found) return found;
  }
  return undefined;
}

/** The models whose name and a colon begin `name`, longest first, with what follows: not a look-up for each colon. */
export function afterBase(
  models: ReadonlyMap<string, ServedModel>,
  name: string,
): { served: ServedModel; rest: string }[] {
  return [...models]
    .filter(([id]) => name.startsWith(`${id}:`))
    .sort(([a], [b]) => b.length - a.length)
    .map(([id, served]) => ({ served, rest: name.slice(id.length + 1) }));
}
