// MLPs: gated, down(activation(gate(x)) · up(x)) (Shazeer, "GLU variants improve transformer", 2020), and without a gate,
// down(activation(up(x))).
import type { Steps } from '../core/steps.js';
import { type Tensor, viewOf } from '../core/tensor.js';
import { add, affine, gelu, geluTanh, mul, relu, silu, sqrt, sub, tanh } from '../ops/elementwise.js';
import { gatedHalves, geglu, swiglu } from '../ops/gated.js';
import { mean, variance } from '../ops/reduce.js';
import { split } from '../ops/view.js';
import { applyLinear, type LinearLayer, type LinearOptions, linearLayer } from './linear.js';
import { type Inside, type Part, type Pass, productFlops, type Weight } from './part.js';

/** The kernels of activations that have one. */
export const gatedKernels = { silu: 'swiglu', geluTanh: 'geglu' } as const;

export type GatedActivation = keyof typeof gatedKernels;

/** Of gate and up, as two tensors or as halves of one. */
interface GatedRule {
  of(gate: Tensor, up: Tensor): Tensor;
  halves(both: Tensor): Tensor;
}

const byGelu = (gate: Tensor, up: Tensor): Tensor => mul(gelu(gate), up);
const gatedRules = {
  silu: { of: swiglu, halves: (both) => gatedHalves('swiglu', both) },
  geluTanh: { of: geglu, halves: (both) => gatedHalves('geglu', both) },
  gelu: { of: byGelu, halves: (both) => byGelu(...(split(both, both.dim(-1) / 2, -1) as [Tensor, Tensor])) },
} satisfies Readonly<Record<string, GatedRule>>;

export interface GatedMlpOptions {
  /** The gate keeps what lies more standard deviations than this above its row's mean. Not where it is fused. */
  sparsity?: number | undefined;
  hiddenSize: number;
  intermediateSize: number;
  activation: keyof typeof gatedRules;
  bias?: boolean | undefined;
  /**
   * One projection for both, the gate's rows first: `mlp.gate_up_proj` or a name of its own, in GGUF files `ffn_up`, or with
   * `apart` there `ffn_gate` and `ffn_up`.
   */
  fused?: boolean | { into: string; down: string; apart?: boolean } | undefined;
  /** What the gate is multiplied by before it is activated, where not fused. Default 1. */
  gateScale?: number | undefined;
  /** The modules' names, where not fused. */
  names?: { gate: string; up: string; down: string } | undefined;
}

/** The weights are `mlp.{gate,up,down}_proj` of the layer, or `mlp.{gate_up,down}_proj`, unless other names are given. */
export function gatedMlp(layer: Inside, options: GatedMlpOptions): Part {
  const { hiddenSize: hidden, intermediateSize: inner, activation, bias, fused, gateScale = 1 } = options;
  const usual = { gate: 'mlp.gate_proj', up: 'mlp.up_proj', into: 'mlp.gate_up_proj', down: 'mlp.down_proj' };
  const names = { ...usual, ...options.names, ...(typeof fused === 'object' ? fused : {}) };
  const into = fused
    ? [fusedLayer(layer, names.into, typeof fused === 'object' && fused.apart, { out: 2 * inner, in: hidden, bias })]
    : [
        linearLayer(layer(names.gate, 'ffn_gate'), { out: inner, in: hidden, bias }),
        linearLayer(layer(names.up, 'ffn_up'), { out: inner, in: hidden, bias }),
      ];
  const down = linearLayer(layer(names.down, 'ffn_down'), { out: hidden, in: inner, bias });
  const gated = gatedRules[activation];
  return mlp(into, down, inner, ([first, second]) => {
    if (!second) return gated.halves(first!);
    const gate = options.sparsity === undefined ? first! : above(first!, options.sparsity);
    return gated.of(gateScale === 1 ? gate : affine(gate, gateScale, 0), second);
  });
}

/** What each row has above its mean and so many standard deviations, else 0. */
function above(x: Tensor, deviations: number): Tensor {
  const spread = affine(sqrt(variance(x, -1, { keepDims: true, correction: 0 })), deviations, 0);
  return relu(sub(x, add(mean(x, -1, { keepDims: true }), spread)));
}

function fusedLayer(layer: Inside, name: string, apart: boolean | undefined, options: LinearOptions): LinearLayer {
  if (!apart) return linearLayer(layer(name, 'ffn_up'), options);
  if (options.bias) throw new Error(`${layer(name, '').path}: a bias of a fused layer has no form in GGUF files`);
  const linear = linearLayer(layer(name, 'ffn_gate_up'), options);
  const [weight] = linear.weights as [Weight];
  const half = [options.out / 2, options.in] as const;
  const pieces = ['ffn_gate', 'ffn_up'].map((kind, i) => ({
    name: `${layer('', kind).gguf}.weight`,
    shape: half,
    part: (x: Tensor) => viewOf(x, half, x.strides, i * half[0] * half[1]),
  }));
  return { ...linear, weights: [{ ...weight, gguf: { ...weight.gguf, pieces } }] };
}

/** By their names in config.json. */
export const activations = {
  gelu,
  gelu_fast: geluTanh,
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  relu,
  relu2(x: Tensor): Tensor {
    const positive = relu(x);
    return mul(positive, positive);
  },
  silu,
  swish: silu,
  tanh,
};

export type Activation = keyof typeof activations;

export const activationNames = Object.keys(activations) as Activation[];

export interface PlainMlpOptions {
  hiddenSize: number;
  intermediateSize: number;
  activation: Activation;
  bias?: boolean | undefined;
  /** The checkpoint stores its matrices as `[in, out]`. */
  transposed?: boolean | undefined;
  /** The modules' names. */
  names: { up: string; down: string };
}

/** An MLP without a gate. */
export function plainMlp(layer: Inside, options: PlainMlpOptions): Part {
  const { hiddenSize: hidden, intermediateSize: inner, activation, bias, transposed, names } = options;
  const up = linearLayer(layer(names.up, 'ffn_up'), { out: inner, in: hidden, bias, transposed });
  const down = linearLayer(layer(names.down, 'ffn_down'), { out: hidden, in: inner, bias, transposed });
  const activate = activations[activation];
  return mlp([up], down, inner, ([x]) => activate(x!));
}

function mlp(
  into: readonly LinearLayer[],
  down: LinearLayer,
  inner: number,
  activate: (projected: readonly Tensor[]) => Tensor,
): Part {
  const weights = [...into, down].flatMap((linear) => linear.weights);
  return {
    weights,
    memory: [],
    constants: [],
    facts: { intermediateSize: inner },
    flops: () => ({ products: productFlops(weights), mixing: 0 }),
    *run(x: Tensor, pass: Pass, residual?: Tensor): Steps<Tensor> {
      const projected: Tensor[] = [];
      for (const linear of into) {
        projected.push(yield* applyLinear(linear, x, pass));
        yield;
      }
      const activated = activate(projected);
      yield;
      return yield* applyLinear(down, activated, pass, residual);
    },
  };
}
