// Attention: o(attention(rope(norm(q)), rope(norm(k)), v)), with grouped key-value heads. Projections, norms of q and k,
// a window, rotary embeddings and a cap of the scores are the model's choice.
import type { Steps } from '../core/steps.js';
import type { Tensor } from '../core/tensor.js';
import { attentionSteps } from '../ops/attention.js';
import { mul, sigmoid } from '../ops/elementwise.js';
import { pagedAppend, pagedAttention } from '../ops/paged.js';
import { reshape } from '../ops/view.js';
import { applyLinear, type LinearLayer, linearLayer } from './linear.js';
import type { BlockMemory, SharedKeys } from './memory.js';
import { type Norm, type NormKind, normOf, plainRms } from './norm.js';
import { type Inside, type Part, type Pass, type Place, productFlops, type Weight } from './part.js';
import { type Projections, queriesOnly, type SeparateOptions, separate } from './projections.js';
import { growing, type QueryGrowth } from './query-growth.js';
import { type Rope, ropeConstants, rotated } from './rope.js';

/** A norm of queries and keys. */
export interface HeadNormOptions extends NormKind {
  /** Of each head's channels, with one weight for all heads or one for each, or of all channels. Default `head`. */
  over?: 'head' | 'each head' | 'all';
  /** After they are rotated. Default: before. */
  rotated?: boolean;
  /** Its modules. Default `q_norm` and `k_norm`. */
  names?: { q: string; k: string };
}

export interface AttentionOptions extends SeparateOptions {
  /** Default `1 / √headDim`. */
  scale?: number | undefined;
  /** Tokens that each token sees before it, itself included, and as many after it if `bidirectional`. Default: all. */
  window?: number | undefined;
  /** Tokens see those after them, too: nothing is kept of a sequence, which is computed as a whole. */
  bidirectional?: boolean | undefined;
  /** Scores become `softcap · tanh(score / softcap)`. Default: not at all. */
  softcap?: number | undefined;
  /** Undefined where tokens do not know their positions. */
  rope: Rope | undefined;
  headNorm?: HeadNormOptions | undefined;
  /** An RMSNorm of each head's values, without a weight. */
  valueNorm?: { eps: number } | undefined;
  /** The keys and values that the layer makes are those of later ones too; or it makes none and reads these. */
  shared?: { keys: SharedKeys; reads: boolean } | undefined;
  /** A learned score for each head joins its softmax: `self_attn.sinks`. */
  sinks?: boolean | undefined;
  growth?: QueryGrowth | undefined;
  /** Default: a matrix each, with the `bias` that is said here. */
  projections?: Projections | undefined;
  outputBias?: boolean | undefined;
  /** Default `self_attn.o_proj`, with `outputBias`. */
  output?: LinearLayer | undefined;
}

