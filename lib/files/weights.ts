// Weights by name: the interface that safetensors files, folders of shards and GGUF files share, and what the two kinds of
// file do alike once their headers are read.

import type { Tensor } from '../core/tensor.js';
import { shown } from '../flow/fault.js';
import type { AnyDType } from '../formats/index.js';
import { pointerBytes, refusePointer } from './lfs-pointer.js';
import { type MappedFile, mapFile } from './mapped.js';

/** Where a tensor lies: `shape` in row-major order, `offset` in bytes from the beginning of its file. */
export interface WeightInfo {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

/** Named tensors in an open file, or in several. */
export interface Weights {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, WeightInfo>;
  /**
   * The tensor `name` on the CPU, in place where the file's alignment allows.
   *
   * @throws Error if there is none, or none that can be loaded.
   */
  tensor(name: string): Tensor;
  /** A copy of the bytes of tensor `name`, of any dtype. */
  read(name: string): Uint8Array;
  close(): void;
  [Symbol.dispose](): void;
}

/** Maps a file and reads its header by `read`, which takes the file over unless it throws. */
export function openMapped<W extends Weights>(path: string, read: (file: MappedFile) => W): W {
  const file = mapFile(path);
  try {
    refusePointer(path, file.read(0, Math.min(file.bytes, pointerBytes)));
    return read(file);
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * The tensors that lie in a mapped file; closing them closes the file. `format` is the format to load one in.
 *
 * @throws what `format` throws for a tensor that cannot be loaded.
 */
export function mappedWeights<Info extends WeightInfo>(
  file: MappedFile,
  tensors: ReadonlyMap<string, Info>,
  format: (name: string, info: Info) => AnyDType,
): Weights & { readonly tensors: ReadonlyMap<string, Info> } {
  const info = (name: string): Info => {
    const found = tensors.get(name);
    if (found === undefined) throw new Error(`${file.path}: there is no tensor ${shown(name)}`);
    return found;
  };
  const close = (): void => file.close();
  return {
    path: file.path,
    tensors,
    tensor(name) {
      const found = info(name);
      return file.tensor(found.offset, found.shape, format(name, found));
    },
    read(name) {
      const { offset, bytes } = info(name);
      return file.read(offset, bytes);
    },
    close,
    [Symbol.dispose]: close,
  };
}
