// Gated DeltaNet: a linear attention whose state is a matrix for each head, which forgets by a gate and writes what it does
// not know yet (Yang et al., "Gated Delta Networks", 2024). It keeps a state of fixed size instead of keys and values.
import type { Steps } from '../../core/steps.js';
import { type Tensor, viewOf } from '../../core/tensor.js';
import { cast, concat } from '../../ops/copy.js';
import { gatedDelta } from '../../ops/delta.js';
import { add, exp, log, mul, neg, sigmoid, softplus } from '../../ops/elementwise.js';
import { swiglu } from '../../ops/gated.js';
import { rmsNorm } from '../../ops/norm.js';
import { reshape, split } from '../../ops/view.js';
import { applyLinear, type LinearLayer, linearLayer } from '../linear.js';
import type { StateMemory } from '../memory.js';
import { type Norm, normOf } from '../norm.js';
import { type Inside, type Part, type Pass, type Piece, productFlops, type Weight } from '../part.js';
import { convOf } from './conv.js';
import { statesOf } from './states.js';

export interface DeltaOptions {
  hiddenSize: number;
  keyHeads: number;
  /** Value heads: a multiple of `keyHeads`, which share them in turn. */
  heads: number;
  keyDim: number;
  valueDim: number;
  /** Taps of the convolution. */
  width: number;
  /** Of the norm of the result. */
  eps: number;
  /** Default: see {@link deltaInputs}. */
  inputs?: DeltaInputs | undefined;
  /** For each value head of the checkpoint, the head of a GGUF file. Default: the same. */
  ggufHeads?: Int32Array | undefined;
}

/** The projections of the residual stream: `qkv [tokens, 2 · keys + values]`, `z` `[tokens, values]`, `a`, `b` `[tokens, heads]`. */
export interface DeltaInputs {
  readonly weights: readonly Weight[];
  run(x: Tensor, pass: Pass): Steps<{ qkv: Tensor; z: Tensor; a: Tensor; b: Tensor }>;
}

const sizesOf = ({ keyHeads, heads, keyDim, valueDim }: DeltaOptions) => ({
  keys: keyHeads * keyDim,
  values: heads * valueDim,
});

/** A matrix each: `linear_attn.in_proj_{qkv,z,b,a}` of the layer. */
export function deltaInputs(layer: Inside, options: DeltaOptions): DeltaInputs {
  const { hiddenSize, heads, valueDim, ggufHeads } = options;
  const { keys, values } = sizesOf(options);
  const project = (name: string, gguf: string, out: number, ggufRows?: Int32Array): LinearLayer =>
    linearLayer(layer(`linear_attn.${name}`, gguf), { out, in: hiddenSize, ggufRows });
  const valueRows = ggufHeads && rowsOf(ggufHeads, valueDim);
  const qkv = project('in_proj_qkv', 'attn_qkv', 2 * keys + values, valueRows && after(2 * keys, valueRows));
  const z = project('in_proj_z', 'attn_gate', values, valueRows);
  const b = project('in_proj_b', 'ssm_beta', heads, ggufHeads);
  const a = project('in_proj_a', 'ssm_alpha', heads, ggufHeads);
  return {
    weights: [qkv, z, b, a].flatMap(({ weights }) => weights),
    *run(x, pass) {
      const mixed = yield* applyLinear(qkv, x, pass);
      yield;
      const gate = yield* applyLinear(z, x, pass);
      yield;
      return { qkv: mixed, z: gate, b: yield* applyLinear(b, x, pass), a: yield* applyLinear(a, x, pass) };
    },
  };
}

/**
 * Two matrices, `linear_attn.in_proj_{qkvz,ba}` of the layer: the rows of the first key head, then of the next, each with its
 * q, k, and the v and z of its value heads; so with b and a. GGUF files have q, k and v of all heads in one, z in another.
 */
export function deltaInputsByHead(layer: Inside, options: DeltaOptions): DeltaInputs {
  const { hiddenSize, keyHeads, heads, keyDim } = options;
  const { keys, values } = sizesOf(options);
  const own = values / keyHeads; // rows of one key head's values
  const parts = [keyDim, keyDim, own, own];
  const group = 2 * keyDim + 2 * own;
  const all = linearLayer(layer('linear_attn.in_proj_qkvz', 'ssm_in'), { out: keyHeads * group, in: hiddenSize });
  const ba = linearLayer(layer('linear_attn.in_proj_ba', 'ssm_ba'), { out: 2 * heads, in: hiddenSize });
  const piece = (gguf: string, rows: number, first: number, which: number): Piece => {
    const [count, start] = [parts[which]!, parts.slice(0, which).reduce((sum, size) => sum + size, 0)];
    const shape = [keyHeads, count, hiddenSize];
    return {
      name: layer('', `${gguf}.weight`).gguf,
      shape: [rows, hiddenSize],
      part: (x) => viewOf(x, shape, [group * hiddenSize, hiddenSize, 1], start * hiddenSize),
      from: (x) => viewOf(x, shape, [count * hiddenSize, hiddenSize, 1], first * hiddenSize),
    };
  };
  const qkvRows = 2 * keys + values;
  const pieces = [
    piece('attn_qkv', qkvRows, 0, 0),
    piece('attn_qkv', qkvRows, keys, 1),
    piece('attn_qkv', qkvRows, 2 * keys, 2),
    piece('attn_gate', values, 0, 3),
  ];
  return {
    weights: [...all.weights.map((weight) => ({ ...weight, gguf: { ...weight.gguf, pieces } })), ...ba.weights],
    *run(x, pass) {
      const tokens = x.dim(0);
      const mixed = reshape(yield* applyLinear(all, x, pass), [tokens, keyHeads, group]);
      yield;
      const gates = reshape(yield* applyLinear(ba, x, pass), [tokens, keyHeads, (2 * heads) / keyHeads]);
      const flat = (part: Tensor): Tensor => reshape(part, [tokens, part.size / tokens]);
      const [q, k, v, z] = split(mixed, parts, 2).map(flat);
      const [b, a] = split(gates, [heads / keyHeads, heads / keyHeads], 2).map(flat);
      return { qkv: concat([q!, k!, v!], 1), z: z!, a: a!, b: b! };
    },
  };
}

