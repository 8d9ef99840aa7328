// Choosing a device on a machine whose GPU cannot be used, or is not to be used.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { cudaAbsence, cudaCount, device, whyCpu } from '../../lib/core/device.js';
import { tensor } from '../../lib/core/tensor.js';
import { loadModel } from '../../lib/model.js';

describe('device', () => {
  it("takes the CPU for 'auto' where HELVETIA_GPU=off says so", () => {
    expect(process.env.HELVETIA_GPU).toBe('off');
    expect(device()).toBe(device('cpu'));
    expect(String(device('auto'))).toBe('cpu');
    expect(whyCpu()).toBe('HELVETIA_GPU=off keeps to the CPU');
  });

  it.runIf(cudaAbsence())("says why there is no 'cuda'", async () => {
    expect(cudaCount()).toBe(0);
    // Where nvcc is, only a build that was told to leave CUDA out may lack it.
    const nvcc = spawnSync('nvcc', ['--version']).status === 0;
    const cache = join(import.meta.dirname, '../../build/cmake/CMakeCache.txt');
    const leftOut = existsSync(cache) && /^HELVETIA_CUDA:\w+=OFF$/m.test(readFileSync(cache, 'utf8'));
    expect(cudaAbsence()).toMatch(
      nvcc && !leftOut ? /^CUDA cannot be used here: \S/ : /^(CUDA cannot be used here: |this build has no CUDA: )\S/,
    );
    expect(() => device('cuda')).toThrow(`device 'cuda': ${cudaAbsence()}`);
    expect(() => tensor([1], { device: 'cuda:1' })).toThrow(`device 'cuda:1': ${cudaAbsence()}`);
    await expect(loadModel('models/helvetia-small', { device: 'cuda' })).rejects.toThrow(
      `device 'cuda': ${cudaAbsence()}`,
    );
    vi.stubEnv('HELVETIA_GPU', undefined);
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(whyCpu()).toBe(cudaAbsence());
    expect(device('auto')).toBe(device('cpu'));
  });

  it('refuses names that it does not know', () => {
    for (const name of ['gpu', 'cuda:', 'cuda:x', 'CPU', ''])
      expect(() => device(name)).toThrow(`device '${name}' is not known: expected 'auto', 'cpu', 'cuda' or 'cuda:1'`);
  });
});
