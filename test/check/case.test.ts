// What the checks of ops must notice: a NaN anywhere, a wrong number anywhere, whatever comes after it.
import { describe, expect, it } from 'vitest';
import { type Case, checkForward, checkGradients, defineCase, numbers } from '../../lib/check/case.js';
import { record } from '../../lib/core/autograd.js';
import { device } from '../../lib/core/device.js';
import { empty, type Tensor } from '../../lib/core/tensor.js';
import { add } from '../../lib/ops/elementwise.js';
import { full } from '../../lib/ops/random.js';

const cpu = device('cpu');
const like = (x: Tensor, value: number): Tensor => full(x.shape, value, { device: x.device });

/** Two outputs, `a + b` twice, to which `wrong` is added. */
const twoOutputs = (wrong: readonly [number, number]): Case =>
  defineCase({
    name: 'two sums',
    inputs: { a: { shape: [3] }, b: { shape: [3] } },
    run: ({ a, b }) => wrong.map((by) => add(add(a!, b!), by)),
    reference: ({ a, b }) => {
      const sum = numbers(
        a!.shape,
        a!.data.map((x, i) => x + b!.data[i]!),
      );
      return [sum, sum];
    },
  });

/** A sum whose gradients are `slopes` instead of 1. */
const twoGradients = (slopes: readonly [number, number]): Case =>
  defineCase({
    name: 'a sum',
    inputs: { a: { shape: [3] }, b: { shape: [3] } },
    run: ({ a, b }) => {
      const rule = (slope: number) => (grad: Tensor) => (slope === 1 ? grad : like(grad, slope));
      const out = empty([3], { device: cpu });
      out.write(Float32Array.of(0, 0, 0));
      return record(out, [a!, rule(slopes[0])], [b!, rule(slopes[1])]);
    },
    reference: ({ a, b }) =>
      numbers(
        a!.shape,
        a!.data.map((x, i) => x + b!.data[i]!),
      ),
    gradients: ['a', 'b'],
  });

describe('a check', () => {
  it.each([[[Number.NaN, 0]], [[0, Number.NaN]], [[Number.NaN, 1]]] as const)(
    'fails for NaN in any output: %j',
    async (wrong) => {
      const { worst } = await checkForward(twoOutputs(wrong), cpu);
      expect(worst).toBeNaN();
    },
  );

  it.each([[[1, 0]], [[0, 1]]] as const)('fails for a wrong number in any output: %j', async (wrong) => {
    expect((await checkForward(twoOutputs(wrong), cpu)).worst).toBeGreaterThan(1);
  });

  it('passes what is right', async () => {
    expect((await checkForward(twoOutputs([0, 0]), cpu)).worst).toBeLessThanOrEqual(1);
    expect((await checkGradients(twoGradients([1, 1]), cpu)).worst).toBeLessThanOrEqual(1);
  });

  it.each([[[Number.NaN, 1]], [[1, Number.NaN]]] as const)('fails for NaN in any gradient: %j', async (slopes) => {
    expect((await checkGradients(twoGradients(slopes), cpu)).worst).toBeNaN();
  });

  it.each([[[9, 1]], [[1, 9]]] as const)('fails for a wrong number in any gradient: %j', async (slopes) => {
    expect((await checkGradients(twoGradients(slopes), cpu)).worst).toBeGreaterThan(1);
  });
});
