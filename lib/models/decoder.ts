// The decoder that all architectures share, steered by its DecoderConfig.
//
// One block: x += o(attention(rope(q), rope(k), v)), x += down(silu(gate) · up), each after an RMSNorm of x. Sequences
// are packed end to end without padding; `boundaries` tells them apart. Training, prompts and single decoding steps all
// run through the same code, with or without a KV cache.
import { checkpointSteps, gradEnabled } from '../core/autograd.js';
import type { Device } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { keep } from '../core/scope.js';
import { finish, paced, type Steps, within } from '../core/steps.js';
import { type Tensor, tensor } from '../core/tensor.js';
import type { Adapter } from '../lora/adapter.js';
import { attentionSteps } from '../ops/attention.js';
import { embedding } from '../ops/embedding.js';
import { swiglu } from '../ops/gated.js';
import { linearCrossEntropySteps, type Scored } from '../ops/loss.js';
import { matmul } from '../ops/matmul.js';
import { rmsNorm } from '../ops/norm.js';
import { pagedAppend, pagedAttention } from '../ops/paged.js';
import { rope } from '../ops/rope.js';
import { reshape } from '../ops/view.js';
import { applyLinear, DropoutStream, type Linear, type LowRankBatch } from '../parts/linear.js';
import type { CacheStep } from './cache.js';
import type { DecoderConfig } from './config.js';

/** Sequences laid end to end. */
export interface Packed {
  /** i32 `[total]` */
  tokens: Tensor;
  /** i32 `[total]`, from 0 in each sequence */
  positions: Tensor;
  /** i32 `[sequences + 1]`: where each sequence starts, and the total */
  boundaries: Tensor;
  /** Tokens of the longest sequence, where known. */
  longest?: number;
}

export interface ForwardOptions {
  adapter?: Adapter | LowRankBatch | undefined;
  /** Reads and extends a KV cache instead of attending within the batch alone. */
  cache?: CacheStep | undefined;
  /** Turns the adapter's dropout on, with masks that follow from the seed. */
  dropoutSeed?: number | undefined;
  /** Keeps only the blocks' inputs, and computes each block again in the backward pass. */
  checkpointing?: boolean | undefined;
}

interface Block {
  inputNorm: Tensor;
  q: Linear;
  k: Linear;
  v: Linear;
  o: Linear;
  postNorm: Tensor;
  gate: Linear;
  up: Linear;
  down: Linear;
}

/** Lays sequences of token ids end to end. */
export function packed(sequences: readonly (readonly number[])[], device: Device): Packed {
  const boundaries = new Int32Array(sequences.length + 1);
  sequences.forEach((ids, i) => {
    boundaries[i + 1] = boundaries[i]! + ids.length;
  });
  const tokens = new Int32Array(boundaries[sequences.length]!);
  const positions = new Int32Array(tokens.length);
  sequences.forEach((ids, i) => {
    tokens.set(ids, boundaries[i]);
    for (let n = 0; n < ids.length; n++) positions[boundaries[i]! + n] = n;
  });
  return {
    tokens: tensor(tokens, { device }),
    positions: tensor(positions, { device }),
    boundaries: tensor(boundaries, { device }),
    longest: Math.max(0, ...sequences.map(({ length }) => length)),
  };
}

export class Decoder {
  readonly #blocks: readonly Block[];
  readonly #embedding: Tensor;
  readonly #norm: Tensor;
  readonly #head: Tensor;
  readonly #frequencies: Tensor;

