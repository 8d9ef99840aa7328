// Layers at a model's end that make no keys and values, but read those of the last layer before them of the same kind.
import { type BlockMemory, type SharedKeys, sharedKeys } from '../parts/memory.js';
import type { LayerKind } from './architecture.js';

export interface Sharing {
  /** The first layer that reads; the number of layers if none does. */
  from: number;
  /** The layer whose keys layer `index` reads, or itself if others read its own; undefined if nothing is shared. */
  sourceOf(index: number): number | undefined;
}

/** @throws Error that names the file, if so many layers have none before them to read. */
export function sharing(file: string, kinds: readonly LayerKind[], readers: number): Sharing {
  const from = kinds.length - readers;
  const lastOf = (kind: LayerKind): number => kinds.slice(0, Math.max(from, 0)).lastIndexOf(kind);
  const sources = new Map<LayerKind, number>();
  for (const kind of kinds.slice(Math.max(from, 0))) {
    const source = lastOf(kind);
    if (source < 0) {
      throw new Error(
        `${file}: num_kv_shared_layers (${readers}) leaves no ${kind} layer whose keys and values the last layers could read`,
      );
    }
    sources.set(kind, source);
  }
  return {
    from,
    sourceOf(index) {
      const source = sources.get(kinds[index]!);
      return source === index || index >= from ? source : undefined;
    },
  };
}

/** For each layer in turn, from the first, what `attention` needs to know of the keys that it shares. */
export function sharedSources({ sourceOf }: Sharing) {
  const made = new Map<number, SharedKeys>();
  return (index: number, { kvHeads, headDim, window }: Omit<BlockMemory, 'kind'>) => {
    const source = sourceOf(index);
    if (source === undefined) return undefined;
    if (source === index) made.set(index, sharedKeys({ kvHeads, headDim, window }));
    return { keys: made.get(source)!, reads: source !== index };
  };
}

/** Tells the tensors of keys and values that files have of such layers all the same. */
export const unusedKeys =
  (from: number, layers: number) =>
  (name: string): boolean => {
    const found =
      /(?:^blk|\blayers)\.(\d+)\.(self_attn\.(k_proj|v_proj|k_norm|v_norm)|attn_(k|v|k_norm|v_norm))\./.exec(name);
    const layer = Number(found?.[1] ?? -1);
    return layer >= from && layer < layers;
  };
