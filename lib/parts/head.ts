// The output projection: where a decoder ends, as logits or as losses.
import type { Steps } from '../core/steps.js';
import type { Tensor } from '../core/tensor.js';
import { affine, tanh } from '../ops/elementwise.js';
import { linearCrossEntropySteps, type Scored } from '../ops/loss.js';
import { matmul } from '../ops/matmul.js';
import type { EmbeddingPart } from './embedding.js';
import type { Place, Weight } from './part.js';

type WeightOf = (name: string) => Tensor;

export interface HeadPart {
  /** Empty where the projection is the embedding. */
  readonly weights: readonly Weight[];
  readonly tied: boolean;
  /** Multiplications and additions for one row. */
  readonly flops: number;
  /** Logits of hidden states `[rows, hidden]`: f32 `[rows, vocab]`. */
  logits(hidden: Tensor, weight: WeightOf): Tensor;
  /**
   * The cross-entropy of each row of `hidden [rows, hidden]` against `targets` i32 `[rows]`, f32 `[rows]`, and the
   * likeliest tokens. The logits are never stored whole.
   */
  losses(hidden: Tensor, targets: Tensor, weight: WeightOf): Steps<Scored>;
}

const absent = (): never => {
  throw new Error('an encoder has no output projection: it makes vectors and scores of texts, and no text');
};

/** Of a model that chooses no tokens. */
export const noHead: HeadPart = { weights: [], tied: true, flops: 0, logits: absent, losses: absent };

export interface HeadOptions {
  /** The logits are multiplied by this. Default 1. */
  scale?: number | undefined;
  /** Then they become `softcap · tanh(logit / softcap)`. Default: not at all. */
  softcap?: number | undefined;
}

/** A projection of its own, or the embedding's rows (`tied`). */
export function outputHead(
  { path, gguf }: Place,
  embedding: EmbeddingPart,
  tied: boolean,
  { scale = 1, softcap }: HeadOptions = {},
): HeadPart {
  const [table] = embedding.weights;
  const own: Weight = { ...table, name: `${path}.weight`, gguf: { name: `${gguf}.weight` } };
  const { name } = tied ? table : own;
  const scaled = (hidden: Tensor): Tensor => (scale === 1 ? hidden : affine(hidden, scale, 0));
  const capped = (logits: Tensor): Tensor =>
    softcap === undefined ? logits : affine(tanh(affine(logits, 1 / softcap, 0)), softcap, 0);
  return {
    weights: tied ? [] : [own],
    tied,
    flops: 2 * table.shape[0]! * table.shape[1]!,
    logits: (hidden, weight) => capped(matmul(scaled(hidden), weight(name), { transposeB: true, dtype: 'f32' })),
    losses: (hidden, targets, weight) =>
      linearCrossEntropySteps(scaled(hidden), weight(name), targets, softcap === undefined ? {} : { softcap }),
  };
}
