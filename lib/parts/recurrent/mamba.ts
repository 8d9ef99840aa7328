// Mamba-2: a state of fixed size for each head, which decays by a step that each token chooses (Dao and Gu, "Transformers are
// SSMs", 2024). It keeps that state instead of keys and values.
import type { DType } from '../../core/dtype.js';
import type { Tensor } from '../../core/tensor.js';
import { cast } from '../../ops/copy.js';
import { gatedScan } from '../../ops/delta.js';
import { add, clamp, exp, log, mul, neg, softplus } from '../../ops/elementwise.js';
import { swiglu } from '../../ops/gated.js';
import { rmsNorm } from '../../ops/norm.js';
import { reshape, split } from '../../ops/view.js';
import { applyLinear, linearLayer } from '../linear.js';
import type { StateMemory } from '../memory.js';
import { type Inside, type Part, type Pass, productFlops, type Weight } from '../part.js';
import { convOf } from './conv.js';
import { statesOf } from './states.js';

export interface MambaOptions {
  hiddenSize: number;
  heads: number;
  headDim: number;
  /** Groups of heads that share what is written by and read by: `heads` is a multiple. */
  groups: number;
  /** Numbers that a channel's state has. */
  stateSize: number;
  /** Taps of the convolution. */
  width: number;
  convBias: boolean;
  /** Of the projections into the mixer and out of it. */
  bias: boolean;
  outputBias?: boolean | undefined;
  /** The least and the most of a token's step. Default: none. */
  limits?: readonly [number, number] | undefined;
  /** Norm of the result, of all channels or of each group's, before or behind the gate. Undefined where there is none. */
  norm: { eps: number; grouped: boolean; beforeGate?: boolean } | undefined;
  /** Factors of the projections: the gate's, x, B, C and the step's. Default 1. */
  multipliers?: readonly number[] | undefined;
  /** Whether LoRA may target the projection out of it. Default true. */
  outputTarget?: boolean | undefined;
  /** The module. Default `mamba`. */
  name?: string | undefined;
}

/** The weights are `mamba.{in_proj, conv1d, dt_bias, A_log, D, norm, out_proj}` of the layer. */
export function mamba(layer: Inside, options: MambaOptions): Part {
  const {
    hiddenSize,
    heads,
    headDim,
    groups,
    stateSize,
    width,
    convBias,
    limits,
    multipliers,
    name = 'mamba',
  } = options;
  const [inner, shared] = [heads * headDim, groups * stateSize];
  const channels = inner + 2 * shared;
  const into = linearLayer(layer(`${name}.in_proj`, 'ssm_in'), {
    out: inner + channels + heads,
    in: hiddenSize,
    bias: options.bias,
  });
  const conv = convOf(layer(`${name}.conv1d`, 'ssm_conv1d'), { channels, width, bias: convBias, silu: true });
  /** One number for each head, in f32, as decays are powers of it. */
  const perHead = (own: string, gguf: string, start: 0 | 1, more?: Partial<Weight['gguf']>): Weight => {
    const place = layer(`${name}.${own}`, gguf);
    return { name: place.path, gguf: { name: place.gguf, ...more }, shape: [heads], dtype: 'f32', start };
  };
  const column = [heads, 1];
  const stepBias = perHead('dt_bias', 'ssm_dt.bias', 1);
  const decayLog = perHead('A_log', 'ssm_a', 0, { stored: column, read: (x) => log(neg(x)) });
  const skip = perHead('D', 'ssm_d', 1, { stored: column });
  const norm = options.norm && gatedNorm(layer, name, inner, groups, options.norm);
  const output = linearLayer(layer(`${name}.out_proj`, 'ssm_out'), {
    out: hiddenSize,
    in: inner,
    bias: options.outputBias ?? options.bias,
  });
  const weights = [
    ...into.weights,
    ...conv.weights,
    stepBias,
    decayLog,
    skip,
    ...(norm ? [norm.weight] : []),
    ...output.weights.map(({ module, ...weight }) => ((options.outputTarget ?? true) ? { ...weight, module } : weight)),
  ];
  const sections = [inner, inner, shared, shared, heads];
  const factors = multipliers?.some((factor) => factor !== 1)
    ? Float32Array.from(sections.flatMap((size, i) => Array<number>(size).fill(multipliers[i]!)))
    : undefined;
  const memory: StateMemory = { kind: 'state', shapes: [[heads, stateSize, headDim], conv.tail], dtype: 'f32' };

  return {
    weights,
    memory: [memory],
    constants: [...(factors ? [factors] : []), ...(norm ? [norm.ones] : [])],
    facts: { heads, headDim, stateSize: heads * headDim * stateSize },
    flops: (tokens) => ({ products: productFlops(weights), mixing: 4 * tokens * heads * headDim * stateSize }),
    *run(x, pass, residual) {
      const tokens = x.dim(0);
      const projected = yield* applyLinear(into, x, pass);
      yield;
      const scaled = factors ? mul(projected, pass.constant(factors)) : projected;
      const [gate, mixed, steps] = split(scaled, [inner, channels, heads], 1);
      const states = statesOf(memory, pass);
      const [values, written, read] = split(conv.apply(mixed!, pass, states(1)), [inner, shared, shared], 1);
      const open = softplus(add(cast(steps!, 'f32'), pass.weight(stepBias.name)));
      const step = limits ? clamp(open, limits[0], limits[1]) : open;
      const wide = cast(reshape(values!, [tokens, heads, headDim]), 'f32');
      const inGroups = (of: Tensor): Tensor => reshape(of, [tokens, groups, stateSize]);
      const scanned = gatedScan(
        {
          q: inGroups(read!),
          k: inGroups(written!),
          v: mul(wide, reshape(step, [tokens, heads, 1])),
          g: mul(step, neg(exp(pass.weight(decayLog.name)))),
        },
        states(0),
      );
      yield;
      const out = add(scanned, mul(wide, reshape(pass.weight(skip.name), [heads, 1])));
      const flat = reshape(out, [tokens, inner]);
      const passed = norm ? norm.apply(flat, gate!, pass) : swiglu(gate!, flat);
      yield;
      return yield* applyLinear(output, cast(passed, x.dtype as DType), pass, residual);
    },
  };
}

/** `norm(y · silu(z)) · w`, or with the gate behind, over all channels or those of each group. */
function gatedNorm(
  layer: Inside,
  name: string,
  inner: number,
  groups: number,
  { eps, grouped, beforeGate = false }: NonNullable<MambaOptions['norm']>,
) {
  const place = layer(`${name}.norm.weight`, 'ssm_norm.weight');
  const weight: Weight = {
    name: place.path,
    gguf: { name: place.gguf, stored: [groups, inner / groups] },
    shape: [inner],
    start: 1,
  };
  const span = grouped ? inner / groups : inner;
  const ones = new Float32Array(span).fill(1);
  const normed = (x: Tensor, pass: Pass): Tensor => {
    if (span === inner) return rmsNorm(x, pass.weight(weight.name), { eps });
    const each = rmsNorm(reshape(x, [x.dim(0), groups, span]), pass.constant(ones), { eps });
    return mul(reshape(each, x.shape), pass.weight(weight.name));
  };
  return {
    weight,
    ones,
    apply: (x: Tensor, gate: Tensor, pass: Pass): Tensor =>
      beforeGate ? swiglu(gate, normed(x, pass)) : normed(swiglu(gate, x), pass),
  };
}
