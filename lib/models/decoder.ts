// Decoder: runs the parts of a model over packed sequences. Training, prompts and single decoding steps all go through the
// same code, with or without a KV cache.
import { checkpointSteps, gradEnabled, noGrad } from '../core/autograd.js';
import type { Device } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { keep, scope } from '../core/scope.js';
import { finish, paced, type Steps, within } from '../core/steps.js';
import { type Tensor, tensor } from '../core/tensor.js';
import type { Adapter } from '../lora/adapter.js';
import type { LoraTarget } from '../lora/targets.js';
import { cast } from '../ops/copy.js';
import type { Scored } from '../ops/loss.js';
import type { Link } from '../parts/link.js';
import { DropoutStream, type LowRankBatch } from '../parts/low-rank.js';
import type { Packed, Pass } from '../parts/part.js';
import type { TextHead } from '../parts/text-head.js';
import { type DecoderConfig, linearPaths, loraTargets, vectorLayers, weightsOf } from './config.js';

export type { Packed } from '../parts/part.js';

export interface ForwardOptions {
  adapter?: Adapter | LowRankBatch | undefined;
  /** Reads and extends what is kept of the sequences, instead of attending within the batch alone. */
  kept?: Pass['kept'] | undefined;
  /** Turns the adapter's dropout on, with masks that follow from the seed. */
  dropoutSeed?: number | undefined;
  /** Keeps only the layers' inputs, and computes each layer again in the backward pass. */
  checkpointing?: boolean | undefined;
}

/** Lays sequences of token ids end to end. */
export function packed(sequences: readonly (readonly number[])[], device: Device): Packed {
  const boundaries = new Int32Array(sequences.length + 1);
  sequences.forEach((ids, i) => {
    boundaries[i + 1] = boundaries[i]! + ids.length;
  });
  const tokens = new Int32Array(boundaries[sequences.length]!);
  const positions = new Int32Array(tokens.length);
  const reach = new Int32Array(tokens.length);
  sequences.forEach((ids, i) => {
    tokens.set(ids, boundaries[i]);
    reach.fill(ids.length, boundaries[i], boundaries[i + 1]);
    for (let n = 0; n < ids.length; n++) positions[boundaries[i]! + n] = n;
  });
  return {
    tokens: tensor(tokens, { device }),
    positions: tensor(positions, { device }),
    boundaries: tensor(boundaries, { device }),
    reach: tensor(reach, { device }),
    longest: Math.max(0, ...sequences.map(({ length }) => length)),
  };
}

export class Decoder {
  readonly #constants = new Map<Float32Array, Tensor>();

