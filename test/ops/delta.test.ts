// gatedDelta and gatedScan: the case list, states of sequences from call to call, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/delta.js';
import { type Tensor, tensor } from '../../lib/core/tensor.js';
import { mul } from '../../lib/ops/binary.js';
import { cast } from '../../lib/ops/copy.js';
import { gatedDelta, gatedScan } from '../../lib/ops/delta.js';
import { randn, uniform, zeros } from '../../lib/ops/random.js';
import { testDevice as device } from '../device.js';
import { runCases } from './cases.js';

runCases('delta', cases);

const [keyHeads, heads, dk, dv, tokens] = [2, 4, 6, 5, 80];
const numbers = (seed: number, count: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin((i + 1) * (seed + 0.37)) / 2);
const all = {
  q: { shape: [keyHeads, dk], data: numbers(1, tokens * keyHeads * dk) },
  k: { shape: [keyHeads, dk], data: numbers(2, tokens * keyHeads * dk) },
  v: { shape: [heads, dv], data: numbers(3, tokens * heads * dv) },
  g: { shape: [heads], data: numbers(4, tokens * heads).map((x) => x - 0.5) },
  strength: { shape: [heads], data: numbers(5, tokens * heads).map((x) => x + 0.5) },
};
type Name = keyof typeof all;

/** The inputs of tokens `from` to `to`. */
function inputs(from: number, to: number): Record<Name, Tensor> {
  const made = Object.entries(all).map(([name, { shape, data }]) => {
    const each = shape.reduce((size, axis) => size * axis, 1);
    return [name, tensor(data.slice(from * each, to * each), { shape: [to - from, ...shape], device })];
  });
  return Object.fromEntries(made) as Record<Name, Tensor>;
}
const ends = (...at: number[]) => tensor(Int32Array.from(at), { shape: [at.length], device });

const ops = { gatedDelta, gatedScan };

describe.each(['gatedDelta', 'gatedScan'] as const)('%s with kept states', (name) => {
  const op = ops[name];

  it('goes on where the sequence was left, whatever the pieces', async () => {
    const whole = await op(inputs(0, tokens), { boundaries: ends(0, tokens) }).data();
    for (const cuts of [
      [0, 33, tokens],
      [0, 1, 2, 70, 71, tokens],
    ]) {
      const states = zeros([2, heads, dk, dv], { device });
      const pieces: number[] = [];
      for (const [i, to] of cuts.slice(1).entries()) {
        const boundaries = ends(0, to - cuts[i]!);
        const out = op(inputs(cuts[i]!, to), { boundaries, kept: { states, places: ends(1) } });
        pieces.push(...(await out.data()));
      }
      expect(pieces).toHaveLength(whole.length);
      pieces.forEach((x, i) => expect(Math.abs(x - whole[i]!)).toBeLessThan(2e-6));
      const kept = await states.data();
      expect(kept.subarray(0, heads * dk * dv).every((x) => x === 0)).toBe(true);
      expect(kept.subarray(heads * dk * dv).some((x) => x !== 0)).toBe(true);
    }
  });

  it('gives a sequence the same bits beside others', async () => {
    const alone = await op(inputs(0, 40), { boundaries: ends(0, 40) }).data();
    const both = await op(inputs(0, tokens), { boundaries: ends(0, 40, tokens) }).data();
    expect([...both.subarray(0, alone.length)]).toEqual([...alone]);
  });
});

describe.each(['gatedDelta', 'gatedScan'] as const)('%s of 16 bits', (name) => {
  // A GPU's tensor cores take the numbers as they are; states and what is written to them are rounded to 2^-11 on the way.
  it('is that of the same numbers in f32, but for roundings', async () => {
    const [heads, dk, dv, tokens] = [2, 40, 48, 100];
    const draw = (shape: number[], seed: number): Tensor => randn(shape, { device, seed, dtype: 'bf16' });
    const unit = (x: Tensor): Tensor => cast(mul(cast(x, 'f32'), dk ** -0.5), 'bf16');
    const [q, k] = [1, 2].map((seed) => unit(draw([tokens, 1, dk], seed))) as [Tensor, Tensor];
    const v = draw([tokens, heads, dv], 3);
    const g = mul(uniform([tokens, heads], { device, seed: 4 }), -0.2);
    const strength = uniform([tokens, heads], { device, seed: 5 });
    const boundaries = ends(0, 37, tokens);
    const run = (dtype: 'f32' | 'bf16') => {
      const [a, b, c] = [q, k, v].map((x) => cast(x, dtype)) as [Tensor, Tensor, Tensor];
      const inputs = { q: a, k: b, v: c, g };
      return name === 'gatedScan'
        ? gatedScan(inputs, { boundaries })
        : gatedDelta({ ...inputs, strength }, { boundaries });
    };
    const of = async (dtype: 'f32' | 'bf16') => Array.from(await run(dtype).data(), Number);
    const [got, want] = [await of('bf16'), await of('f32')];
    const size = Math.sqrt(want.reduce((sum, x) => sum + x * x, 0) / want.length);
    let worst = 0;
    got.forEach((x, i) => {
      worst = Math.max(worst, Math.abs(x - want[i]!) / (2 ** -8 * Math.abs(want[i]!) + 2e-3 * size));
    });
    expect(worst).toBeLessThan(1);
    expect(size).toBeGreaterThan(0.1);
  });
});

describe('gatedDelta', () => {
  it('names what does not fit', () => {
    const { q, k, v, g, strength } = inputs(0, 8);
    const boundaries = ends(0, 8);
    expect(() => gatedDelta({ q, k, v: zeros([8, 3, dv], { device }), g, strength }, { boundaries })).toThrow(
      new RangeError(
        'gatedDelta: q and k must be [tokens, keyHeads, dk] and v [tokens, a multiple of keyHeads, dv], got [8,2,6], [8,2,6], [8,3,5]',
      ),
    );
    expect(() => gatedDelta({ q, k, v, g: zeros([8, 2], { device }), strength }, { boundaries })).toThrow(
      new RangeError('gatedDelta: g must be [8,4], got [8,2]'),
    );
    const wide = zeros([8, 2, 257], { device });
    expect(() => gatedDelta({ q: wide, k: wide, v, g, strength }, { boundaries })).toThrow(
      new RangeError('gatedDelta: heads must have 1 to 256 channels, got 257 and 5'),
    );
    expect(() => gatedDelta({ q, k, v, g, strength }, { boundaries: ends(0) })).toThrow(
      new RangeError('gatedDelta: boundaries must be [sequences + 1], got [1]'),
    );
  });

  it('has no gradients where states are kept', () => {
    const { q, ...rest } = inputs(0, 8);
    q.requiresGrad = true;
    const kept = { states: zeros([1, heads, dk, dv], { device }), places: ends(0) };
    expect(() => gatedDelta({ q, ...rest }, { boundaries: ends(0, 8), kept })).toThrow(
      'gatedDelta: a call with kept states has no gradients',
    );
  });

  it('fails on boundaries and places outside, and not the process', async () => {
    await expect(gatedDelta(inputs(0, 8), { boundaries: ends(0, 9) }).data()).rejects.toThrow(
      'gatedDelta: boundaries must rise from 0 to at most 8 tokens, got 9 at 1',
    );
    const kept = { states: zeros([2, heads, dk, dv], { device }), places: ends(-1) };
    await expect(gatedDelta(inputs(0, 8), { boundaries: ends(0, 8), kept }).data()).rejects.toThrow(
      'gatedDelta: sequence 0 names place -1 of 2',
    );
  });
});
