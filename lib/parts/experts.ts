// Mixture of experts: a router sends each token to a few of many gated MLPs, whose results are added up with the router's
// weights (Shazeer et al., "Outrageously large neural networks", 2017); perhaps beside an expert that every token has.
import type { Steps } from '../core/steps.js';
import { type Tensor, viewOf } from '../core/tensor.js';
import { add, affine, clamp, mul, sigmoid } from '../ops/elementwise.js';
import { combineExperts, type Routed, type Routing, route, rowsByExpert } from '../ops/experts.js';
import { gatedHalves } from '../ops/gated.js';
import { groupedMatmulSteps } from '../ops/grouped.js';
import { matmulSteps } from '../ops/matmul.js';
import { reshape, slice } from '../ops/view.js';
import { expertRows, withExpertPairs, withPair } from './expert-pairs.js';
import { applyLinear, linearLayer } from './linear.js';
import {
  type Activation,
  activations,
  type GatedActivation,
  type GatedMlpOptions,
  gatedKernels,
  gatedMlp,
} from './mlp.js';
import type { Norm } from './norm.js';
import { type Inside, type Part, type Pass, type Piece, productFlops, type Weight } from './part.js';

/** What tensors are called in checkpoints, inside a layer. */
export interface ExpertNames {
  /** `[experts, hidden]` */
  router: string;
  /** `[experts, 2 · inner, hidden]`, the rows of the gate first. */
  gateUp: string;
  /** `[experts, hidden, inner]` */
  down: string;
  /** Checkpoints that have tensors for each expert instead: `<experts>.<number>.<gate>.weight`, and so on. */
  each?: { router?: string; experts: string; gate: string; up: string; down: string } | undefined;
  /** The tensors of checkpoints that have the matrices as `[in, out]`, gate and up in turns. */
  turned?: { gateUp: string; down: string } | undefined;
  /** The three as parameters of transformers 5, where not the same. */
  parameters?: { router: string; gateUp: string; down: string } | undefined;
}

/** Those of models whose checkpoints have all experts in one tensor. */
export const stackedNames: ExpertNames = {
  router: 'mlp.gate.weight',
  gateUp: 'mlp.experts.gate_up_proj',
  down: 'mlp.experts.down_proj',
};

