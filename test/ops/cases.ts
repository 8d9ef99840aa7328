// Runs a family's case list: forward against the reference, and gradients against finite differences.
import { describe, expect, it } from 'vitest';
import { type Case, checkForward, checkGradients } from '../../lib/check/case.js';
import { cpuInfo, device } from '../../lib/core/device.js';
import { testDevice } from '../device.js';

export const devices = [testDevice];

/** Elements of each input whose gradient is compared: differences of the reference, which takes most of a test's time. */
export const samples = Number(process.env.HELVETIA_TEST_SAMPLES ?? 24);

export function runCases(family: string, cases: readonly Case[]): void {
  describe.each(devices)(`${family} on %s`, (name) => {
    it.runIf(process.env.HELVETIA_CPU)('runs on the CPU path that was asked for', () => {
      expect(cpuInfo().path).toBe(process.env.HELVETIA_CPU);
    });
    it.each(cases.map((spec) => [spec.name, spec] as const))('%s', async (_, spec) => {
      const forward = await checkForward(spec, device(name));
      expect(forward.worst, forward.message).toBeLessThanOrEqual(1);
    });
    const differentiable = cases.filter((spec) => spec.gradients?.length);
    if (differentiable.length === 0) return;
    it.each(differentiable.map((spec) => [spec.name, spec] as const))('gradients of %s', async (_, spec) => {
      const gradients = await checkGradients(spec, device(name), 1, samples);
      expect(gradients.worst, gradients.message).toBeLessThanOrEqual(1);
    });
  });
}
