// Cases: one op on one set of shapes and formats, with a naive reference. The same list serves four uses: forward
// against the reference, device against device, gradients against finite differences, and timing.
import { backward } from '../core/autograd.js';
import type { Device } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { scope } from '../core/scope.js';
import { type Shape, sizeOf, type Tensor, tensor } from '../core/tensor.js';

/** Numbers in double precision, row by row. */
export interface Numbers {
  shape: Shape;
  data: Float64Array;
}

export interface Input {
  shape: Shape;
  dtype?: DType;
  /** Default `'normal'`. `'integers'` are in `[0, below)`; a list is taken as it is. */
  values?: 'normal' | 'uniform' | 'positive' | { below: number } | readonly number[];
}

export interface Case<Names extends string = string> {
  /** The op with its shapes and formats: it names the test. */
  name: string;
  inputs: Record<Names, Input>;
  run(inputs: Record<Names, Tensor>): Tensor | readonly Tensor[];
  reference(inputs: Record<Names, Numbers>): Numbers | readonly Numbers[];
  /** The inputs whose gradients are checked. Only the first output is differentiated. */
  gradients?: readonly NoInfer<Names>[];
  /** Terms of the longest sum behind one output: rounding grows with its square root. Default 1. */
  terms?: number;
  /** How many times the format's own error is allowed; default 4. Say why at the case. */
  slack?: number;
  /** Floating-point operations of one run, for timing. */
  flops?: number;
}

/** Makes a case with its input names checked, and forgets them for the list. */
export function defineCase<Names extends string>(spec: Case<Names>): Case {
  return spec as unknown as Case;
}

export const numbers = (shape: Shape, data?: ArrayLike<number>): Numbers => ({
  shape,
  data: data ? Float64Array.from(data) : new Float64Array(sizeOf(shape)),
});

/** A seeded generator of uniform numbers in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** Rounds as the format does, so that the reference sees what the op sees. */
export function rounded(value: number, dtype: DType): number {
  if (dtype === 'f32') return Math.fround(value);
  if (dtype === 'bf16') {
    f32[0] = value;
    u32[0] = (u32[0]! + 0x7fff + ((u32[0]! >>> 16) & 1)) & 0xffff0000;
    return f32[0]!;
  }
  if (dtype === 'f16') {
    if (value === 0 || !Number.isFinite(value)) return value;
    const unit = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(value))), -14) - 10);
    const scaled = value / unit;
    const down = Math.floor(scaled);
    const rest = scaled - down;
    return (rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down) * unit;
  }
  return dtype === 'bool' ? Number(value !== 0) : Math.trunc(value);
}

/** Half the distance between neighbouring numbers around 1. */
const roundoff = (dtype: string): number => ({ f32: 2 ** -24, bf16: 2 ** -9, f16: 2 ** -12 })[dtype] ?? 0;

function drawn(input: Input, random: () => number): Numbers {
  const out = numbers(input.shape);
  const dtype = input.dtype ?? 'f32';
  const values = input.values ?? 'normal';
  for (let i = 0; i < out.data.length; i++) {
    let value: number;
    if (values === 'normal') value = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    else if (values === 'uniform') value = 2 * random() - 1;
    else if (values === 'positive') value = 0.1 + random();
    else if ('below' in values) value = Math.floor(random() * values.below);
    else value = values[i] ?? Number.NaN;
    out.data[i] = rounded(value, dtype);
  }
  return out;
}

export function drawInputs(spec: Case, seed = 1): Record<string, Numbers> {
  const random = seeded(seed);
  return Object.fromEntries(Object.entries(spec.inputs).map(([name, input]) => [name, drawn(input, random)]));
}

export function toTensors(spec: Case, drawn: Record<string, Numbers>, device: Device): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(spec.inputs).map(([name, { dtype = 'f32', shape }]) => {
      const data = drawn[name]!.data;
      const flat = dtype === 'i32' ? Int32Array.from(data) : Float32Array.from(data);
      return [name, tensor(flat, { shape, dtype, device })];
    }),
  );
}

const listOf = <T>(one: T | readonly T[]): readonly T[] => (Array.isArray(one) ? one : [one as T]);

export interface Difference {
  /** The largest error as a share of what is allowed: at most 1 passes. NaN never passes. */
  worst: number;
  message: string;
}

/**
 * Compares outputs element by element. Allowed: `slack` roundings of the output's format, and `slack` f32 roundings for
 * each √terms, relative to the number and to the outputs' root mean square.
 */
