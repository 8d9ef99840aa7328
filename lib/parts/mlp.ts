// Gated MLP: down(activation(gate(x)) · up(x)) (Shazeer, "GLU variants improve transformer", 2020).
import { geglu, swiglu } from '../ops/gated.js';
import { applyLinear, linearLayer } from './linear.js';
import { type Inside, type Part, productFlops } from './part.js';

const activations = { silu: swiglu, geluTanh: geglu };

export type GatedActivation = keyof typeof activations;

export interface GatedMlpOptions {
  hiddenSize: number;
  intermediateSize: number;
  activation: GatedActivation;
  bias?: boolean | undefined;
}

/** The weights are `mlp.{gate,up,down}_proj` of the layer. */
export function gatedMlp(
  layer: Inside,
  { hiddenSize: hidden, intermediateSize: inner, activation, bias }: GatedMlpOptions,
): Part {
  const gate = linearLayer(layer('mlp.gate_proj', 'ffn_gate'), { out: inner, in: hidden, bias });
  const up = linearLayer(layer('mlp.up_proj', 'ffn_up'), { out: inner, in: hidden, bias });
  const down = linearLayer(layer('mlp.down_proj', 'ffn_down'), { out: hidden, in: inner, bias });
  const weights = [gate, up, down].flatMap((linear) => linear.weights);
  return {
    weights,
    memory: [],
    constants: [],
    facts: { intermediateSize: inner },
    flops: () => ({ products: productFlops(weights), mixing: 0 }),
    *run(x, pass, residual) {
      const gateInput = yield* applyLinear(gate, x, pass);
      yield;
      const upInput = yield* applyLinear(up, x, pass);
      yield;
      const gated = activations[activation](gateInput, upInput);
      yield;
      return yield* applyLinear(down, gated, pass, residual);
    },
  };
}
