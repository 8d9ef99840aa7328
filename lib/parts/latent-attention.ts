// Multi-head latent attention (DeepSeek-AI, "DeepSeek-V2", 2024): keys and values are up-projections of one narrow latent
// per token, which is what is kept of it, beside one rotated key that all heads share.
import type { Steps } from '../core/steps.js';
import { type Tensor, viewOf } from '../core/tensor.js';
import { concat } from '../ops/copy.js';
import { pagedAppend } from '../ops/paged.js';
import { reshape, split } from '../ops/view.js';
import { seen } from './attention.js';
import { attendKept, attendPacked, expandLatents, type LatentLayer, type LatentSizes } from './latent.js';
import { applyLinear, type LinearLayer, linearLayer } from './linear.js';
import type { BlockMemory } from './memory.js';
import { normOf } from './norm.js';
import { type Inside, type Part, type Pass, type Piece, productFlops } from './part.js';
import { growing, type QueryGrowth } from './query-growth.js';
import { type Rope, ropeConstants, rotated } from './rope.js';

export interface LatentAttentionOptions extends LatentSizes {
  hiddenSize: number;
  /** Channels of the queries' own latent; undefined where they come from the hidden state at once. */
  queryLatent: number | undefined;
  /** Of the channels that are rotated. */
  rope: Rope;
  /** Default `1 / √(nope + turned)`. */
  scale?: number | undefined;
  /** Of the norms of latents. */
  eps: number;
  /** Of the projections to latents and of the output. */
  bias?: boolean | undefined;
  growth?: QueryGrowth | undefined;
}

/** The weights are `self_attn.{q_a_proj, q_b_proj}` or `q_proj`, `kv_a_proj_with_mqa`, `kv_b_proj`, `o_proj`, and norms. */
export function latentAttention(layer: Inside, options: LatentAttentionOptions): Part {
  const { hiddenSize, heads, nope, turned, value, latent, rope, growth, bias } = options;
  const { scale = (nope + turned) ** -0.5 } = options;
  const sizes: LatentSizes = { heads, nope, turned, value, latent };
  const queries = queriesOf(layer, options);
  const down = linearLayer(layer('self_attn.kv_a_proj_with_mqa', 'attn_kv_a_mqa'), {
    out: latent + turned,
    in: hiddenSize,
    bias,
  });
  const norm = normOf(layer('self_attn.kv_a_layernorm', 'attn_kv_a_norm'), { size: latent, eps: options.eps });
  const up = upProjection(layer, sizes);
  const output = linearLayer(layer('self_attn.o_proj', 'attn_output'), { out: hiddenSize, in: heads * value, bias });
  const weights = [queries, down, norm, up, output].flatMap((part) => part.weights);
  const memory: BlockMemory = {
    kind: 'blocks',
    kvHeads: 1,
    headDim: latent + turned,
    valuesInKeys: latent,
    window: undefined,
    switchAt: rope.long?.beyond,
  };
  const own: LatentLayer = { sizes, up, scale };

  return {
    weights,
    memory: [memory],
    constants: ropeConstants(rope),
    facts: { heads, headDim: nope + turned, valueDim: value, latentSize: latent + turned },
    flops: (tokens) => ({
      products: productFlops(weights),
      mixing: 2 * heads * (nope + turned + value) * seen(tokens),
    }),
    *run(x, pass, residual): Steps<Tensor> {
      const tokens = x.dim(0);
      const { boundaries, longest, positions } = pass.batch;
      const projected = reshape(yield* queries.run(x, pass), [tokens, heads, nope + turned]);
      const q = growth ? growing(projected, positions, growth) : projected;
      const [queryPass, queryRope] = split(q, [nope, turned], 2) as [Tensor, Tensor];
      const queryTurned = rotated(queryRope, rope, pass);
      yield;
      const [low, keyRope] = split(yield* applyLinear(down, x, pass), [latent, turned], 1) as [Tensor, Tensor];
      const latents = norm.apply(low, pass);
      const keyTurned = rotated(reshape(keyRope, [tokens, 1, turned]), rope, pass);
      yield;
      const kept = pass.kept(memory);
      let mixed: Tensor;
      if (kept) {
        const key = concat([reshape(latents, [tokens, 1, latent]), keyTurned], 2);
        pagedAppend(kept.keys, kept.keys, key, key, kept.slots);
        mixed = yield* attendKept(own, { pass: queryPass, turned: queryTurned }, pass, kept);
      } else {
        const [keys, values] = yield* expandLatents(own, latents, reshape(keyTurned, [tokens, turned]), pass);
        const whole = concat([queryPass, queryTurned], 2);
        mixed = yield* attendPacked([whole, keys, values], { boundaries, longest, scale });
      }
      yield;
      return yield* applyLinear(output, reshape(mixed, [tokens, heads * value]), pass, residual);
    },
  };
}

interface Queries extends Pick<Part, 'weights'> {
  /** `[tokens, hidden] → [tokens, heads · (nope + turned)]` */
  run(x: Tensor, pass: Pass): Steps<Tensor>;
}

function queriesOf(layer: Inside, options: LatentAttentionOptions): Queries {
  const { hiddenSize, heads, nope, turned, queryLatent, eps, bias } = options;
  const out = heads * (nope + turned);
  if (queryLatent === undefined) {
    const whole = linearLayer(layer('self_attn.q_proj', 'attn_q'), { out, in: hiddenSize });
    return { weights: whole.weights, run: (x, pass) => applyLinear(whole, x, pass) };
  }
  const down = linearLayer(layer('self_attn.q_a_proj', 'attn_q_a'), { out: queryLatent, in: hiddenSize, bias });
  const norm = normOf(layer('self_attn.q_a_layernorm', 'attn_q_a_norm'), { size: queryLatent, eps });
  const up = linearLayer(layer('self_attn.q_b_proj', 'attn_q_b'), { out, in: queryLatent });
  return {
    weights: [...down.weights, ...norm.weights, ...up.weights],
    *run(x, pass) {
      return yield* applyLinear(up, norm.apply(yield* applyLinear(down, x, pass), pass), pass);
    },
  };
}

/** A GGUF file has it apart: of each head the rows of keys, turned, and the rows of values. Old ones have it whole. */
function upProjection(layer: Inside, { heads, nope, value, latent }: LatentSizes): LinearLayer {
  const up = linearLayer(layer('self_attn.kv_b_proj', 'attn_kv_b'), { out: heads * (nope + value), in: latent });
  const each = (nope + value) * latent;
  const pieces: Piece[] = [
    {
      name: layer('', 'attn_k_b.weight').gguf,
      shape: [heads, latent, nope],
      part: (x) => viewOf(x, [heads, latent, nope], [each, 1, latent]),
    },
    {
      name: layer('', 'attn_v_b.weight').gguf,
      shape: [heads, value, latent],
      part: (x) => viewOf(x, [heads, value, latent], [each, latent, 1], nope * latent),
    },
  ];
  return { ...up, weights: up.weights.map((weight) => ({ ...weight, gguf: { ...weight.gguf, pieces } })) };
}
