// Per-layer embeddings (Gemma 3n and 4): besides its row of the token embedding, a token has a short one for each layer, in
// one wide table. They are gathered once, mixed with a projection of the residual stream, and each layer adds its own:
//
//   inputs = (norm(W x / √hidden) + √size · rows) / √2          x + norm(up(gelu(gate(x)) · inputs[layer]))
import type { Steps } from '../../core/steps.js';
import type { Tensor } from '../../core/tensor.js';
import { add, affine, lessEqual, where } from '../../ops/elementwise.js';
import { embedding } from '../../ops/embedding.js';
import { geglu } from '../../ops/gated.js';
import { reshape, select } from '../../ops/view.js';
import { applyLinear, linearLayer } from '../linear.js';
import type { Link } from '../link.js';
import { normOf } from '../norm.js';
import { type Inside, type Part, productFlops, type Weight } from '../part.js';

export interface PerLayerOptions {
  hiddenSize: number;
  /** Of each layer's row. */
  size: number;
  layers: number;
  /** Tokens that have rows; a token beyond has those of token 0. */
  vocabSize: number;
  eps: number;
}

export interface PerLayerInputs {
  /** Gives the inputs of all layers, and leaves the residual stream as it is. */
  readonly part: Part;
  /** `[tokens, layers, size]` */
  readonly inputs: Link;
  readonly size: number;
}

/** The weights are `model.{embed_tokens_per_layer, per_layer_model_projection, per_layer_projection_norm}`. */
export function perLayerInputs(model: Inside, options: PerLayerOptions, vocabSize: number): PerLayerInputs {
  const { hiddenSize, size, layers, vocabSize: rows, eps } = options;
  const inputs: Link = { of: 'the inputs of each layer' };
  const place = model('embed_tokens_per_layer', 'per_layer_token_embd');
  const table: Weight = {
    name: `${place.path}.weight`,
    shape: [rows, layers * size],
    gguf: { name: `${place.gguf}.weight` },
    share: 1 / rows,
    start: 'random',
  };
  const project = linearLayer(model('per_layer_model_projection', 'per_layer_model_proj'), {
    out: layers * size,
    in: hiddenSize,
  });
  const norm = normOf(model('per_layer_projection_norm', 'per_layer_proj_norm'), { size, eps });
  const weights = [table, ...project.weights, ...norm.weights];
  const part: Part = {
    weights,
    memory: [],
    constants: norm.constants,
    facts: {},
    gives: [inputs],
    flops: () => ({ products: productFlops(project.weights), mixing: 0 }),
    *run(x, pass, residual): Steps<Tensor> {
      const { tokens } = pass.batch;
      const shape = [x.dim(0), layers, size];
      const projected = affine(yield* applyLinear(project, x, pass), hiddenSize ** -0.5, 0);
      yield;
      const ids = rows < vocabSize ? where(lessEqual(tokens, rows - 1), tokens, 0) : tokens;
      const own = embedding(pass.weight(table.name), ids, { dtype: x.dtype });
      const both = add(norm.apply(reshape(projected, shape), pass), affine(reshape(own, shape), Math.sqrt(size), 0));
      pass.give(inputs, affine(both, Math.SQRT1_2, 0));
      return residual ? add(residual, x) : x;
    },
  };
  return { part, inputs, size };
}

/** What layer `index` makes of its inputs: `per_layer_{input_gate,projection}` and `post_per_layer_input_norm` of the layer. */
export function perLayerInput(
  layer: Inside,
  index: number,
  { inputs, size }: PerLayerInputs,
  { hiddenSize, eps }: { hiddenSize: number; eps: number },
): Part {
  const gate = linearLayer(layer('per_layer_input_gate', 'inp_gate'), { out: size, in: hiddenSize });
  const up = linearLayer(layer('per_layer_projection', 'proj'), { out: hiddenSize, in: size });
  const norm = normOf(layer('post_per_layer_input_norm', 'post_norm'), { size: hiddenSize, eps });
  const weights = [gate, up, norm].flatMap((part) => part.weights);
  return {
    weights,
    memory: [],
    constants: norm.constants,
    facts: { perLayerSize: size },
    takes: [inputs],
    flops: () => ({ products: productFlops(weights), mixing: 0 }),
    *run(x, pass, residual): Steps<Tensor> {
      const gated = geglu(yield* applyLinear(gate, x, pass), select(pass.taken(inputs), 1, index));
      const out = norm.apply(yield* applyLinear(up, gated, pass), pass);
      return residual ? add(residual, out) : out;
    },
  };
}
