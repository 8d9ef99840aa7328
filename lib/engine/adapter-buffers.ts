// The adapters of a batch on the device: for every layer that one of them has, a buffer with a place for each slot.
//
// Pairs are copied in, padded with zeros up to the largest rank that was seen, which grows as adapters come.
import type { Device } from '../device.js';
import type { Adapter } from '../lora/adapter.js';
import { kernels } from '../native.js';
import type { LoraGroups } from '../ops/lora.js';
import { zeros } from '../ops/random.js';
import { keep } from '../scope.js';
import { type Tensor, tensor, viewOf } from '../tensor.js';

interface Layer {
  a: Tensor;
  b: Tensor;
  scalings: Tensor;
  /** What `scalings` holds. */
  scales: Float32Array;
}

export class AdapterBuffers {
  readonly #layers = new Map<string, Layer>();
  #rank = 8;
  #state = 0;

  constructor(
    private readonly model: { readonly device: Device; readonly weights: ReadonlyMap<string, Tensor> },
    private readonly slots: number,
    private readonly maxRank: number,
  ) {}

  /** Changes when `groups` gives other tensors than before. */
  get state(): number {
    return this.#state;
  }

  /** Copies an adapter into a slot. @throws Error if its rank is too large, or it is not for this model. */
  load(slot: number, adapter: Adapter): void {
    const rank = Math.max(...Array.from(adapter.pairs.values(), ({ a }) => a.dim(0)));
    if (rank > this.maxRank)
      throw new RangeError(`the adapter's rank is ${rank}, more than the engine's maxLoraRank of ${this.maxRank}`);
    for (const [path, { a, b }] of adapter.pairs) {
      const weight = this.model.weights.get(`${path}.weight`);
      if (!weight || weight.dim(0) !== b.dim(0) || weight.dim(1) !== a.dim(1))
        throw new RangeError(`the adapter is not for this model: '${path}' is missing or of another shape`);
    }
    if (rank > this.#rank) this.#widen(rank);
    for (const [path, { a, b }] of adapter.pairs) if (!this.#layers.has(path)) this.#open(path, a.dim(1), b.dim(0));
    for (const [path, layer] of this.#layers) {
      const pair = adapter.pairs.get(path);
      const places = [layer.a, layer.b].map((x) =>
        viewOf(x, x.shape.slice(1), x.strides.slice(1), slot * x.strides[0]!),
      );
      for (const [i, place] of places.entries()) {
        kernels.fill(place.handle, 0);
        const part = pair && (i === 0 ? pair.a : pair.b);
        if (!part) continue;
        using into = viewOf(place, part.shape, place.strides);
        kernels.copy(into.handle, part.handle);
      }
      for (const place of places) place.dispose();
      layer.scales[slot] = pair?.scaling ?? 0;
      layer.scalings.write(layer.scales);
    }
  }

  /** What each layer adds to the rows that `order` and `segments` name. */
  groups(order: Tensor, segments: Tensor): Map<string, LoraGroups> {
    const out = new Map<string, LoraGroups>();
    for (const [path, { a, b, scalings }] of this.#layers) out.set(path, { a, b, scalings, order, segments });
    return out;
  }

  dispose(): void {
    for (const layer of this.#layers.values()) dispose(layer);
    this.#layers.clear();
  }

  #open(path: string, inputs: number, outputs: number): Layer {
    const { device } = this.model;
    const layer = {
      a: keep(zeros([this.slots, this.#rank, inputs], { device })),
      b: keep(zeros([this.slots, outputs, this.#rank], { device })),
      scalings: keep(tensor(new Float32Array(this.slots), { device })),
      scales: new Float32Array(this.slots),
    };
    this.#layers.set(path, layer);
    this.#state++;
    return layer;
  }

  // Makes room for pairs of a larger rank beside what is there.
  #widen(rank: number): void {
    this.#rank = 2 ** Math.ceil(Math.log2(rank));
    for (const [path, before] of [...this.#layers]) {
      const layer = this.#open(path, before.a.dim(2), before.b.dim(1));
      for (const [to, from] of [[layer.a, before.a] as const, [layer.b, before.b] as const]) {
        using into = viewOf(to, from.shape, to.strides);
        kernels.copy(into.handle, from.handle);
      }
      layer.scales.set(before.scales);
      layer.scalings.write(layer.scales);
      dispose(before);
    }
  }
}

function dispose({ a, b, scalings }: Layer): void {
  for (const x of [a, b, scalings]) x.dispose();
}
