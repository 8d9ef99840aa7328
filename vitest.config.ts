// Tests run one file at a time: each uses all cores, and several measure time. The ops and the model in the repository
// are tested on every CPU path that this machine has, the rest on the best one.
import { createRequire } from 'node:module';
import { defineConfig } from 'vitest/config';
import type { Native } from './lib/native.js';

const load = createRequire(import.meta.url)('node-gyp-build') as (folder: string) => Native;
const { path: best, paths } = load(import.meta.dirname).cpuInfo();

const shared = {
  pool: 'forks' as const,
  fileParallelism: false,
  testTimeout: 120_000,
  hookTimeout: 120_000,
};

export default defineConfig({
  test: {
    fileParallelism: false,
    projects: [
      { test: { ...shared, name: best, include: ['test/**/*.test.ts'] } },
      ...paths
        .filter((path) => path !== best)
        .map((path) => ({
          test: {
            ...shared,
            name: path,
            include: ['test/ops/*.test.ts', 'test/models/golden.test.ts'],
            env: { HELVETIA_CPU: path },
          },
        })),
    ],
  },
});
