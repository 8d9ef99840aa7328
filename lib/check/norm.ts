// Cases of RMSNorm and LayerNorm.
import type { DType } from '../core/dtype.js';
import { layerNorm, rmsNorm } from '../ops/norm.js';
import { type Case, defineCase, type Numbers, numbers } from './case.js';

/** Each row less `center(row)`, over the root of its mean square, times the weight, plus the bias. */
function reference(
  x: Numbers,
  centered: boolean,
  eps: number,
  weight: (i: number) => number,
  bias: (i: number) => number,
): Numbers {
  const out = numbers(x.shape);
  const cols = x.shape.at(-1)!;
  for (let at = 0; at < x.data.length; at += cols) {
    const row = x.data.subarray(at, at + cols);
    const center = centered ? row.reduce((a, b) => a + b, 0) / cols : 0;
    const scale = 1 / Math.sqrt(row.reduce((a, b) => a + (b - center) ** 2, 0) / cols + eps);
    for (const [i, value] of row.entries()) out.data[at + i] = (value - center) * scale * weight(i) + bias(i);
  }
  return out;
}

function rms(shape: number[], dtype: DType = 'f32', weightDType: DType = dtype, eps = 1e-6, shift = 0): Case {
  return defineCase({
    name: `rmsNorm ${dtype} [${shape}], ${weightDType} weight, eps ${eps}, shift ${shift}`,
    inputs: { x: { shape, dtype }, weight: { shape: [shape.at(-1)!], dtype: weightDType } },
    run: ({ x, weight }) => rmsNorm(x, weight, { eps, shift }),
    reference: ({ x, weight }) =>
      reference(
        x,
        false,
        eps,
        (i) => weight.data[i]! + shift,
        () => 0,
      ),
    gradients: ['x', 'weight'],
    terms: shape.at(-1)!,
  });
}

function layer(shape: number[], dtype: DType = 'f32', parameters: DType = dtype): Case {
  const cols = [shape.at(-1)!];
  return defineCase({
    name: `layerNorm ${dtype} [${shape}], ${parameters} parameters`,
    inputs: {
      x: { shape, dtype },
      weight: { shape: cols, dtype: parameters },
      bias: { shape: cols, dtype: parameters },
    },
    run: ({ x, weight, bias }) => layerNorm(x, weight, bias),
    reference: ({ x, weight, bias }) =>
      reference(
        x,
        true,
        1e-5,
        (i) => weight.data[i]!,
        (i) => bias.data[i]!,
      ),
    gradients: ['x', 'weight', 'bias'],
    terms: shape.at(-1)!,
  });
}

/** The same with parameters that are frozen, as in an adapter's training: only x has a gradient. */
const frozen = (spec: Case): Case => ({ ...spec, name: `${spec.name}, frozen`, gradients: ['x'] });

// Rows of 16, of 7, and too long for the registers of a GPU's block.
const widths: Case[] = [rms, layer].flatMap((of) =>
  [16, 7, 8200].flatMap((cols) => [of([2, cols]), frozen(of([2, cols]))]),
);

export const cases: Case[] = [
  ...widths,
  rms([0, 8]),
  rms([1, 1], 'f32', 'f32', 0.5), // with a small eps its gradient is all cancellation
  rms([3, 7]),
  rms([2, 3, 16]),
  rms([5, 65], 'f32', 'f32', 1e-5, 1),
  rms([33, 100], 'bf16'),
  rms([4, 31], 'f16'),
  rms([4, 48], 'f32', 'bf16', 1e-5),
  rms([4, 48], 'bf16', 'f32', 1e-5, 1),
  rms([1100, 20]),
  rms([2, 4096]),
  layer([0, 8]),
  layer([3, 7]),
  layer([2, 3, 16]),
  layer([5, 65]),
  layer([33, 100], 'bf16'),
  layer([4, 31], 'f16', 'f32'),
  layer([1100, 20]),
  layer([2, 4096]),
];