  /** `weights` by checkpoint names, complete and of the right shapes: see loadDecoder. */
  constructor(
    readonly config: DecoderConfig,
    readonly weights: ReadonlyMap<string, Tensor>,
    readonly device: Device,
    readonly dtype: DType,
  ) {
    const parts = [config.embedding, ...config.layers, config.norm, ...vectorLayers(config)];
    for (const values of parts.flatMap(({ constants }) => constants)) {
      if (!this.#constants.has(values)) this.#constants.set(values, keep(tensor(values, { device })));
    }
  }

  /** The paths of the linear layers that LoRA may target: all but the output projection. */
  linearPaths(): string[] {
    return linearPaths(this.config);
  }

  /** All that LoRA may target: these layers, and parameters such as those of experts. */
  loraTargets(): LoraTarget[] {
    return loraTargets(this.config);
  }

  get fanInFanOut(): boolean {
    return weightsOf(this.config).some(({ transposed }) => transposed);
  }

  /** The hidden states after the final norm: `[total, hidden]`. */
  hidden(batch: Packed, options: ForwardOptions = {}): Tensor {
    return finish(this.#hidden(batch, options));
  }

  *#hidden(batch: Packed, options: ForwardOptions): Steps<Tensor> {
    const { embedding, layers, norm } = this.config;
    const dtype = this.#between;
    const pass = (links: Map<Link, Tensor>, masks?: DropoutStream): Pass => ({
      batch,
      adapter: options.adapter,
      masks,
      weight: this.#weight,
      constant: this.#constant,
      kept: options.kept ?? (() => undefined),
      give: (link, x) => void links.set(link, x),
      taken(link) {
        const x = links.get(link);
        if (!x) throw new Error(`no earlier part of the pass gave ${link.of}`);
        return x;
      },
    });
    const links = new Map<Link, Tensor>();
    let x = embedding.run(pass(links), dtype);
    for (const [i, layer] of layers.entries()) {
      const takes = (layer.takes ?? []).filter((link) => links.has(link));
      const gives = layer.gives ?? [];
      // A layer that is computed again has links of its own, from the inputs that it had.
      const run = function* (input: Tensor, ...taken: Tensor[]): Steps<Tensor[]> {
        const own = new Map(takes.map((link, n) => [link, taken[n]!]));
        const masks = options.dropoutSeed === undefined ? undefined : new DropoutStream(options.dropoutSeed + i);
        const out = yield* layer.run(input, pass(own, masks));
        return [out, ...gives.flatMap((link) => own.get(link) ?? [])];
      };
      const inputs = [x, ...takes.map((link) => links.get(link)!)] as const;
      const [out, ...given] = yield* options.checkpointing && gradEnabled()
        ? checkpointSteps(run, ...inputs)
        : run(...inputs);
      x = out!;
      given.forEach((y, n) => links.set(gives[n]!, y));
      yield;
    }
    return yield* norm.run(x, pass(links));
  }

  readonly #weight = (name: string): Tensor => this.weights.get(name)!;
  readonly #constant = (values: Float32Array): Tensor => this.#constants.get(values)!;

  // On the CPU everything between the weights is f32: widening there costs nothing, and rounding would cost accuracy.
  // A GPU's tensor cores take both operands in one format, so there it is the weights'.
  get #between(): DType {
    return this.device.name === 'cpu' ? 'f32' : this.dtype;
  }

  /** What the layers of a head of texts make of what its pooling gave. */
  async vector({ layers }: TextHead, pooled: Float64Array): Promise<Float64Array> {
    if (layers.length === 0) return pooled;
    const pass = { weight: this.#weight, constant: this.#constant };
    using out = scope(() =>
      noGrad(() => {
        const x = tensor(Float32Array.from(pooled), { shape: [1, pooled.length], device: this.device });
        return cast(
          layers.reduce((y, layer) => layer.run(y, pass), cast(x, this.#between)),
          'f32',
        );
      }),
    );
    return Float64Array.from(await out.data());
  }

  /** Logits of hidden states: f32 `[rows, vocab]`. */
  logits(hidden: Tensor): Tensor {
    return this.config.head.logits(hidden, this.#weight);
  }

  /**
   * The cross-entropy at each position, f32 `[total]`, and the likeliest tokens: `targets` i32 `[total]` holds the token
   * that follows, or a negative number where nothing is to be learned. The logits are never stored whole.
   *
   * Pauses between steps: the forward pass of a large batch takes a CPU seconds, and a deep model's is hundreds of calls,
   * which would hold the event loop. `inStretch` runs each stretch, for instance under `noGrad`.
   */
  losses(
    batch: Packed,
    targets: Tensor,
    options: ForwardOptions,
    pause: () => Promise<void> | undefined,
    inStretch: <T>(stretch: () => T) => T = (stretch) => stretch(),
  ): Promise<Scored> {
    return paced(within(inStretch, this.#losses(batch, targets, options)), pause);
  }

  *#losses(batch: Packed, targets: Tensor, options: ForwardOptions): Steps<Scored> {
    const hidden = yield* this.#hidden(batch, options);
    return yield* this.config.head.losses(hidden, targets, this.#weight);
  }

  dispose(): void {
    for (const weight of this.weights.values()) weight.dispose();
    for (const constant of this.#constants.values()) constant.dispose();
  }
}
