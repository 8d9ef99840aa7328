// The projections before attention: queries, keys and values of the residual stream, from a matrix each or from one.
import type { Steps } from '../core/steps.js';
import type { Tensor } from '../core/tensor.js';
import { reshape, select, split } from '../ops/view.js';
import { applyLinear, type LinearLayer, linearLayer } from './linear.js';
import type { Inside, Pass, Place, Weight } from './part.js';

export interface HeadSizes {
  hiddenSize: number;
  heads: number;
  kvHeads: number;
  headDim: number;
}

export interface Projections {
  readonly weights: readonly Weight[];
  /**
   * `x [tokens, hidden]` gives `q [tokens, heads, headDim]`, `k` and `v [tokens, kvHeads, headDim]`; where attention has an
   * output gate, also that `gate` in the shape of q, before the sigmoid. A layer that reads another's keys has q alone.
   */
  run(x: Tensor, pass: Pass): Steps<[q: Tensor, k?: Tensor | undefined, v?: Tensor | undefined, gate?: Tensor]>;
}

export interface SeparateOptions extends HeadSizes {
  bias?: boolean | undefined;
  /**
   * llama.cpp's converter wrote the rows of q and k so that rotated pairs lie side by side: for architectures whose rope is
   * its NORM kind while the checkpoint rotates halves.
   */
  ggufPairs?: boolean | undefined;
  /** The modules' names. Default `self_attn.{q,k,v}_proj`. */
  names?: { q: string; k: string; v: string } | undefined;
  /** What the projection of keys makes is both: there is no `v_proj`. */
  keysAreValues?: boolean | undefined;
}

const usualNames = { q: 'self_attn.q_proj', k: 'self_attn.k_proj', v: 'self_attn.v_proj' };

export function separate(layer: Inside, options: SeparateOptions): Projections {
  const { hiddenSize, heads, kvHeads, headDim, bias, ggufPairs, keysAreValues, names = usualNames } = options;
  const project = (name: string, gguf: string, count: number, paired = false): LinearLayer =>
    linearLayer(layer(name, gguf), {
      out: count * headDim,
      in: hiddenSize,
      bias,
      ggufRows: paired ? pairedRows(count, headDim) : undefined,
    });
  const q = project(names.q, 'attn_q', heads, ggufPairs);
  const k = project(names.k, 'attn_k', kvHeads, ggufPairs);
  const v = keysAreValues ? undefined : project(names.v, 'attn_v', kvHeads);
  const inHeads = (y: Tensor, count: number): Tensor => reshape(y, [y.dim(0), count, headDim]);
  return {
    weights: [q, k, ...(v ? [v] : [])].flatMap((linear) => linear.weights),
    *run(x, pass) {
      const queries = inHeads(yield* applyLinear(q, x, pass), heads);
      yield;
      const keys = inHeads(yield* applyLinear(k, x, pass), kvHeads);
      yield;
      return [queries, keys, v ? inHeads(yield* applyLinear(v, x, pass), kvHeads) : keys];
    },
  };
}

/** Queries alone, of a layer that reads the keys and values of another: `self_attn.q_proj` of the layer. */
export function queriesOnly(layer: Inside, { hiddenSize, heads, headDim, bias }: SeparateOptions): Projections {
  const q = linearLayer(layer('self_attn.q_proj', 'attn_q'), { out: heads * headDim, in: hiddenSize, bias });
  return {
    weights: q.weights,
    *run(x, pass) {
      return [reshape(yield* applyLinear(q, x, pass), [x.dim(0), heads, headDim])];
    },
  };
}

/**
 * A matrix each, that of q with twice the rows: those of a head's queries, then of its output gate. The weights are
 * `self_attn.{q,k,v}_proj` of the layer.
 */
export function gated(layer: Inside, { hiddenSize, heads, kvHeads, headDim, bias }: SeparateOptions): Projections {
  const project = (name: string, gguf: string, out: number): LinearLayer =>
    linearLayer(layer(`self_attn.${name}`, gguf), { out, in: hiddenSize, bias });
  const both = project('q_proj', 'attn_q', 2 * heads * headDim);
  const k = project('k_proj', 'attn_k', kvHeads * headDim);
  const v = project('v_proj', 'attn_v', kvHeads * headDim);
  return {
    weights: [both, k, v].flatMap((linear) => linear.weights),
    *run(x, pass) {
      const y = reshape(yield* applyLinear(both, x, pass), [x.dim(0), heads, 2, headDim]);
      yield;
      const keys = yield* applyLinear(k, x, pass);
      yield;
      const [head, values] = [
        (of: Tensor): Tensor => reshape(of, [x.dim(0), kvHeads, headDim]),
        yield* applyLinear(v, x, pass),
      ];
      return [select(y, 2, 0), head(keys), head(values), select(y, 2, 1)];
    },
  };
}

export interface FusedOptions extends HeadSizes {
  bias?: boolean | undefined;
  /** The checkpoint stores the matrix as `[in, out]`. */
  transposed?: boolean | undefined;
}

/** One matrix whose rows are those of q, then k, then v. */
export function fused(place: Place, options: FusedOptions): Projections {
  const { hiddenSize, heads, kvHeads, headDim, bias, transposed } = options;
  const counts = [heads, kvHeads, kvHeads];
  const count = heads + 2 * kvHeads;
  const all = linearLayer(place, { out: count * headDim, in: hiddenSize, bias, transposed });
  return {
    weights: all.weights,
    *run(x, pass) {
      const [q, k, v] = split(reshape(yield* applyLinear(all, x, pass), [x.dim(0), count, headDim]), counts, 1);
      return [q!, k!, v!];
    },
  };
}

/** One matrix whose rows are those of q, k and v of the first head, then of the next; a GGUF file has all of q first. */
export function fusedByHead(place: Place, { hiddenSize, heads, headDim, bias }: FusedOptions): Projections {
  const ggufRows = Int32Array.from({ length: 3 * heads * headDim }, (_, row) => {
    const [head, which] = [Math.floor(row / (3 * headDim)), Math.floor(row / headDim) % 3];
    return (which * heads + head) * headDim + (row % headDim);
  });
  const all = linearLayer(place, { out: 3 * heads * headDim, in: hiddenSize, bias, ggufRows });
  return {
    weights: all.weights,
    *run(x, pass) {
      const y = reshape(yield* applyLinear(all, x, pass), [x.dim(0), heads, 3, headDim]);
      return [select(y, 2, 0), select(y, 2, 1), select(y, 2, 2)];
    },
  };
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
