// Part: a piece of a model. It declares what it stores (weights), what it keeps of each sequence (memory) and what it
// costs (FLOPs), and it computes. Everything else about a model is derived from its parts: the names and shapes of its
// weights in every file format, the linear layers that LoRA may target, the bytes of the KV cache.
import type { Steps } from '../core/steps.js';
import type { Tensor } from '../core/tensor.js';
import type { Link } from './link.js';
import type { DropoutStream, LowRankBatch, LowRankSet } from './low-rank.js';
import type { Kept, Memory } from './memory.js';

/** A module's name in a checkpoint, and what its tensors are called in a GGUF file. */
export interface Place {
  readonly path: string;
  readonly gguf: string;
}

/** Names modules inside another: `inside(layer)('mlp.up_proj', 'ffn_up')`. */
export type Inside = (path: string, gguf: string) => Place;

export const inside =
  (outer: Place): Inside =>
  (path, gguf) => ({ path: `${outer.path}.${path}`, gguf: `${outer.gguf}.${gguf}` });

/** A tensor of a file that holds some of a weight's elements. */
export interface Piece {
  readonly name: string;
  readonly shape: readonly number[];
  /** The tensor is bytes of MXFP4 blocks; this one has their exponents. The view has an axis of rows and one of columns last. */
  readonly exponents?: Pick<Piece, 'name' | 'shape'> | undefined;
  /** A view of the weight's elements that the tensor holds, in the tensor's order. */
  part(weight: Tensor): Tensor;
  /** A view of the tensor's elements that are meant, where not all are. */
  from?(stored: Tensor): Tensor;
}

export interface Weight {
  /** In a checkpoint, such as `model.layers.0.mlp.up_proj.weight`. */
  readonly name: string;
  readonly shape: readonly number[];
  /** How a GGUF file has it. */
  readonly gguf: {
    readonly name: string;
    /** For each row of the checkpoint's tensor, the row of the file's. Default: the same. */
    readonly rows?: Int32Array | undefined;
    /** The same for columns. */
    readonly columns?: Int32Array | undefined;
    /** The file has the checkpoint's numbers plus this. Default 0. */
    readonly shift?: number | undefined;
    /** The file's shape, where not the same: as many numbers in the same order. */
    readonly stored?: readonly number[] | undefined;
    /** The tensors that a file has instead of one of this name. */
    readonly pieces?: readonly Piece[] | undefined;
    /** Makes the checkpoint's numbers of the file's, where they are another function of them. */
    readonly read?: ((x: Tensor) => Tensor) | undefined;
  };
  /** What it and its pieces are called where they are saved, where not the same; such names are read too. */
  readonly saved?: ((name: string) => string) | undefined;
  /** The checkpoint's shape, where it has axes of size 1 besides; a GGUF file has none. */
  readonly stored?: readonly number[] | undefined;
  /** A checkpoint stores the matrix the other way round, as `[in, out]`; a GGUF file does not. */
  readonly transposed?: boolean | undefined;
  /** The tensors that a checkpoint may have instead of one of this name; they are what is saved. */
  readonly pieces?: readonly Piece[] | undefined;
  /** Its format, whatever the model's is. */
  readonly dtype?: 'f32' | undefined;
  /** The same of checkpoints whose weights are MXFP4. */
  readonly packed?: readonly Piece[] | undefined;
  /** The share of it that one token is multiplied with. Default all. */
  readonly share?: number | undefined;
  /** A module that LoRA may target by this path; the weight is `[out, in]`. */
  readonly module?: string | undefined;
  /** What LoRA may target as a parameter, by this path of transformers 5: `[out, in]`, or `[experts, out, in]`. */
  readonly parameter?: string | undefined;
  /** The parameter has rows from so many bands in turns, which this weight has one after the other. Default 1. */
  readonly parameterBands?: number | undefined;
  /** What a model of random weights begins with. */
  readonly start: 'random' | 0 | 1;
}

/** Multiplications and additions of one forward pass over one sequence. */
export interface Flops {
  /** Products with weights, per token. */
  products: number;
  /** What tokens do with each other, for the whole sequence. */
  mixing: number;
}

export interface Part {
  readonly weights: readonly Weight[];
  /** What it keeps of each sequence, one entry for each layer that does. */
  readonly memory: readonly Memory[];
  /** Numbers that it computes with besides its weights, such as rotary frequencies. */
  readonly constants: readonly Float32Array[];
  /** Sizes that describe it, such as `{ heads: 9, headDim: 64 }`. */
  readonly facts: Readonly<Record<string, number>>;
  /** What it leaves for later parts, and what it needs of earlier ones. Default: nothing. */
  readonly gives?: readonly Link[] | undefined;
  readonly takes?: readonly Link[] | undefined;
  flops(tokens: number): Flops;
  /** `x [tokens, hidden]` gives the same shape; `residual` is added to the result. */
  run(x: Tensor, pass: Pass, residual?: Tensor): Steps<Tensor>;
}

/** Sequences laid end to end, without padding. */
export interface Packed {
  /** i32 `[total]` */
  tokens: Tensor;
  /** i32 `[total]`, from 0 in each sequence */
  positions: Tensor;
  /** i32 `[total]`: the types of tokens, such as 1 in the second text of a pair. Default: all 0 */
  types?: Tensor | undefined;
  /** i32 `[sequences + 1]`: where each sequence starts, and the total */
  boundaries: Tensor;
  /** i32 `[total]`: for each token, how many tokens its sequence has by now, those that are still to be computed included */
  reach: Tensor;
  /** Tokens of the longest sequence, where known. */
  longest?: number;
  /** The sequences in order, where the host knows their sizes. */
  runs?: readonly Run[] | undefined;
}

/** A sequence of a batch whose earlier tokens may be kept. */
export interface Run {
  /** New tokens. */
  readonly count: number;
  /** All of them by now. */
  readonly length: number;
  /** Of its adapter, if any. */
  readonly slot: number | undefined;
}

/** One forward pass, as parts see it. */
export interface Pass {
  readonly batch: Packed;
  readonly adapter?: LowRankSet | LowRankBatch | undefined;
  /** Draws the adapter's dropout masks; undefined where dropout is off. */
  readonly masks?: DropoutStream | undefined;
  weight(name: string): Tensor;
  /** One of the part's `constants` on the device. */
  constant(values: Float32Array): Tensor;
  /** What is kept of the batch's sequences; undefined where the batch is all there is, as in training. */
  kept<M extends Memory>(memory: M): Kept<M> | undefined;
  give(link: Link, x: Tensor): void;
  /** @throws Error if no earlier part of the pass gave it. */
  taken(link: Link): Tensor;
}

/** FLOPs of one token's products with weights. */
export const productFlops = (weights: readonly Weight[]): number =>
  weights.reduce((sum, { shape, share = 1 }) => {
    return shape.length > 1 ? sum + 2 * share * shape.reduce((size, axis) => size * axis, 1) : sum;
  }, 0);
