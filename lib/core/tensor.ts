// Tensor: a shaped view of numbers on one device. Making one costs no bytes until an op writes it.
import type { History } from './autograd.js';
import { type Device, device as deviceOf } from './device.js';
import { type AnyDType, bytesOf, type DType, dtypeCode, isFloat } from './dtype.js';
import { type Handle, kernels, native } from './native.js';
import { keep, made } from './scope.js';

export type Shape = readonly number[];
export type TypedArray = Float32Array | Int32Array | Uint8Array;
export type Nested = number | boolean | readonly Nested[];

export interface TensorOptions {
  /** Default: `'f32'`, or the array's own format for an `Int32Array` or a `Uint8Array`. */
  dtype?: DType;
  device?: string | Device;
  /** Whether `backward` leaves a gradient here. */
  requiresGrad?: boolean;
}

export class Tensor {
  /** How this tensor was made, if a gradient can flow through it. */
  history?: History | undefined;
  /** What `backward` left here. */
  grad?: Tensor | undefined;
  requiresGrad = false;
  /** @internal The tensors of the scope that will dispose of this one. */
  madeIn: Set<Tensor> | undefined;
  #handle: Handle | undefined;

  /** For `empty`, `viewOf` and the loaders only; other code makes tensors by ops. */
  constructor(
    handle: Handle,
    readonly shape: Shape,
    /** Elements (not bytes) from one index to the next, per axis. */
    readonly strides: Shape,
    readonly dtype: AnyDType,
    readonly device: Device,
  ) {
    this.#handle = handle;
    made(this);
  }

