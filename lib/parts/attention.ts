// Attention: o(attention(rope(norm(q(x))), rope(norm(k(x))), v(x))), with grouped key-value heads. Norms of q and k, biases,
// a window and rotary embeddings are the model's choice.
import type { Steps } from '../core/steps.js';
import type { Tensor } from '../core/tensor.js';
import { attentionSteps } from '../ops/attention.js';
import { pagedAppend, pagedAttention } from '../ops/paged.js';
import { rope as rotate } from '../ops/rope.js';
import { reshape } from '../ops/view.js';
import { applyLinear, type LinearLayer, linearLayer } from './linear.js';
import type { BlockMemory } from './memory.js';
import { type Norm, type NormKind, normOf } from './norm.js';
import { type Inside, type Part, type Pass, productFlops } from './part.js';
import type { Rope } from './rope.js';

export interface AttentionOptions {
  hiddenSize: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  /** Default `1 / √headDim`. */
  scale?: number | undefined;
  /** Tokens that each token sees, itself included. Default: all before it. */
  window?: number | undefined;
  /** Undefined where tokens do not know their positions. */
  rope: Rope | undefined;
  /** Of q, k and v. */
  bias?: boolean | undefined;
  outputBias?: boolean | undefined;
  /** A norm of each head's queries and keys before they are rotated, with one weight for all heads or one for each. */
  headNorm?: (NormKind & { over?: 'head' | 'each head' }) | undefined;
  /**
   * llama.cpp's converter wrote the rows of q and k so that rotated pairs lie side by side: for architectures whose rope is
   * its NORM kind while the checkpoint rotates halves.
   */
  ggufPairs?: boolean | undefined;
}

/** The weights are `self_attn.{q,k,v,o}_proj` of the layer, and `self_attn.{q,k}_norm`. */
export function attention(layer: Inside, options: AttentionOptions): Part {
  const { hiddenSize: hidden, heads, kvHeads, headDim, window, rope, bias, outputBias, headNorm } = options;
  const { scale = headDim ** -0.5 } = options;
  const project = (name: string, gguf: string, count: number, paired: boolean): LinearLayer =>
    linearLayer(layer(`self_attn.${name}`, gguf), {
      out: count * headDim,
      in: hidden,
      bias,
      ggufRows: paired && options.ggufPairs ? pairedRows(count, headDim) : undefined,
    });
  const q = project('q_proj', 'attn_q', heads, true);
  const k = project('k_proj', 'attn_k', kvHeads, true);
  const v = project('v_proj', 'attn_v', kvHeads, false);
  const o = linearLayer(layer('self_attn.o_proj', 'attn_output'), {
    out: hidden,
    in: heads * headDim,
    bias: outputBias,
  });
  const headNormOf = (name: string, gguf: string, count: number): Norm | undefined =>
    headNorm &&
    normOf(layer(`self_attn.${name}`, gguf), {
      ...headNorm,
      size: headDim,
      heads: headNorm.over === 'each head' ? count : undefined,
    });
  const qNorm = headNormOf('q_norm', 'attn_q_norm', heads);
  const kNorm = headNormOf('k_norm', 'attn_k_norm', kvHeads);
  const norms = [qNorm, kNorm].filter((x) => x !== undefined);
  const weights = [q, k, v, o, ...norms].flatMap((x) => x.weights);
  const memory: BlockMemory = { kind: 'blocks', kvHeads, headDim, window };

  function* heading(linear: LinearLayer, norm: Norm | undefined, count: number, x: Tensor, pass: Pass): Steps<Tensor> {
    const y = reshape(yield* applyLinear(linear, x, pass), [x.dim(0), count, headDim]);
    const normed = norm ? norm.apply(y, pass) : y;
    if (!rope) return normed;
    const { frequencies, factor, interleaved } = rope;
    return rotate(normed, pass.batch.positions, pass.constant(frequencies), { factor, interleaved });
  }

  return {
    weights,
    memory: [memory],
    constants: [...(rope ? [rope.frequencies] : []), ...norms.flatMap(({ constants }) => constants)],
    facts: { heads, kvHeads, headDim, ...(window === undefined ? {} : { window }) },
    flops: (tokens) => ({ products: productFlops(weights), mixing: 4 * heads * headDim * seen(tokens, window) }),
    *run(x, pass, residual) {
      const { boundaries, longest } = pass.batch;
      const queries = yield* heading(q, qNorm, heads, x, pass);
      yield;
      const keys = yield* heading(k, kNorm, kvHeads, x, pass);
      const values = reshape(yield* applyLinear(v, x, pass), [x.dim(0), kvHeads, headDim]);
      yield;
      const kept = pass.kept(memory);
      let mixed: Tensor;
      if (kept) {
        const { blockTables, lengths } = kept;
        pagedAppend(kept.keys, kept.values, keys, values, kept.slots);
        const settings = { blockTables, boundaries, lengths, scale, ...(window === undefined ? {} : { window }) };
        mixed = pagedAttention(queries, kept.keys, kept.values, settings);
      } else {
        const settings = { boundaries, scale, longest, ...(window === undefined ? {} : { window }) };
        mixed = yield* attentionSteps(queries, keys, values, settings);
      }
      yield;
      return yield* applyLinear(o, reshape(mixed, [x.dim(0), heads * headDim]), pass, residual);
    },
  };
}

/** Pairs of a query and a key that causal attention over so many tokens sees. */
function seen(tokens: number, window = tokens): number {
  const full = Math.min(tokens, window);
  return (full * (full + 1)) / 2 + (tokens - full) * full;
}

/**
 * For each row of q or k in a checkpoint, which rotates row `j` of a head with row `j + headDim / 2`, the row of a GGUF
 * file that has such pairs side by side, as rows `2j` and `2j + 1`.
 *
 * @throws RangeError if `headDim` is odd.
 */
export function pairedRows(heads: number, headDim: number): Int32Array {
  if (headDim % 2 !== 0) throw new RangeError(`pairedRows: headDim must be even, got ${headDim}`);
  const half = headDim / 2;
  return Int32Array.from({ length: heads * headDim }, (_, row) => {
    const inHead = row % headDim;
    return row - inHead + 2 * (inHead % half) + Math.floor(inHead / half);
  });
}
