// Which adapter a name stands for, without loading it.
import type { AdapterEntry } from '../lora/folder.js';
import type { ServedModel } from './served.js';

export interface NamedAdapter {
  served: ServedModel;
  /** The adapter; its own name may be only a part of the name in the request. */
  entry: AdapterEntry;
}

/** Finds an adapter by a request's name: a whole name first, then `base:adapter`, cut at the last colon that leaves a model's name. */
export async function adapterNamed(
  models: ReadonlyMap<string, ServedModel>,
  name: string,
): Promise<NamedAdapter | undefined> {
  const known = async (served: ServedModel | undefined, own: string): Promise<NamedAdapter | undefined> => {
    const entry = await served?.adapters.find(own);
    return served && entry && { served, entry };
  };
  if (models.has(name)) return undefined;
  for (const served of models.values()) {
    const found = await known(served, name);
    if (found) return found;
  }
  for (let at = name.lastIndexOf(':'); at > 0; at = name.lastIndexOf(':', at - 1)) {
    const found = await known(models.get(name.slice(0, at)), name.slice(at + 1));
    if (found) return found;
  }
  return undefined;
}
