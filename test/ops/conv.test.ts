// causalConv: the case list, tails of sequences from call to call, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/conv.js';
import { tensor } from '../../lib/core/tensor.js';
import { causalConv } from '../../lib/ops/conv.js';
import { zeros } from '../../lib/ops/random.js';
import { testDevice as device } from '../device.js';
import { runCases } from './cases.js';

runCases('conv', cases);

const [channels, width] = [5, 4];
const x = Float32Array.from({ length: 9 * channels }, (_, i) => Math.sin(i * i));
const weight = tensor(
  Float32Array.from({ length: channels * width }, (_, i) => Math.cos(i)),
  { shape: [channels, width], device },
);
const ends = (...at: number[]) => tensor(Int32Array.from(at), { shape: [at.length], device });
const rows = (from: number, to: number) =>
  tensor(x.slice(from * channels, to * channels), { shape: [to - from, channels], device });

describe('causalConv with kept tails', () => {
  it('goes on where the sequence was left, whatever the pieces', async () => {
    const whole = await causalConv(rows(0, 9), weight, { boundaries: ends(0, 9), silu: true }).data();
    for (const cuts of [
      [0, 5, 9],
      [0, 1, 2, 9],
      [0, 4, 5, 6, 7, 8, 9],
    ]) {
      const states = zeros([3, width - 1, channels], { device });
      const pieces: number[] = [];
      for (const [i, to] of cuts.slice(1).entries()) {
        const part = rows(cuts[i]!, to);
        const kept = { states, places: ends(2) };
        pieces.push(...(await causalConv(part, weight, { boundaries: ends(0, part.dim(0)), silu: true, kept }).data()));
      }
      expect(pieces).toEqual([...whole]);
      expect([...(await states.data())].slice(0, 2 * (width - 1) * channels)).toEqual(
        Array(2 * (width - 1) * channels).fill(0),
      );
      expect([...(await states.data())].slice(2 * (width - 1) * channels)).toEqual([...x.slice(6 * channels)]);
    }
  });
});

describe('causalConv', () => {
  it('names what does not fit', () => {
    const boundaries = ends(0, 9);
    expect(() => causalConv(rows(0, 9), zeros([4, 4], { device }), { boundaries })).toThrow(
      new RangeError('causalConv: takes [tokens, channels] and [channels, width], got [9,5] and [4,4]'),
    );
    expect(() => causalConv(rows(0, 9), zeros([5, 17], { device }), { boundaries })).toThrow(
      new RangeError('causalConv: the width must be 1 to 16, got 17'),
    );
    expect(() => causalConv(rows(0, 9), weight, { boundaries, bias: zeros([4], { device }) })).toThrow(
      new RangeError('causalConv: bias must be [5], got [4]'),
    );
    const kept = { states: zeros([2, 4, 5], { device }), places: ends(1) };
    expect(() => causalConv(rows(0, 9), weight, { boundaries, kept })).toThrow(
      new RangeError('causalConv: states must be [places,3,5], got [2,4,5]'),
    );
  });

  it('fails on boundaries and places outside, and not the process', async () => {
    await expect(causalConv(rows(0, 9), weight, { boundaries: ends(0, 12) }).data()).rejects.toThrow(
      'causalConv: boundaries must rise from 0 to at most 9 tokens, got 12 at 1',
    );
    const kept = { states: zeros([2, width - 1, channels], { device }), places: ends(7) };
    await expect(causalConv(rows(0, 9), weight, { boundaries: ends(0, 9), kept }).data()).rejects.toThrow(
      'causalConv: sequence 0 names place 7 of 2',
    );
  });
});