  /** `weights` by checkpoint names, complete and of the right shapes: see loadWeights. */
  constructor(
    readonly config: DecoderConfig,
    readonly weights: ReadonlyMap<string, Tensor>,
    readonly device: Device,
    readonly dtype: DType,
  ) {
    const weight = (name: string): Tensor => weights.get(`${name}.weight`)!;
    const layer = (path: string): Linear => ({ path, weight: weight(path), bias: weights.get(`${path}.bias`) });
    this.#embedding = weight('model.embed_tokens');
    this.#norm = weight('model.norm');
    this.#head = config.tied ? this.#embedding : weight('lm_head');
    this.#frequencies = keep(tensor(config.rope.frequencies, { device }));
    this.#blocks = Array.from({ length: config.layers }, (_, i) => {
      const block = `model.layers.${i}`;
      return {
        inputNorm: weight(`${block}.input_layernorm`),
        q: layer(`${block}.self_attn.q_proj`),
        k: layer(`${block}.self_attn.k_proj`),
        v: layer(`${block}.self_attn.v_proj`),
        o: layer(`${block}.self_attn.o_proj`),
        postNorm: weight(`${block}.post_attention_layernorm`),
        gate: layer(`${block}.mlp.gate_proj`),
        up: layer(`${block}.mlp.up_proj`),
        down: layer(`${block}.mlp.down_proj`),
      };
    });
  }

  /** Every linear layer's module path, the output projection left out. */
  linearPaths(): string[] {
    return this.#blocks.flatMap(({ q, k, v, o, gate, up, down }) =>
      [q, k, v, o, gate, up, down].map(({ path }) => path),
    );
  }

  /** The hidden states after the final norm: `[total, hidden]`. */
  hidden(batch: Packed, options: ForwardOptions = {}): Tensor {
    return finish(this.#hidden(batch, options));
  }

  *#hidden(batch: Packed, options: ForwardOptions): Steps<Tensor> {
    // On the CPU everything between the weights is f32: widening there costs nothing, and rounding would cost accuracy.
    // A GPU's tensor cores take both operands in one format, so there it is the weights'.
    const dtype = this.device.name === 'cpu' ? 'f32' : this.dtype;
    let x = embedding(this.#embedding, batch.tokens, { dtype });
    for (const [i, block] of this.#blocks.entries()) {
      const masks = (): DropoutStream | undefined =>
        options.dropoutSeed === undefined ? undefined : new DropoutStream(options.dropoutSeed + i);
      const run = (input: Tensor): Steps<Tensor> => this.#block(block, i, input, batch, options, masks());
      x = yield* options.checkpointing && gradEnabled() ? checkpointSteps(run, x) : run(x);
      yield;
    }
    return rmsNorm(x, this.#norm, { eps: this.config.normEps });
  }

  /** Logits of hidden states: f32 `[rows, vocab]`. */
  logits(hidden: Tensor): Tensor {
    return matmul(hidden, this.#head, { transposeB: true, dtype: 'f32' });
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
    return yield* linearCrossEntropySteps(hidden, this.#head, targets);
  }

  dispose(): void {
    for (const weight of this.weights.values()) weight.dispose();
    this.#frequencies.dispose();
  }

  *#block(
    block: Block,
    index: number,
    x: Tensor,
    batch: Packed,
    options: ForwardOptions,
    masks?: DropoutStream,
  ): Steps<Tensor> {
    const { normEps: eps } = this.config;
    const { adapter } = options;
    const mixed = yield* this.#attention(block, index, rmsNorm(x, block.inputNorm, { eps }), batch, options, masks);
    yield;
    const middle = yield* applyLinear(block.o, mixed, { adapter, masks, residual: x });
    const y = rmsNorm(middle, block.postNorm, { eps });
    yield;
    const gate = yield* applyLinear(block.gate, y, { adapter, masks });
    yield;
    const up = yield* applyLinear(block.up, y, { adapter, masks });
    yield;
    const gated = swiglu(gate, up);
    yield;
    return yield* applyLinear(block.down, gated, { adapter, masks, residual: middle });
  }

  *#attention(
    block: Block,
    index: number,
    x: Tensor,
    batch: Packed,
    options: ForwardOptions,
    masks?: DropoutStream,
  ): Steps<Tensor> {
    const { heads, kvHeads, headDim, attentionScale: scale, rope: settings } = this.config;
    const total = x.dim(0);
    const project = function* (layer: Linear, count: number): Steps<Tensor> {
      return reshape(yield* applyLinear(layer, x, { adapter: options.adapter, masks }), [total, count, headDim]);
    };
    const turn = (y: Tensor): Tensor =>
      rope(y, batch.positions, this.#frequencies, { factor: settings.factor, interleaved: settings.interleaved });
    const q = turn(yield* project(block.q, heads));
    yield;
    const k = turn(yield* project(block.k, kvHeads));
    const v = yield* project(block.v, kvHeads);
    yield;
    const { boundaries, longest } = batch;
    const { cache } = options;
    if (!cache) {
      const mixed = yield* attentionSteps(q, k, v, { boundaries, scale, longest });
      return reshape(mixed, [total, heads * headDim]);
    }
    const keys = cache.keys[index]!;
    const values = cache.values[index]!;
    pagedAppend(keys, values, k, v, cache.slots);
    const { blockTables, lengths } = cache;
    return reshape(pagedAttention(q, keys, values, { blockTables, boundaries, lengths, scale }), [
      total,
      heads * headDim,
    ]);
  }
}