export function compare(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  dtype: string,
  terms: number,
  slack: number,
): Difference {
  if (got.length !== want.length)
    return { worst: Number.NaN, message: `${got.length} numbers instead of ${want.length}` };
  let squares = 0;
  let finite = 0;
  for (let i = 0; i < want.length; i++) {
    if (!Number.isFinite(want[i]!)) continue;
    squares += want[i]! ** 2;
    finite++;
  }
  const scale = Math.sqrt(squares / Math.max(finite, 1));
  const relative = slack * (roundoff(dtype) + 2 ** -24 * (1 + Math.sqrt(terms)));
  let worst = 0;
  let message = 'equal within rounding';
  for (let i = 0; i < want.length; i++) {
    const x = got[i]!;
    const y = want[i]!;
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    const error = Math.abs(x - y) / (relative * (Math.abs(y) + scale) + 1e-30);
    if (!(error <= worst)) {
      worst = error;
      message = `element ${i}: ${x} instead of ${y} (${error.toPrecision(3)} of what is allowed)`;
    }
    if (Number.isNaN(error)) break;
  }
  return { worst, message };
}

/** Runs the op on the device and compares every output with the reference. */
export async function checkForward(spec: Case, device: Device, seed = 1): Promise<Difference> {
  const drawn = drawInputs(spec, seed);
  const want = listOf(spec.reference(drawn));
  return scope(async () => {
    const got = listOf(spec.run(toTensors(spec, drawn, device)));
    let result: Difference = { worst: 0, message: 'no output' };
    for (const [i, out] of got.entries()) {
      const reference = want[i];
      if (!reference) break;
      if (out.shape.join() !== reference.shape.join()) {
        return { worst: Number.NaN, message: `output ${i} is [${out.shape}] instead of [${reference.shape}]` };
      }
      const next = compare(await out.data(), reference.data, out.dtype, spec.terms ?? 1, spec.slack ?? 4);
      if (Number.isNaN(next.worst)) return next;
      if (i === 0 || next.worst > result.worst) result = next;
    }
    return result;
  });
}

/** The place of the largest magnitude. */
function largestOf(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 1; i < values.length; i++) if (Math.abs(values[i]!) > Math.abs(values[largest]!)) largest = i;
  return largest;
}

/**
 * Compares the op's gradients with central differences of the double-precision reference, for the loss Σ out · weight
 * with random weights. Large inputs are checked at 24 elements.
 */
export async function checkGradients(spec: Case, device: Device, seed = 1, samples = 24): Promise<Difference> {
  const drawn = drawInputs(spec, seed);
  const random = seeded(seed + 1000);
  const first = listOf(spec.reference(drawn))[0]!;
  const weights = Float64Array.from(first.data, () => rounded(2 * random() - 1, 'bf16'));
  const loss = (): number => {
    const out = listOf(spec.reference(drawn))[0]!.data;
    let sum = 0;
    for (let i = 0; i < out.length; i++) sum += out[i]! * weights[i]!;
    return sum;
  };
  return scope(async () => {
    const inputs = toTensors(spec, drawn, device);
    for (const name of spec.gradients ?? []) inputs[name]!.requiresGrad = true;
    const out = listOf(spec.run(inputs))[0]!;
    backward(out, tensor(Float32Array.from(weights), { shape: out.shape, dtype: out.dtype as DType, device }));
    let result: Difference = { worst: 0, message: 'no gradients' };
    for (const name of spec.gradients ?? []) {
      const x = drawn[name]!.data;
      const grad = inputs[name]!.grad;
      if (!grad) {
        if (x.length === 0) continue;
        return { worst: Number.NaN, message: `no gradient reached ${name}` };
      }
      const got = await grad.data();
      grad.dispose();
      if (got.length !== x.length)
        return { worst: Number.NaN, message: `the gradient of ${name} has ${got.length} elements` };
      const chosen =
        x.length <= samples ? [...x.keys()] : Array.from({ length: samples }, () => Math.floor(random() * x.length));
      // Few samples of a sparse gradient may all be zero, which leaves nothing to compare by: its largest is among them.
      if (x.length > samples) chosen[samples - 1] = largestOf(got);
      const numeric = chosen.map((i) => {
        const kept = x[i]!;
        const step = 1e-5 * Math.max(1, Math.abs(kept));
        x[i] = kept + step;
        const above = loss();
        x[i] = kept - step;
        const below = loss();
        x[i] = kept;
        return (above - below) / (2 * step);
      });
      // The differences themselves are good to about 1e-9 of the loss; the ops' own rounding dominates.
      const lowest = [...Object.values(spec.inputs)].some(
        (input) => roundoff((input as Input).dtype ?? 'f32') > 2 ** -20,
      );
      const next = compare(
        chosen.map((i) => got[i]!),
        numeric,
        lowest ? 'bf16' : 'f32',
        (spec.terms ?? 1) + weights.length,
        8 * (spec.slack ?? 4),
      );
      const named = { worst: next.worst, message: `gradient of ${name}: ${next.message}` };
      if (Number.isNaN(next.worst)) return named;
      if (result.message === 'no gradients' || next.worst > result.worst) result = named;
    }
    return result;
  });
}
