// Alternating updates (Baykal et al., "Alternating updates for efficient transformers", 2023), as Gemma 3n has them: the
// residual stream is several, `[tokens, streams · hidden]`, of which a layer computes one and predicts the others.
//
//   p_i = x_i + Σ_j C_ij x_j        y = layer(p_a)        x_i ← p_i + c_i (y − p_a)        C and c by tanh(W norm(x) / hidden)
import type { Steps } from '../../core/steps.js';
import { type Tensor, viewOf } from '../../core/tensor.js';
import { stack } from '../../ops/copy.js';
import { add, affine, div, maximum, mul, power, sqrt, sub, tanh } from '../../ops/elementwise.js';
import { mean, sum } from '../../ops/reduce.js';
import { reshape, select } from '../../ops/view.js';
import { applyLinear, type LinearLayer, linearLayer } from '../linear.js';
import { normOf } from '../norm.js';
import { type Inside, type Part, type Pass, productFlops, type Weight } from '../part.js';

export interface StreamOptions {
  hiddenSize: number;
  /** How many there are. */
  streams: number;
}

const streamsOf = (x: Tensor, { hiddenSize, streams }: StreamOptions): Tensor =>
  reshape(x, [x.dim(0), streams, hiddenSize]);

const joinedStreams = (list: readonly Tensor[]): Tensor => {
  const [tokens, hidden] = list[0]!.shape as [number, number];
  return reshape(stack(list, 1), [tokens, list.length * hidden]);
};

const magnitude = (x: Tensor, least = 0): Tensor => {
  const square = mean(power(x, 2), -1, { keepDims: true });
  return sqrt(least === 0 ? square : maximum(square, least));
};

/** The other streams' projections, which a GGUF file has in one tensor. */
function projections(model: Inside, name: string, gguf: string, { hiddenSize, streams }: StreamOptions) {
  const shape = [streams - 1, hiddenSize, hiddenSize];
  const place = model(name, gguf);
  const linears = Array.from({ length: streams - 1 }, (_, i) =>
    linearLayer({ path: `${place.path}.${i}`, gguf: `${place.gguf}.${i}` }, { out: hiddenSize, in: hiddenSize }),
  );
  const weights = linears.flatMap((linear, i) =>
    linear.weights.map((weight): Weight => {
      const size = [hiddenSize, hiddenSize];
      const piece = {
        name: `${place.gguf}.weight`,
        shape,
        part: (x: Tensor) => viewOf(x, size, [hiddenSize, 1]),
        from: (x: Tensor) => viewOf(x, size, [hiddenSize, 1], i * hiddenSize * hiddenSize),
      };
      return { ...weight, gguf: { ...weight.gguf, pieces: [piece] } };
    }),
  );
  return { linears, weights };
}

/** `y`, projected, as large as `like`: its root mean square. */
function* matched(linear: LinearLayer, y: Tensor, like: Tensor, pass: Pass): Steps<Tensor> {
  const made = yield* applyLinear(linear, y, pass);
  return mul(made, div(like, magnitude(made, 1e-5)));
}

const plainPart = (weights: readonly Weight[], run: Part['run']): Part => ({
  weights,
  memory: [],
  constants: [],
  facts: {},
  flops: () => ({ products: productFlops(weights), mixing: 0 }),
  run,
});

/** Makes the streams of the embedding: `[tokens, hidden]` gives `[tokens, streams · hidden]`. `model.altup_projections`. */
export function splitStreams(model: Inside, options: StreamOptions): Part {
  const { linears, weights } = projections(model, 'altup_projections', 'altup_proj', options);
  return plainPart(weights, function* (x, pass): Steps<Tensor> {
    const [like, list] = [magnitude(x), [x]];
    for (const linear of linears) list.push(yield* matched(linear, x, like, pass));
    return joinedStreams(list);
  });
}

/** Their mean at the end: `[tokens, streams · hidden]` gives `[tokens, hidden]`. `model.altup_unembed_projections`. */
export function joinStreams(model: Inside, options: StreamOptions): Part {
  const { linears, weights } = projections(model, 'altup_unembed_projections', 'altup_unembd_proj', options);
  return plainPart(weights, function* (x, pass): Steps<Tensor> {
    const streams = streamsOf(x, options);
    let total = select(streams, 1, 0);
    const like = magnitude(total);
    for (const [i, linear] of linears.entries())
      total = add(total, yield* matched(linear, select(streams, 1, i + 1), like, pass));
    return affine(total, 1 / options.streams, 0);
  });
}