/** Those of most models: `mlp.experts.0.gate_proj.weight`. */
export const expertNames: ExpertNames = {
  ...stackedNames,
  each: { experts: 'mlp.experts', gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
};

/** Mixtral's: `block_sparse_moe.experts.0.w1.weight`. */
export const mixtralNames: ExpertNames = {
  ...stackedNames,
  each: {
    router: 'block_sparse_moe.gate.weight',
    experts: 'block_sparse_moe.experts',
    gate: 'w1',
    up: 'w3',
    down: 'w2',
  },
};

/** Gemma 4's, whose router is its own. */
export const gemma4Names: ExpertNames = {
  router: 'router.proj.weight',
  gateUp: 'experts.gate_up_proj',
  down: 'experts.down_proj',
};

/** gpt-oss's: biases everywhere, and matrices stored as `[in, out]`, gate and up in turns; or MXFP4, as `[out, in]`. */
export const gptOssNames: ExpertNames = {
  router: 'mlp.router.weight',
  gateUp: 'mlp.experts.gate_up',
  down: 'mlp.experts.down',
  turned: { gateUp: 'mlp.experts.gate_up_proj', down: 'mlp.experts.down_proj' },
  parameters: {
    router: 'mlp.router.weight',
    gateUp: 'mlp.experts.gate_up_proj',
    down: 'mlp.experts.down_proj',
  },
};

/** `g · sigmoid(alpha · g) · (u + 1)` of a gate `g` of at most `limit`, and `u` between both limits. */
export interface ClampedGate {
  alpha: number;
  limit: number;
}

/** Experts without a gate, `down(activation(up(x)))`; `gateUp` then names the up projections. */
export interface WithoutGate {
  plain: Activation;
}

/** A router with more to it than a matrix that LoRA may target as a parameter. */
export interface Router {
  readonly weights: readonly Weight[];
  readonly constants: readonly Float32Array[];
  /** `x [tokens, hidden]` gives logits, f32 `[tokens, experts]`. */
  scores(x: Tensor, pass: Pass): Steps<Tensor>;
  /** The weights of the chosen, f32 `[tokens, chosen]`. */
  weighted(routed: Routed, pass: Pass): Tensor;
}

export interface ExpertsOptions {
  hiddenSize: number;
  /** Of each expert. */
  intermediateSize: number;
  /** How many there are. */
  experts: number;
  routing: Routing;
  activation: GatedActivation | ClampedGate | WithoutGate;
  /** Projections that the experts lie between, where they have another width than the residual stream. */
  latent?: { size: number; into: string; out: string; bias: boolean } | undefined;
  /** Of the router and of the experts. */
  biases?: boolean | undefined;
  /** Default `expertNames`. */
  names?: ExpertNames | undefined;
  /** Default: a matrix by its name, with the biases. */
  router?: Router | undefined;
  /** Of what the experts get, but not the router. */
  inputNorm?: Norm | undefined;
  /** Added to the scores for the choice alone; its name, and the one that checkpoints have instead, if any. */
  bias?: { name: string; other?: string; shape?: readonly number[] } | undefined;
  /** An MLP that every token has, `mlp.shared_expert` by default; `gated` multiplies it by sigmoid(w · x). */
  shared?: Omit<SharedOptions, 'hiddenSize' | 'activation'> | undefined;
}

export function experts(layer: Inside, options: ExpertsOptions): Part {
  const { hiddenSize: hidden, intermediateSize: inner, experts: count, routing, activation, shared } = options;
  const { names = expertNames, latent, inputNorm } = options;
  const width = latent?.size ?? hidden; // of what experts read and write
  const plain = typeof activation === 'object' && 'plain' in activation ? activations[activation.plain] : undefined;
  const { parameters = names } = names;
  const named = (name: string): string => layer(name, '').path;
  const inGguf = (name: string): string => layer('', name).gguf;
  const { each } = names;
  /** `parts` are bands of each expert's rows: their modules, and their names in GGUF files that have them apart. */
  const stacked = (
    name: string,
    parameter: string,
    gguf: string,
    [rows, cols]: readonly [number, number],
    parts: readonly (readonly [module: string | undefined, gguf: string])[],
    turned: string | undefined,
  ): Weight => {
    const band = rows / parts.length;
    const piecesOf = (module: string | undefined, i: number): Piece[] =>
      Array.from({ length: count }, (_, e) => ({
        name: named(`${each?.experts}.${e}.${module}.weight`),
        shape: [band, cols],
        part: (x) => viewOf(x, [band, cols], [cols, 1], (e * rows + i * band) * cols),
      }));
    return {
      name: named(name),
      shape: [count, rows, cols],
      gguf: {
        name: inGguf(`${gguf}.weight`),
        pieces: parts.map(([, kind], i) => ({
          name: inGguf(`${kind}.weight`),
          shape: [count, band, cols],
          part: (x) => viewOf(x, [count, band, cols], x.strides, i * band * cols),
        })),
      },
      ...(each ? { pieces: parts.flatMap(([module], i) => piecesOf(module, i)) } : {}),
      ...(turned ? turnedPieces(named(turned), count, [rows, cols], parts.length) : {}),
      parameter: named(parameter),
      parameterBands: turned ? parts.length : undefined,
      share: routing.chosen / count,
      start: 'random',
    };
  };
  const gateUp = stacked(
    names.gateUp,
    parameters.gateUp,
    plain ? 'ffn_up_exps' : 'ffn_gate_up_exps',
    [plain ? inner : 2 * inner, width],
    [...(plain ? [] : [[each?.gate, 'ffn_gate_exps'] as const]), [each?.up, 'ffn_up_exps']],
    names.turned?.gateUp,
  );
  const down = stacked(
    names.down,
    parameters.down,
    'ffn_down_exps',
    [width, inner],
    [[each?.down, 'ffn_down_exps']],
    names.turned?.down,
  );
  const into = latent && linearLayer(layer(latent.into, 'ffn_latent_down'), { ...latent, out: width, in: hidden });
  const output = latent && linearLayer(layer(latent.out, 'ffn_latent_up'), { ...latent, out: hidden, in: width });
  const bias = options.bias && biasOf(layer, options.bias, count);
  const beside =
    shared && typeof activation === 'string'
      ? sharedExpert(layer, { ...shared, hiddenSize: hidden, activation })
      : undefined;
  const share = routing.chosen / count;
  const biases = options.biases ? biasesOf(layer, count, inner, hidden, share) : undefined;
  const { router = matrixRouter(layer, names, [count, hidden], biases?.router) } = options;
  const own = biases ? [biases.router, biases.gateUp, biases.down] : [];
  const around = [...router.weights, ...(inputNorm?.weights ?? []), ...(bias ? [bias] : [])];
  const weights = [...around, gateUp, down, ...own].concat(
    ...[into, output, beside].map((part) => part?.weights ?? []),
  );

  const activated = (x: Tensor): Tensor => {
    if (plain) return plain(x);
    if (typeof activation === 'string') return gatedHalves(gatedKernels[activation], x);
    return clampedGate(x, activation as ClampedGate);
  };

  return {
    weights,
    memory: [],
    constants: [...router.constants, ...(inputNorm?.constants ?? [])],
    facts: {
      experts: count,
      chosenExperts: routing.chosen,
      expertSize: inner,
      ...(shared ? { sharedSize: shared.intermediateSize } : {}),
    },
    flops: () => ({ products: productFlops(weights), mixing: 0 }),
    *run(x, pass, residual): Steps<Tensor> {
      const logits = yield* router.scores(x, pass);
      const routed = route(logits, routing, bias && reshape(pass.weight(bias.name), [count]));
      const rows = expertRows(routed.experts, count);
      const given = inputNorm ? inputNorm.apply(x, pass) : x;
      const inside = into ? yield* applyLinear(into, given, pass) : given;
      const both = yield* applyExperts(gateUp, biases?.gateUp, rowsByExpert(inside, rows), rows, pass);
      yield;
      const gated = activated(both);
      yield;
      const outputs = yield* applyExperts(down, biases?.down, gated, rows, pass);
      yield;
      const base = beside ? yield* beside.run(x, pass, residual) : residual;
      const shares = router.weighted(routed, pass);
      if (!output) return combineExperts(outputs, shares, rows, base);
      return yield* applyLinear(output, combineExperts(outputs, shares, rows), pass, base);
    },
  };
}

function matrixRouter(layer: Inside, names: ExpertNames, shape: [number, number], bias: Weight | undefined): Router {
  const { each, parameters = names } = names;
  const { path, gguf } = layer(names.router, 'ffn_gate_inp.weight');
  const matrix: Weight = {
    name: path,
    shape,
    gguf: { name: gguf },
    ...(each?.router ? { pieces: [{ name: layer(each.router, '').path, shape, part: all }] } : {}),
    parameter: layer(parameters.router, '').path,
    start: 'random',
  };
  return {
    weights: [matrix],
    constants: [],
    *scores(x, pass) {
      const settings = { transposeB: true, dtype: 'f32', bias: bias && pass.weight(bias.name) } as const;
      return withPair(yield* matmulSteps(x, pass.weight(matrix.name), settings), x, matrix, pass);
    },
    weighted: ({ weights }) => weights,
  };
}

/** `x [rows, in] → [rows, out]` by their experts' matrices, and adapters' pairs beside them. */
function* applyExperts(
  weight: Weight,
  bias: Weight | undefined,
  x: Tensor,
  rows: ReturnType<typeof expertRows>,
  pass: Pass,
): Steps<Tensor> {
  const out = yield* groupedMatmulSteps(x, pass.weight(weight.name), rows.segments, {
    transposeB: true,
    bias: bias && pass.weight(bias.name),
  });
  return yield* withExpertPairs(out, x, weight, rows, pass);
}

/** Pieces of stacked matrices whose rows come from `bands` in turns, turned or as MXFP4. */
function turnedPieces(
  name: string,
  count: number,
  [rows, cols]: readonly [number, number],
  bands: number,
): Pick<Weight, 'pieces' | 'packed'> {
  const band = rows / bands;
  const size = rows * cols;
  const turned = (x: Tensor): Tensor => viewOf(x, [count, cols, band, bands], [size, 1, cols, band * cols]);
  const inTurns = (x: Tensor): Tensor => viewOf(x, [count, band, bands, cols], [size, cols, band * cols, 1]);
  const blocks = [count, rows, cols / 32];
  return {
    pieces: [{ name, shape: [count, cols, rows], part: turned }],
    packed: [
      {
        name: `${name}_blocks`,
        shape: [...blocks, 16],
        exponents: { name: `${name}_scales`, shape: blocks },
        part: inTurns,
      },
    ],
  };
}

interface Biases {
  router: Weight;
  /** `[experts, 2 · inner]`, the gate's first. */
  gateUp: Weight;
  down: Weight;
}

/** gpt-oss's, of which a checkpoint has gate and up in turns. */
function biasesOf(layer: Inside, count: number, inner: number, hidden: number, share: number): Biases {
  const place = (path: string, gguf: string, shape: readonly number[]): Weight => {
    const { path: name, gguf: stored } = layer(path, gguf);
    return { name, shape, gguf: { name: stored }, start: 0 };
  };
  const both = place('mlp.experts.gate_up_bias', 'ffn_gate_up_exps.bias', [count, 2 * inner]);
  const inTurns = (x: Tensor): Tensor => viewOf(x, [count, inner, 2], [2 * inner, 1, inner]);
  const half = (gguf: string, at: number): Piece => ({
    name: layer('', gguf).gguf,
    shape: [count, inner],
    part: (x) => viewOf(x, [count, inner], [2 * inner, 1], at * inner),
  });
  const { path: stored } = layer('mlp.experts.gate_up_proj_bias', '');
  return {
    router: place('mlp.router.bias', 'ffn_gate_inp.bias', [count]),
    gateUp: {
      ...both,
      share,
      gguf: { ...both.gguf, pieces: [half('ffn_gate_exps.bias', 0), half('ffn_up_exps.bias', 1)] },
      pieces: [{ name: stored, shape: both.shape, part: inTurns }],
    },
    down: { ...place('mlp.experts.down_proj_bias', 'ffn_down_exps.bias', [count, hidden]), share },
  };
}

function clampedGate(both: Tensor, { alpha, limit }: ClampedGate): Tensor {
  const inner = both.dim(1) / 2;
  const gate = clamp(slice(both, 1, 0, inner), Number.NEGATIVE_INFINITY, limit);
  const up = clamp(slice(both, 1, inner), -limit, limit);
  return mul(affine(up, 1, 1), mul(gate, sigmoid(affine(gate, alpha, 0))));
}

/** All of a weight. */
const all = (x: Tensor): Tensor => viewOf(x, x.shape, x.strides);

function biasOf(layer: Inside, options: NonNullable<ExpertsOptions['bias']>, count: number): Weight {
  const { name, other, shape = [count] } = options;
  const { path, gguf } = layer(name, 'exp_probs_b.bias');
  const flat = (as: string, size: readonly number[]): Piece[] => [{ name: as, shape: size, part: all }];
  return {
    name: path,
    shape,
    gguf: { name: gguf, ...(shape.length > 1 ? { pieces: flat(gguf, [count]) } : {}) },
    ...(other ? { pieces: flat(layer(other, '').path, shape) } : {}),
    dtype: 'f32',
    start: 0,
  };
}

interface SharedOptions {
  hiddenSize: number;
  intermediateSize: number;
  activation: GatedActivation;
  path?: string;
  gated?: boolean;
  /** See GatedMlpOptions; the names are inside `mlp`. */
  fused?: GatedMlpOptions['fused'];
}

function sharedExpert(layer: Inside, options: SharedOptions): Part {
  const { hiddenSize, path = 'mlp.shared_expert', gated } = options;
  const inner = gatedMlp((name, gguf) => layer(name.replace(/^mlp\b/, path), `${gguf}_shexp`), options);
  if (!gated) return inner;
  const gate = linearLayer(layer('mlp.shared_expert_gate', 'ffn_gate_inp_shexp'), { out: 1, in: hiddenSize });
  const [weight] = gate.weights;
  // A GGUF file has it as a row, of one axis.
  const row = { name: weight!.gguf.name, shape: [hiddenSize], part: (x: Tensor) => viewOf(x, [hiddenSize], [1]) };
  const weights = [...inner.weights, { ...weight!, gguf: { ...weight!.gguf, pieces: [row] } }];
  return {
    ...inner,
    weights,
    flops: () => ({ products: productFlops(weights), mixing: 0 }),
    *run(x, pass, residual): Steps<Tensor> {
      const open = sigmoid(yield* applyLinear(gate, x, pass));
      const out = mul(yield* inner.run(x, pass), open);
      return residual ? add(residual, out) : out;
    },
  };
}