  /** @throws Error after `dispose()`. */
  get handle(): Handle {
    if (!this.#handle) throw new Error(`a tensor [${this.shape}] was used after dispose()`);
    return this.#handle;
  }

  get disposed(): boolean {
    return !this.#handle;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** The number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** The size of one axis; a negative axis counts from the last. */
  dim(axis: number): number {
    const size = this.shape[axis < 0 ? this.rank + axis : axis];
    if (size === undefined) throw new RangeError(`dim: axis ${axis} of a tensor [${this.shape}]`);
    return size;
  }

  get contiguous(): boolean {
    let expected = 1;
    for (let i = this.rank - 1; i >= 0; i--) {
      if (this.shape[i] === 1) continue;
      if (this.strides[i] !== expected) return false;
      expected *= this.shape[i]!;
    }
    return true;
  }

  /**
   * Waits for every op queued so far on this device, then copies the numbers out: a `Float32Array` for floating-point
   * tensors, an `Int32Array` for i32, a `Uint8Array` for u8 and bool.
   *
   * @throws Error (as a rejection) with the kernel's name, if an op that this tensor depends on failed.
   */
  async data(): Promise<TypedArray> {
    if (isFloat(this.dtype)) return new Float32Array(await this.#read('f32'));
    if (this.dtype === 'i32') return new Int32Array(await this.#read('i32'));
    if (this.dtype === 'u8' || this.dtype === 'bool') return new Uint8Array(await this.#read(this.dtype));
    throw new TypeError(`data: a ${this.dtype} tensor holds blocks: dequantize it first`);
  }

  /** The stored bytes of a tensor, row by row, in its own format. Waits as `data()` does. */
  async bytes(): Promise<Uint8Array> {
    return new Uint8Array(await this.#read(this.dtype));
  }

  /**
   * The number in a tensor of one element. Waits as `data()` does.
   *
   * @throws RangeError if there is not exactly one.
   */
  async item(): Promise<number> {
    if (this.size !== 1) throw new RangeError(`item: takes a tensor of one element, got [${this.shape}]`);
    return (await this.data())[0]!;
  }

  /** Overwrites the elements, in the order of the queue. The tensor is contiguous and of the array's format. */
  write(values: TypedArray): void {
    const bytes = bytesOf(this.dtype, this.size);
    if (!this.contiguous || values.byteLength !== bytes) {
      throw new RangeError(`write: ${values.byteLength} bytes for a ${this.dtype} tensor [${this.shape}] of ${bytes}`);
    }
    if (bytes > 0) native.write(this.handle, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }

  /** Frees the tensor now. Ops already queued still see it; doing it twice is fine. */
  dispose(): void {
    if (!this.#handle) return;
    native.release(this.#handle);
    this.#handle = undefined;
    keep(this); // no scope need hold it any longer
    this.history = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `Tensor ${this.dtype} [${this.shape}] on ${this.device}`;
  }

  async #read(dtype: AnyDType): Promise<ArrayBuffer> {
    const into = this.#room(dtype);
    if (this.dtype === dtype && this.contiguous) return native.read(this.handle, into);
    const copy = native.create(dtypeCode(dtype), this.device.kind, this.device.index, ...this.shape);
    kernels.copy(copy, this.handle);
    const bytes = native.read(copy, into);
    native.release(copy);
    return bytes;
  }

  #room(dtype: AnyDType): ArrayBuffer {
    const bytes = bytesOf(dtype, this.size);
    try {
      return new ArrayBuffer(bytes);
    } catch {
      throw new RangeError(`data: JavaScript has no room for the ${bytes} bytes of a tensor [${this.shape}]`);
    }
  }
}

export function sizeOf(shape: Shape): number {
  let size = 1;
  for (let i = 0; i < shape.length; i++) size *= shape[i]!;
  return size;
}

/** Row-major strides, in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= shape[i]!;
  }
  return strides;
}

const maxRank = 6;

export function checkShape(name: string, shape: Shape): void {
  if (shape.length > maxRank) throw new RangeError(`${name}: at most ${maxRank} axes, got [${shape}]`);
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`${name}: [${shape}] is not a shape`);
  }
  if (!Number.isSafeInteger(sizeOf(shape) * 4)) throw new RangeError(`${name}: [${shape}] has too many elements`);
}

/** A tensor whose numbers are not set yet: an op must write it before anything reads it. */
export function empty(shape: Shape, options: { dtype?: AnyDType; device?: string | Device } = {}): Tensor {
  checkShape('empty', shape);
  const dtype = options.dtype ?? 'f32';
  const device = deviceOf(options.device);
  const handle = native.create(dtypeCode(dtype), device.kind, device.index, ...shape);
  return new Tensor(handle, shape, stridesOf(shape), dtype, device);
}

/** Another view of a tensor's storage: no bytes move. `offset` counts elements from where `x` starts. */
export function viewOf(x: Tensor, shape: Shape, strides: Shape, offset = 0): Tensor {
  return new Tensor(native.view(x.handle, offset, ...shape, ...strides), shape, strides, x.dtype, x.device);
}

/**
 * Waits until these tensors are computed, whatever else the device does.
 *
 * @throws Error (as a rejection) with the kernel's name, if an op that one of them depends on failed.
 */
export async function computed(tensors: Iterable<Tensor>): Promise<void> {
  const one = async (x: Tensor): Promise<void> => {
    using first = viewOf(x, [1], [1]);
    await first.bytes();
  };
  await Promise.all(Array.from(tensors, (x) => (x.size > 0 ? one(x) : undefined)));
}

/**
 * A tensor of the given numbers: a number, nested arrays, or a typed array with a `shape` (default: one axis).
 *
 * @throws RangeError if nested arrays are ragged, or if the shape does not hold the numbers.
 */
export function tensor(values: Nested | TypedArray, options: TensorOptions & { shape?: Shape } = {}): Tensor {
  const typed = isTyped(values);
  const natural: DType = values instanceof Int32Array ? 'i32' : values instanceof Uint8Array ? 'u8' : 'f32';
  const dtype = options.dtype ?? natural;
  const shape = options.shape ?? (typed ? [values.length] : shapeOf(values));
  checkShape('tensor', shape);
  const flat = typed ? values : flatten(values, shape, dtype);
  if (flat.length !== sizeOf(shape)) throw new RangeError(`tensor: ${flat.length} numbers for the shape [${shape}]`);

  // The bytes cross in a format that JavaScript has; the copy kernel narrows them where that is not the asked one.
  const crossing: DType = flat instanceof Int32Array ? 'i32' : flat instanceof Uint8Array ? 'u8' : 'f32';
  const direct = crossing === dtype || (crossing === 'u8' && dtype === 'bool' && !typed);
  let out = empty(shape, { dtype: direct ? dtype : crossing, ...(options.device ? { device: options.device } : {}) });
  out.write(flat);
  if (!direct) {
    const cast = empty(shape, { dtype, device: out.device });
    kernels.copy(cast.handle, out.handle);
    out.dispose();
    out = cast;
  }
  out.requiresGrad = options.requiresGrad ?? false;
  return out;
}

function isTyped(values: Nested | TypedArray): values is TypedArray {
  return ArrayBuffer.isView(values);
}

function shapeOf(values: Nested): number[] {
  const shape: number[] = [];
  for (let level = values; Array.isArray(level); level = level[0] as Nested) {
    shape.push(level.length);
    // An array that holds itself has no end.
    if (level.length === 0 || shape.length > maxRank) break;
  }
  return shape;
}

function flatten(values: Nested, shape: Shape, dtype: DType): TypedArray {
  const size = sizeOf(shape);
  const flat =
    dtype === 'i32'
      ? new Int32Array(size)
      : dtype === 'u8' || dtype === 'bool'
        ? new Uint8Array(size)
        : new Float32Array(size);
  let at = 0;
  const visit = (value: Nested, depth: number): void => {
    if (Array.isArray(value)) {
      if (value.length !== shape[depth]) throw new RangeError(`tensor: the nested arrays are ragged at depth ${depth}`);
      for (const item of value) visit(item, depth + 1);
    } else {
      if (depth !== shape.length) throw new RangeError(`tensor: the nested arrays are ragged at depth ${depth}`);
      flat[at++] = Number(value);
    }
  };
  visit(values, 0);
  return flat;
}
