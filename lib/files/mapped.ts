// A file mapped read-only into memory: tensors in it use the file's pages where they lie.
import { statSync } from 'node:fs';
import { device } from '../core/device.js';
import { type AnyDType, blockElements, bytesOf, dtypeCode } from '../core/dtype.js';
import { type FileHandle, native } from '../core/native.js';
import { checkShape, type Shape, sizeOf, stridesOf, Tensor } from '../core/tensor.js';

export class MappedFile {
  #handle: FileHandle | undefined;

  private constructor(
    readonly path: string,
    /** The file's size. */
    readonly bytes: number,
    handle: FileHandle,
  ) {
    this.#handle = handle;
  }

  /** @throws Error that names the file and the system's reason. */
  static open(path: string): MappedFile {
    // The opening of a FIFO waits for its writer, and a device has no size.
    const file = statSync(path, { throwIfNoEntry: false });
    if (file && !file.isFile() && !file.isDirectory()) throw new Error(`${path}: is not a regular file`);
    const { handle, bytes } = native.mapFile(path);
    return new MappedFile(path, bytes, handle);
  }

  /** A copy of some bytes. @throws RangeError if they are not all inside the file. */
  read(offset: number, length: number): Uint8Array {
    return native.mappedBytes(this.#check(offset, length), offset, length);
  }

  /**
   * A CPU tensor over the file's bytes, copied only where the offset does not suit the format.
   *
   * @throws RangeError if the tensor is not all inside the file.
   */
  tensor(offset: number, shape: Shape, dtype: AnyDType): Tensor {
    checkShape(this.path, shape);
    const size = sizeOf(shape);
    if (size % blockElements(dtype) !== 0) {
      throw new RangeError(
        `${this.path}: a ${dtype} tensor [${shape}] does not fill its blocks of ${blockElements(dtype)}`,
      );
    }
    const handle = this.#check(offset, bytesOf(dtype, size));
    return new Tensor(
      native.mappedTensor(handle, offset, dtypeCode(dtype), ...shape),
      shape,
      stridesOf(shape),
      dtype,
      device('cpu'),
    );
  }

  /** Gives the mapping up. Tensors made from it keep it alive until they are disposed of. */
  close(): void {
    if (this.#handle) native.unmap(this.#handle);
    this.#handle = undefined;
  }

  #check(offset: number, length: number): FileHandle {
    if (!this.#handle) throw new Error(`${this.path}: used after close()`);
    if (
      !Number.isSafeInteger(offset) ||
      !Number.isSafeInteger(length) ||
      offset < 0 ||
      length < 0 ||
      offset + length > this.bytes
    ) {
      throw new RangeError(
        `${this.path}: bytes ${offset} to ${offset + length} are outside the file of ${this.bytes} bytes`,
      );
    }
    return this.#handle;
  }
}

/** Maps a file read-only. @throws Error that names the file and the system's reason. */
export const mapFile = (path: string): MappedFile => MappedFile.open(path);