export interface AltUpOptions extends StreamOptions {
  eps: number;
  /** The stream that the layer computes. */
  active: number;
  /** Whether what `beside` gets is scaled. */
  scaled: boolean;
}

/**
 * A layer of streams around `body`, which computes one. What `beside` makes of that one is added to all but the first. The
 * weights are `altup.*` of the layer.
 */
export function altUp(layer: Inside, options: AltUpOptions, body: Part, beside: Part): Part {
  const { hiddenSize, streams, eps, active, scaled } = options;
  const project = (name: string, gguf: string, out: number, from: number): LinearLayer =>
    linearLayer(layer(`altup.${name}`, gguf), { out, in: from });
  const router = project('modality_router', 'altup_router', streams, hiddenSize);
  const predict = project('prediction_coefs', 'altup_predict_coef', streams * streams, streams);
  const correct = project('correction_coefs', 'altup_correct_coef', streams, streams);
  const norm = normOf(layer('altup.router_norm', 'altup_router_norm'), { size: hiddenSize, eps });
  const place = layer('altup.correct_output_scale', 'altup_correct_scale.weight');
  const scale: Weight = { name: place.path, shape: [hiddenSize], gguf: { name: place.gguf }, start: 1 };
  const own = [correct, predict, router, norm].flatMap(({ weights }) => weights);
  const parts = [body, beside];

  function* modalities(x: Tensor, pass: Pass): Steps<Tensor> {
    return tanh(yield* applyLinear(router, affine(norm.apply(x, pass), 1 / hiddenSize, 0), pass));
  }

  return {
    weights: [scale, ...own, ...parts.flatMap(({ weights }) => weights)],
    memory: parts.flatMap(({ memory }) => memory),
    constants: [...norm.constants, ...parts.flatMap(({ constants }) => constants)],
    facts: { streams, ...body.facts, ...beside.facts },
    gives: parts.flatMap(({ gives = [] }) => gives),
    takes: parts.flatMap(({ takes = [] }) => takes),
    flops(tokens) {
      const [inner, input] = [body.flops(tokens), beside.flops(tokens)];
      return { products: productFlops(own) + inner.products + input.products, mixing: inner.mixing + input.mixing };
    },
    *run(x, pass, residual): Steps<Tensor> {
      const all = streamsOf(x, options);
      const tokens = x.dim(0);
      const routed = yield* modalities(select(all, 1, active), pass);
      const coefficients = reshape(yield* applyLinear(predict, routed, pass), [tokens, streams, streams, 1]);
      const predicted = Array.from({ length: streams }, (_, i) =>
        add(select(all, 1, i), sum(mul(all, select(coefficients, 1, i)), 1)),
      );
      yield;
      const given = predicted[active]!;
      const made = yield* body.run(given, pass);
      yield;
      const news = sub(made, given);
      const shares = affine(yield* applyLinear(correct, yield* modalities(made, pass), pass), 1, 1);
      const corrected = predicted.map((y, i) => add(y, mul(news, reshape(select(shares, 1, i), [tokens, 1]))));
      const first = corrected[active]!;
      const input = yield* beside.run(scaled ? mul(first, pass.weight(scale.name)) : first, pass);
      const out = joinedStreams(corrected.map((y, i) => (i === 0 ? y : add(y, input))));
      return residual ? add(residual, out) : out;
    },
  };
}

/** `x + norm(B A x)`: a residual of low rank (LAuReL, Menghani et al., 2024). The weights are `laurel.*` of the layer. */
export function laurel(
  layer: Inside,
  { hiddenSize, rank, eps }: { hiddenSize: number; rank: number; eps: number },
): Part {
  const left = linearLayer(layer('laurel.linear_left', 'laurel_l'), { out: rank, in: hiddenSize });
  const right = linearLayer(layer('laurel.linear_right', 'laurel_r'), { out: hiddenSize, in: rank });
  const norm = normOf(layer('laurel.post_laurel_norm', 'laurel_post_norm'), { size: hiddenSize, eps });
  const weights = [left, right, norm].flatMap((part) => part.weights);
  return plainPart(weights, function* (x, pass, residual): Steps<Tensor> {
    const out = add(x, norm.apply(yield* applyLinear(right, yield* applyLinear(left, x, pass), pass), pass));
    return residual ? add(residual, out) : out;
  });
}