/** The weights are `linear_attn.{in_proj_*, conv1d, A_log, dt_bias, norm, out_proj}` of the layer. */
export function deltaNet(layer: Inside, options: DeltaOptions): Part {
  const { hiddenSize, keyHeads, heads, keyDim, valueDim, width, eps, ggufHeads } = options;
  const { keys, values } = sizesOf(options);
  const channels = 2 * keys + values;
  const { inputs = deltaInputs(layer, options) } = options;
  const valueRows = ggufHeads && rowsOf(ggufHeads, valueDim);
  const own = (name: string, gguf: string) => {
    const place = layer(`linear_attn.${name}`, gguf);
    return { name: place.path, gguf: { name: place.gguf } };
  };
  const ggufRows = valueRows && after(2 * keys, valueRows);
  const conv = convOf(layer('linear_attn.conv1d', 'ssm_conv1d'), { channels, width, silu: true, ggufRows });
  const decay = own('A_log', 'ssm_a');
  const decayLog: Weight = {
    ...decay,
    gguf: { ...decay.gguf, rows: ggufHeads, read: (x) => log(neg(x)) },
    shape: [heads],
    start: 0,
  };
  const step = own('dt_bias', 'ssm_dt.bias');
  const stepBias: Weight = { ...step, gguf: { ...step.gguf, rows: ggufHeads }, shape: [heads], start: 1 };
  const norm: Norm = normOf(layer('linear_attn.norm', 'ssm_norm'), { size: valueDim, eps });
  const output = linearLayer(layer('linear_attn.out_proj', 'ssm_out'), {
    out: hiddenSize,
    in: values,
    ggufColumns: valueRows,
  });
  const weights = [...inputs.weights, ...conv.weights, decayLog, stepBias, ...norm.weights, ...output.weights];
  const memory: StateMemory = {
    kind: 'state',
    shapes: [[heads, keyDim, valueDim], conv.tail],
    dtype: 'f32',
  };
  // As weights of an RMSNorm they make x / √(Σ x² + 1e-6), of queries over √keyDim besides.
  const [unitKeys, unitQueries] = [keyDim ** -0.5, 1 / keyDim].map((x) => new Float32Array(keyDim).fill(x)) as [
    Float32Array,
    Float32Array,
  ];
  const unitEps = 1e-6 / keyDim;

  return {
    weights,
    memory: [memory],
    constants: [unitKeys, unitQueries],
    facts: { heads, headDim: valueDim, stateSize: heads * keyDim * valueDim },
    flops: (tokens) => ({ products: productFlops(weights), mixing: 6 * tokens * heads * keyDim * valueDim }),
    *run(x, pass, residual) {
      const { qkv, z, a, b } = yield* inputs.run(x, pass);
      yield;
      const tokens = x.dim(0);
      const states = statesOf(memory, pass);
      const mixed = conv.apply(qkv, pass, states(1));
      const [queries, keysOf, valuesOf] = split(mixed, [keys, keys, values], 1);
      const headed = (of: Tensor, count: number, unit: Float32Array): Tensor =>
        rmsNorm(reshape(of, [tokens, count, keyDim]), pass.constant(unit), { eps: unitEps });
      const wide = (name: string): Tensor => cast(pass.weight(name), 'f32');
      const out = gatedDelta(
        {
          q: headed(queries!, keyHeads, unitQueries),
          k: headed(keysOf!, keyHeads, unitKeys),
          v: reshape(valuesOf!, [tokens, heads, valueDim]),
          g: mul(softplus(add(cast(a, 'f32'), wide(stepBias.name))), neg(exp(wide(decayLog.name)))),
          strength: sigmoid(cast(b, 'f32')),
        },
        states(0),
      );
      yield;
      const normed = swiglu(reshape(z, [tokens, heads, valueDim]), norm.apply(out, pass));
      return yield* applyLinear(output, reshape(normed, [tokens, values]), pass, residual);
    },
  };
}

/** The rows of heads of `dim` rows each. */
const rowsOf = (heads: Int32Array, dim: number): Int32Array =>
  Int32Array.from({ length: heads.length * dim }, (_, row) => heads[Math.floor(row / dim)]! * dim + (row % dim));

/** The rows `0` to `first - 1` as they are, then others. */
const after = (first: number, rows: Int32Array): Int32Array =>
  Int32Array.from({ length: first + rows.length }, (_, row) => (row < first ? row : first + rows[row - first]!));