/** The weights are `self_attn.{q,k,v,o}_proj` of the layer, and `self_attn.{q,k}_norm`, unless others are given. */
export function attention(layer: Inside, options: AttentionOptions): Part {
  const { heads, kvHeads, headDim, window, bidirectional = false, softcap, rope, headNorm, growth, shared } = options;
  const reads = shared?.reads ?? false;
  const { projections = reads ? queriesOnly(layer, options) : separate(layer, options) } = options;
  const { output = linearLayer(layer('self_attn.o_proj', 'attn_output'), outputOf(options)) } = options;
  const { names = { q: 'q_norm', k: 'k_norm' } } = headNorm ?? {};
  const qNorm = headNorm && headNormOf(layer(`self_attn.${names.q}`, 'attn_q_norm'), headNorm, heads, headDim);
  const kNorm =
    reads || !headNorm
      ? undefined
      : headNormOf(layer(`self_attn.${names.k}`, 'attn_k_norm'), headNorm, kvHeads, headDim);
  const vNorm = reads || !options.valueNorm ? undefined : plainRms(headDim, options.valueNorm.eps);
  const norms = [qNorm, kNorm, vNorm].filter((norm) => norm !== undefined);
  const sinks = options.sinks ? sinksOf(layer('self_attn.sinks', 'attn_sinks.weight'), heads) : undefined;
  const weights = [...[projections, ...norms, output].flatMap((part) => part.weights), ...(sinks ? [sinks] : [])];
  const own: BlockMemory = { kind: 'blocks', kvHeads, headDim, window, switchAt: rope?.long?.beyond };
  const memory = shared?.keys.memory ?? own;
  const links = shared ? [shared.keys.keys, shared.keys.values] : [];
  const scoring = {
    scale: options.scale ?? headDim ** -0.5,
    ...(window === undefined ? {} : { window }),
    ...(softcap === undefined ? {} : { softcap }),
  };

  const pairs = bidirectional ? seenBothWays : seen;
  const placed = (x: Tensor, norm: Norm | undefined, pass: Pass): Tensor => {
    const turned = (y: Tensor): Tensor => (rope ? rotated(y, rope, pass) : y);
    if (!norm) return turned(x);
    return headNorm?.rotated ? norm.apply(turned(x), pass) : turned(norm.apply(x, pass));
  };

  return {
    weights,
    memory: bidirectional || reads ? [] : [memory],
    gives: reads ? [] : links,
    takes: reads ? links : [],
    constants: [...(rope ? ropeConstants(rope) : []), ...norms.flatMap(({ constants }) => constants)],
    facts: { heads, kvHeads, headDim, ...(window === undefined ? {} : { window }) },
    flops: (tokens) => ({ products: productFlops(weights), mixing: 4 * heads * headDim * pairs(tokens, window) }),
    *run(x, pass, residual): Steps<Tensor> {
      const { boundaries, longest, positions } = pass.batch;
      const [q, k, v, gate] = yield* projections.run(x, pass);
      yield;
      const turned = placed(q, qNorm, pass);
      const queries = growth ? growing(turned, positions, growth) : turned;
      const keys = k && placed(k, kNorm, pass);
      const values = v && vNorm ? vNorm.apply(v, pass) : v;
      yield;
      const kept = bidirectional ? undefined : pass.kept(memory);
      const settings = { boundaries, ...scoring, ...(sinks ? { sinks: pass.weight(sinks.name) } : {}) };
      let mixed: Tensor;
      if (kept) {
        const { blockTables, lengths } = kept;
        if (keys && values) pagedAppend(kept.keys, kept.values, keys, values, kept.slots);
        mixed = pagedAttention(queries, kept.keys, kept.values, { blockTables, lengths, ...settings });
      } else {
        if (shared && keys && values) {
          pass.give(shared.keys.keys, keys);
          pass.give(shared.keys.values, values);
        }
        const [seenKeys, seenValues] = [keys ?? pass.taken(links[0]!), values ?? pass.taken(links[1]!)];
        const spans = { longest, causal: !bidirectional };
        mixed = yield* attentionSteps(queries, seenKeys, seenValues, { ...spans, ...settings });
      }
      yield;
      const passed = gate ? mul(mixed, sigmoid(gate)) : mixed;
      return yield* applyLinear(output, reshape(passed, [x.dim(0), heads * headDim]), pass, residual);
    },
  };
}

const sinksOf = ({ path, gguf }: Place, heads: number): Weight => ({
  name: path,
  shape: [heads],
  gguf: { name: gguf },
  start: 0,
});

const outputOf = ({ hiddenSize, heads, headDim, outputBias }: AttentionOptions) => ({
  out: hiddenSize,
  in: heads * headDim,
  bias: outputBias,
});

function headNormOf(place: Place, options: HeadNormOptions, heads: number, headDim: number): Norm {
  const { over = 'head' } = options;
  if (over !== 'all') return normOf(place, { ...options, size: headDim, heads: over === 'head' ? undefined : heads });
  const size = heads * headDim;
  const whole = normOf(place, { ...options, size });
  return { ...whole, apply: (x, pass) => reshape(whole.apply(reshape(x, [x.dim(0), size]), pass), x.shape) };
}

/** The same without causality. */
const seenBothWays = (tokens: number, window?: number): number => 2 * seen(tokens, window) - tokens;

/** Pairs of a query and a key that causal attention over so many tokens sees. */
export function seen(tokens: number, window = tokens): number {
  const full = Math.min(tokens, window);
  return (full * (full + 1)) / 2 + (tokens - full) * full;
}
