// A router that norms its input by itself and scales what it gives (Gemma 4): experts are chosen by W (norm(x) · scale / √hidden),
// and the weights of the chosen are multiplied by a factor of each expert.
import type { Tensor } from '../../core/tensor.js';
import { cast } from '../../ops/copy.js';
import { affine, mul } from '../../ops/elementwise.js';
import { embedding } from '../../ops/embedding.js';
import type { Routed } from '../../ops/experts.js';
import { reshape } from '../../ops/view.js';
import type { Router } from '../experts.js';
import { applyLinear, linearLayer } from '../linear.js';
import { plainRms } from '../norm.js';
import type { Inside, Pass, Weight } from '../part.js';

/** The weights are `router.{proj,scale,per_expert_scale}` of the layer; LoRA may target `router.proj`. */
export function scaledRouter(
  layer: Inside,
  { hiddenSize, experts, eps }: { hiddenSize: number; experts: number; eps: number },
): Router {
  const norm = plainRms(hiddenSize, eps);
  const project = linearLayer(layer('router.proj', 'ffn_gate_inp'), { out: experts, in: hiddenSize });
  const factors = (path: string, gguf: string, size: number): Weight => {
    const place = layer(path, gguf);
    return { name: place.path, shape: [size], gguf: { name: place.gguf }, start: 1 };
  };
  const scale = factors('router.scale', 'ffn_gate_inp.scale', hiddenSize);
  const each = factors('router.per_expert_scale', 'ffn_down_exps.scale', experts);
  return {
    weights: [...project.weights, scale, each],
    constants: norm.constants,
    *scores(x, pass) {
      const scaled = affine(mul(norm.apply(x, pass), pass.weight(scale.name)), hiddenSize ** -0.5, 0);
      return cast(yield* applyLinear(project, scaled, pass), 'f32');
    },
    weighted({ weights, experts: chosen }: Routed, pass: Pass): Tensor {
      const own = embedding(reshape(pass.weight(each.name), [experts, 1]), chosen, { dtype: 'f32' });
      return mul(weights, reshape(own, weights.shape));
    },
  };
}
