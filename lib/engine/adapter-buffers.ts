// The adapters of a batch on the device: for every layer that one of them has, a buffer with a place for each slot, and in
// it one for each expert where the layer has experts.
//
// Pairs are copied in. There is room for as many slots as were ever taken at once, and for the largest rank that one has;
// each uses its own: one adapter of a large rank costs the others memory while it is there, and no time.
import { noGrad } from '../core/autograd.js';
import type { Device } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { kernels } from '../core/native.js';
import { keep, scope } from '../core/scope.js';
import { type Tensor, tensor, viewOf } from '../core/tensor.js';
import type { Adapter } from '../lora/adapter.js';
import { sameShape } from '../ops/checks.js';
import type { LoraGroups } from '../ops/lora.js';
import { zeros } from '../ops/random.js';
import { type LowRank, stackedPair } from '../parts/low-rank.js';

interface Layer {
  /** Pairs in a slot: one, or one of each expert. */
  experts: number;
  /** `[slots · experts, r, in]` */
  a: Tensor;
  /** `[slots · experts, out, r]` */
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
  /** Slots that there is room for. */
  #places = 1;
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
    const rank = Math.max(...Array.from(adapter.pairs.values(), rankOf));
    if (rank > this.maxRank)
      throw new RangeError(`the adapter's rank is ${rank}, more than the engine's maxLoraRank of ${this.maxRank}`);
    for (const [path, pair] of adapter.pairs) {
      const { a, b, parameter } = pair;
      const weight = this.model.weights.get(parameter?.weight ?? `${path}.weight`);
      const shape = [...(parameter?.experts === undefined ? [] : [parameter.experts]), b.dim(0), a.dim(1)];
      if (!weight || !sameShape(weight.shape, shape))
        throw new RangeError(`the adapter is not for this model: '${path}' is missing or of another shape`);
    }
    this.#largest[slot] = rank;
    const room = Math.max(leastRoom, doubled(Math.max(...this.#largest)));
    const places = Math.max(this.#places, Math.min(this.slots, doubled(slot + 1)));
    if (room !== this.#rank || places !== this.#places) this.#resize(room, places);
    for (const [path, pair] of adapter.pairs)
      if (!this.#layers.has(path)) this.#open(path, expertsOf(pair), pair.a.dim(1), pair.b.dim(0));
    for (const [path, layer] of this.#layers) {
      const pair = adapter.pairs.get(path);
      const { experts } = layer;
      if (pair)
        scope(() => {
          const { a, b } = noGrad(() => stackedPair(pair));
          copyInto(layer.a, slot * experts, a);
          copyInto(layer.b, slot * experts, b);
        });
      layer.own.fill(pair ? rankOf(pair) : 0, slot * experts, (slot + 1) * experts);
      layer.scales.fill(pair?.scaling ?? 0, slot * experts, (slot + 1) * experts);
      layer.ranks.write(layer.own);
      layer.scalings.write(layer.scales);
    }
  }

  /** What each layer adds to the rows that `order` and `segments` name. */
  groups(order: Tensor, segments: Tensor): Map<string, LoraGroups> {
    const out = new Map<string, LoraGroups>();
    const own = viewOf(segments, [this.#places + 1], [1]);
    for (const [path, { a, b, ranks, scalings }] of this.#layers)
      out.set(path, { a, b, ranks, scalings, order, segments: own });
    return out;
  }

  dispose(): void {
    for (const layer of this.#layers.values()) dispose(layer);
    this.#layers.clear();
    this.#largest.fill(0);
  }

  #open(path: string, experts: number, inputs: number, outputs: number): Layer {
    const { device } = this.model;
    const pairs = this.#places * experts;
    // On a GPU in the weights' format, as a single adapter's pairs are multiplied there too: decoding waits for bytes.
    const dtype = device.name === 'cpu' ? 'f32' : this.model.dtype;
    const [own, scales] = [new Int32Array(pairs), new Float32Array(pairs)];
    const layer = {
      experts,
      a: keep(zeros([pairs, this.#rank, inputs], { dtype, device })),
      b: keep(zeros([pairs, outputs, this.#rank], { dtype, device })),
      ranks: keep(tensor(own, { device })),
      scalings: keep(tensor(scales, { device })),
      own,
      scales,
    };
    this.#layers.set(path, layer);
    this.#state++;
    return layer;
  }

  // Makes room for pairs of another rank and for more slots, and takes along what is there.
  #resize(rank: number, places: number): void {
    const kept = Math.min(rank, this.#rank);
    this.#rank = rank;
    this.#places = places;
    for (const [path, before] of [...this.#layers]) {
      const layer = this.#open(path, before.experts, before.a.dim(2), before.b.dim(1));
      for (const [to, from, shape] of [
        [layer.a, before.a, [before.a.dim(0), kept, before.a.dim(2)]] as const,
        [layer.b, before.b, [before.b.dim(0), before.b.dim(1), kept]] as const,
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

/** The power of 2 that is as large, or the next one. */
const doubled = (count: number): number => 2 ** Math.ceil(Math.log2(count));

/** Copies matrices `[n, ..]` into the corners of the places from `first` on, whose rest becomes 0. */
function copyInto(buffer: Tensor, first: number, matrices: Tensor): void {
  const start = first * buffer.strides[0]!;
  using all = viewOf(buffer, [matrices.dim(0), ...buffer.shape.slice(1)], buffer.strides, start);
  if (all.size > matrices.size) kernels.fill(all.handle, 0);
  using place = viewOf(buffer, matrices.shape, buffer.strides, start);
  kernels.copy(place.handle, matrices.handle);
}

const expertsOf = ({ parameter }: LowRank): number => parameter?.experts ?? 1;

const rankOf = (pair: LowRank): number => pair.a.dim(0) / expertsOf(pair);

function dispose({ a, b, ranks, scalings }: Layer): void {
  for (const x of [a, b, ranks, scalings]) x.dispose();
}
