// The adapters of a batch on the device: for every layer that one of them has, a buffer with a place for each slot.
//
// Pairs are copied in. There is room for the largest rank that a slot has, and each uses its own: one adapter of a large
// rank costs the others memory while it is there, and no time.
import type { Device } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { kernels } from '../core/native.js';
import { keep } from '../core/scope.js';
import { empty, type Tensor, tensor, viewOf } from '../core/tensor.js';
import type { Adapter } from '../lora/adapter.js';
import type { LoraGroups } from '../ops/lora.js';

interface Layer {
  a: Tensor;
  b: Tensor;
  ranks: Tensor;
  scalings: Tensor;
  /** What `ranks` and `scalings` hold. */
  own: Int32Array;
  scales: Float32Array;
}

/** Smaller ranks are not worth buffers of their own. */
const leastRoom = 8;

export class AdapterBuffers {
  readonly #layers = new Map<string, Layer>();
  /** The largest rank of each slot's adapter. */
  readonly #largest: number[];
  #rank = leastRoom;
  #state = 0;

  constructor(
    private readonly model: {
      readonly device: Device;
      readonly dtype: DType;
      readonly weights: ReadonlyMap<string, Tensor>;
    },
    private readonly slots: number,
    private readonly maxRank: number,
  ) {
    this.#largest = new Array<number>(slots).fill(0);
  }

  /** Changes when `groups` gives other tensors than before. */
  get state(): number {
    return this.#state;
  }

  /** Copies an adapter into a slot. @throws Error if its rank is too large, or it is not for this model. */
  load(slot: number, adapter: Adapter): void {
    const rank = Math.max(...Array.from(adapter.pairs.values(), ({ a }) => a.dim(0)));
    if (rank > this.maxRank)
      throw new RangeError(`the adapter's rank is ${rank}, more than the engine's maxLoraRank of ${this.maxRank}`);
    for (const [path, { a, b, parameter }] of adapter.pairs) {
      if (parameter)
        throw new RangeError(
          `the adapter trains the parameter '${path}', which no engine computes beside other adapters: merge it into the model`,
        );
      const weight = this.model.weights.get(`${path}.weight`);
      if (!weight || weight.dim(0) !== b.dim(0) || weight.dim(1) !== a.dim(1))
        throw new RangeError(`the adapter is not for this model: '${path}' is missing or of another shape`);
    }
    this.#largest[slot] = rank;
    const room = Math.max(leastRoom, 2 ** Math.ceil(Math.log2(Math.max(...this.#largest))));
    if (room !== this.#rank) this.#resize(room);
    for (const [path, { a, b }] of adapter.pairs) if (!this.#layers.has(path)) this.#open(path, a.dim(1), b.dim(0));
    for (const [path, layer] of this.#layers) {
      const pair = adapter.pairs.get(path);
      if (pair) {
        copyInto(layer.a, slot, pair.a);
        copyInto(layer.b, slot, pair.b);
      }
      layer.own[slot] = pair?.a.dim(0) ?? 0;
      layer.scales[slot] = pair?.scaling ?? 0;
      layer.ranks.write(layer.own);
      layer.scalings.write(layer.scales);
    }
  }

  /** What each layer adds to the rows that `order` and `segments` name. */
  groups(order: Tensor, segments: Tensor): Map<string, LoraGroups> {
    const out = new Map<string, LoraGroups>();
    for (const [path, { a, b, ranks, scalings }] of this.#layers)
      out.set(path, { a, b, ranks, scalings, order, segments });
    return out;
  }

  dispose(): void {
    for (const layer of this.#layers.values()) dispose(layer);
    this.#layers.clear();
    this.#largest.fill(0);
  }

  #open(path: string, inputs: number, outputs: number): Layer {
    const { device } = this.model;
    // On a GPU in the weights' format, as a single adapter's pairs are multiplied there too: decoding waits for bytes.
    const dtype = device.name === 'cpu' ? 'f32' : this.model.dtype;
    const [own, scales] = [new Int32Array(this.slots), new Float32Array(this.slots)];
    const layer = {
      a: keep(empty([this.slots, this.#rank, inputs], { dtype, device })),
      b: keep(empty([this.slots, outputs, this.#rank], { dtype, device })),
      ranks: keep(tensor(own, { device })),
      scalings: keep(tensor(scales, { device })),
      own,
      scales,
    };
    this.#layers.set(path, layer);
    this.#state++;
    return layer;
  }

  // Makes room for pairs of another rank, and takes along what is there.
  #resize(rank: number): void {
    const kept = Math.min(rank, this.#rank);
    this.#rank = rank;
    for (const [path, before] of [...this.#layers]) {
      const layer = this.#open(path, before.a.dim(2), before.b.dim(1));
      for (const [to, from, shape] of [
        [layer.a, before.a, [this.slots, kept, before.a.dim(2)]] as const,
        [layer.b, before.b, [this.slots, before.b.dim(1), kept]] as const,
      ]) {
        using into = viewOf(to, shape, to.strides);
        using old = viewOf(from, shape, from.strides);
        kernels.copy(into.handle, old.handle);
      }
      layer.own.set(before.own);
      layer.scales.set(before.scales);
      dispose(before);
    }
  }
}

/** Copies a matrix into the corner of the slot's place. */
function copyInto(buffer: Tensor, slot: number, matrix: Tensor): void {
  using place = viewOf(buffer, matrix.shape, buffer.strides.slice(1), slot * buffer.strides[0]!);
  kernels.copy(place.handle, matrix.handle);
}

function dispose({ a, b, ranks, scalings }: Layer): void {
  for (const x of [a, b, ranks, scalings]) x.dispose();
}
