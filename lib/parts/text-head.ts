// Text heads: what becomes of a text's hidden states in a model of vectors or scores. They are pooled to one vector, which
// goes through layers: matrices with an activation, norms, or the difference of two tokens' logits.
import type { Tensor } from '../core/tensor.js';
import { sub } from '../ops/elementwise.js';
import { matmul } from '../ops/matmul.js';
import { slice } from '../ops/view.js';
import type { HeadPart } from './head.js';
import { type LinearOptions, linearLayer } from './linear.js';
import { type Activation, activations } from './mlp.js';
import { type NormOptions, normOf } from './norm.js';
import type { Pass, Place, Weight } from './part.js';
import type { PoolingKind } from './pooling.js';

/** What of a pass layers of vectors see. */
export type VectorPass = Pick<Pass, 'weight' | 'constant'>;

/** A layer behind the pooling. */
export interface VectorLayer {
  readonly weights: readonly Weight[];
  readonly constants: readonly Float32Array[];
  /** Numbers of what it makes. */
  readonly size: number;
  /** `x [1, in]` gives `[1, size]`. */
  run(x: Tensor, pass: VectorPass): Tensor;
}

export interface TextHead {
  /** The vectors of several kinds are joined. */
  readonly pooling: readonly PoolingKind[];
  readonly layers: readonly VectorLayer[];
  /** Numbers of the vector. */
  readonly size: number;
}

/** A text as a vector: an embedding. */
export interface Embedder extends TextHead {
  /** Whether vectors are made of length 1. */
  readonly normalizes: boolean;
  /** Whether the tokens of a prompt count in the pooling. */
  readonly countsPrompt: boolean;
  /** Whether texts are put into lower case first. */
  readonly lowercases: boolean;
  /** What is put before texts, by name. */
  readonly prompts: Readonly<Record<string, string>>;
  /** The name of the prompt that texts get where none is asked for. */
  readonly defaultPrompt: string | undefined;
  /** Tokens of the longest text, special tokens included, where fewer than the model's context. */
  readonly maxLength: number | undefined;
  /** Folders inside the model's that hold what stands behind the model. */
  readonly folders?: readonly string[] | undefined;
}

/** What is taken where a model's files do not say. */
export const plainEmbedder: Omit<Embedder, 'size'> = {
  pooling: ['mean'],
  layers: [],
  normalizes: true,
  countsPrompt: true,
  lowercases: false,
  prompts: {},
  defaultPrompt: undefined,
  maxLength: undefined,
};

/** A query and a text as a number: how relevant the text is. */
export interface Ranker extends TextHead {
  /** Whether a score is `sigmoid(logit)` or the logit itself. */
  readonly sigmoid: boolean;
  /** What a model reads that is asked in words; default: query and text as the tokenizer's pair. */
  readonly asks?: RankPrompt | undefined;
  /** The question is what the chat template writes of the roles `query` and `document`, where it knows them. */
  readonly inChat?: boolean | undefined;
  readonly maxLength: number | undefined;
}

/** The question of a reranker that answers in words. */
export interface RankPrompt {
  readonly instruction: string;
  readonly before: string;
  readonly after: string;
  /** What stands between the two: the query, the text and the instruction. */
  between(query: string, text: string, instruction: string): string;
}

/** `activation(W x + b)`, which LoRA does not target. */
export function vectorLinear(
  place: Place,
  options: Pick<LinearOptions, 'in' | 'out' | 'bias'> & { activation?: Activation | undefined },
): VectorLayer {
  const { weights, bias, path } = linearLayer(place, options);
  const activate = options.activation ? activations[options.activation] : undefined;
  return {
    weights: weights.map(({ module: _, ...weight }) => weight),
    constants: [],
    size: options.out,
    run(x, pass) {
      const y = matmul(x, pass.weight(`${path}.weight`), {
        transposeB: true,
        bias: bias ? pass.weight(`${path}.bias`) : undefined,
        dtype: x.dtype as 'f32',
      });
      return activate ? activate(y) : y;
    },
  };
}

export function vectorNorm(place: Place, options: NormOptions): VectorLayer {
  const { weights, constants, apply } = normOf(place, options);
  return { weights, constants, size: options.size, run: (x, pass) => apply(x, pass as Pass) };
}

/** The logit of one token, less that of another if there is one. */
export function tokenLogits(head: HeadPart, token: number, other: number | undefined): VectorLayer {
  return {
    weights: [],
    constants: [],
    size: 1,
    run(x, pass) {
      const logits = head.logits(x, pass.weight);
      const of = (id: number): Tensor => slice(logits, 1, id, id + 1);
      return other === undefined ? of(token) : sub(of(token), of(other));
    },
  };
}

/** The first of two numbers, less the second. */
export const difference: VectorLayer = {
  weights: [],
  constants: [],
  size: 1,
  run: (x) => sub(slice(x, 1, 0, 1), slice(x, 1, 1, 2)),
};
