// Cases of swiglu and geglu.
import type { DType } from '../core/dtype.js';
import { gatedHalves, geglu, swiglu } from '../ops/gated.js';
import { type Case, defineCase, numbers } from './case.js';
import { geluTanh, silu } from './elementwise.js';

const gates = { swiglu: { op: swiglu, of: silu }, geglu: { op: geglu, of: geluTanh } };

function gated(name: keyof typeof gates, shape: number[], gateType: DType = 'f32', upType: DType = gateType): Case {
  const { op, of } = gates[name];
  return defineCase({
    name: `${name} [${shape}], ${gateType} and ${upType}`,
    inputs: { gate: { shape, dtype: gateType }, up: { shape, dtype: upType } },
    run: ({ gate, up }) => op(gate, up),
    reference: ({ gate, up }) =>
      numbers(
        shape,
        gate.data.map((value, i) => of(value) * up.data[i]!),
      ),
    gradients: ['gate', 'up'],
  });
}

function halves(name: keyof typeof gates, shape: number[], n: number, dtype: DType = 'f32'): Case {
  return defineCase({
    name: `${name} of halves [${shape},${2 * n}], ${dtype}`,
    inputs: { x: { shape: [...shape, 2 * n], dtype } },
    run: ({ x }) => gatedHalves(name, x),
    reference: ({ x }) => {
      const out = numbers([...shape, n]);
      return numbers(
        out.shape,
        out.data.map((_, i) => {
          const at = Math.floor(i / n) * 2 * n + (i % n);
          return gates[name].of(x.data[at]!) * x.data[at + n]!;
        }),
      );
    },
    gradients: ['x'],
  });
}

export const cases: Case[] = (['swiglu', 'geglu'] as const).flatMap((name) => [
  gated(name, [0, 4]),
  gated(name, [1]),
  gated(name, [3, 17]),
  gated(name, [2, 1025]),
  gated(name, [5, 31], 'bf16'),
  gated(name, [5, 31], 'f16'),
  gated(name, [4, 40], 'f32', 'bf16'),
  halves(name, [0], 4),
  halves(name, [3], 17),
  halves(name, [2, 5], 40, 'bf16'),
]);
