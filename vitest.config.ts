// Tests run one file at a time: each uses all cores, and several measure time. The ops and the model in the repository
// are tested on every CPU path that this machine has, the rest on the best one. What computes is tested once more on the
// GPU in software, and on a GPU where there is one.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import type { Native } from './lib/native.js';

const load = createRequire(import.meta.url)('node-gyp-build') as (folder: string) => Native;
const native = load(import.meta.dirname);
const { path: best, paths } = native.cpuInfo();

const shared = {
  pool: 'forks' as const,
  fileParallelism: false,
  testTimeout: 120_000,
  hookTimeout: 120_000,
};

const ops = ['test/ops/*.test.ts'];
const model = ['test/models/golden.test.ts'];
const onGpu = [
  ...ops,
  ...model,
  'test/core/{autograd,checkpoint,recording,scope,tensor}.test.ts',
  'test/cuda/*.test.ts',
  'test/leak/*.test.ts',
  'test/lora/*.test.ts',
  'test/models/{greedy,train-curves}.test.ts',
];

const projects: { name: string; include: string[]; exclude?: string[]; env: Record<string, string> }[] = [
  { name: best, include: ['test/**/*.test.ts'], exclude: ['test/cuda/**'], env: { HELVETIA_GPU: 'off' } },
  ...paths
    .filter((path) => path !== best)
    .map((path) => ({ name: path, include: [...ops, ...model], env: { HELVETIA_CPU: path, HELVETIA_GPU: 'off' } })),
];
if (existsSync(join(import.meta.dirname, 'build/simt/Release/helvetia.node'))) {
  projects.push({
    name: 'simt',
    include: onGpu,
    env: { HELVETIA_GPU: 'simt', HELVETIA_SIMT_DEVICES: '2', HELVETIA_TEST_DEVICE: 'cuda' },
  });
}
if (native.cudaAbsence() === '') {
  projects.push({ name: 'cuda', include: onGpu, env: { HELVETIA_TEST_DEVICE: 'cuda' } });
}

export default defineConfig({
  test: { fileParallelism: false, projects: projects.map((project) => ({ test: { ...shared, ...project } })) },
});
