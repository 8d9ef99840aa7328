// The ops and the model in the repository are tested on every CPU path that this machine has, the rest on the best one.
// What computes is tested once more on the GPU in software, and on a GPU where there is one.
//
// The files that measure time come first, each alone (test/timed.txt); then all others, two at a time; then what must see
// all of the GPU in software; a GPU last.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import type { Native } from './lib/core/native.js';

const load = createRequire(import.meta.url)('node-gyp-build') as (folder: string) => Native;
const native = load(import.meta.dirname);
const { path: best, paths } = native.cpuInfo();

const shared = {
  pool: 'forks' as const,
  testTimeout: 300_000, // a bound on what hangs, far above what a busy machine needs
  hookTimeout: 300_000,
  expect: { poll: { timeout: 290_000 } }, // what must happen may take as long as a test
};
const alone = (groupOrder: number) => ({ fileParallelism: false, sequence: { groupOrder } });
// Differences of the reference take most of an op's test, and are the same on every device: one project takes them at 24
// elements of each input, the others at other ones, and few.
const fewSamples = { HELVETIA_TEST_SAMPLES: '6' };
const twoAtATime = { fileParallelism: true, maxWorkers: 2, sequence: { groupOrder: 2 } };

/** Each line is a path and, after `#`, why it must run alone. */
const timed = readFileSync(join(import.meta.dirname, 'test/timed.txt'), 'utf8')
  .split('\n')
  .map((line) => line.replace(/#.*/, '').trim())
  .filter((path) => path !== '');

const ops = ['test/ops/*.test.ts'];
const model = ['test/models/golden.test.ts'];
const kernels = [...ops, 'test/core/{autograd,environment,tensor}.test.ts', 'test/cuda/*.test.ts'];
const models = [
  ...model,
  'test/leak/*.test.ts',
  'test/lora/*.test.ts',
  'test/models/{families,greedy,latent,narrow,train-curves}.test.ts',
];

const serving = [
  'test/engine/{adapters,engine,faults}.test.ts',
  'test/server/openai/{completions,echo,models}.test.ts',
];
// What the CPU decides of answers: a GPU's part in it is the mask, which the engine's tests have.
const constrained = ['test/server/openai/tools.test.ts'];

interface Project {
  name: string;
  include: string[];
  exclude?: string[];
  env: Record<string, string>;
  setupFiles?: string[];
  sequence: { groupOrder: number };
  fileParallelism: boolean;
  maxWorkers?: number;
}

// On the GPU in software. What depends on its instructions runs for each of them; policies and seeds are the orders in
// which its warps run, and one order proves nothing. What all of them launched is looked at last.
function emulated(
  name: string,
  include: string[],
  arch: number,
  policy: string,
  seed: number,
  env: Record<string, string> = {},
): Project {
  return {
    name,
    include,
    setupFiles: ['test/simt/note.ts'],
    ...twoAtATime,
    env: {
      HELVETIA_GPU: 'simt',
      HELVETIA_TEST_DEVICE: 'cuda',
      HELVETIA_SIMT_DEVICES: '2',
      HELVETIA_SIMT_ARCH: String(arch),
      HELVETIA_SIMT_POLICY: policy,
      HELVETIA_SIMT_SEED: String(seed),
      HELVETIA_SIMT_PROJECT: name,
      ...fewSamples,
      ...env,
    },
  };
}
const tiled = ['test/ops/{attention,grouped,lora,loss,matmul,paged}.test.ts'];
const orders = ['test/simt/orders.test.ts'];
const onSimt = [
  emulated('simt', kernels, 90, 'robin', 0),
  // Whole models, and what stands on them, launch the kernels that the project before has watched.
  emulated('simt-models', models, 90, 'robin', 0, { HELVETIA_SIMT_WATCH: 'off' }),
  emulated('simt-serving', serving, 90, 'robin', 0, { HELVETIA_SIMT_WATCH: 'off' }),
  emulated('simt80', tiled, 80, 'greedy', 0),
  emulated('simt90-greedy', orders, 90, 'greedy', 0),
  emulated('simt90-random', orders, 90, 'random', 1),
  emulated('simt86', orders, 86, 'random', 2),
  emulated('simt89', orders, 89, 'random', 3),
  emulated('simt120', orders, 120, 'random', 4),
];

const projects: Project[] = [
  { name: 'timed', include: timed, env: { HELVETIA_GPU: 'off' }, ...alone(1) },
  // As many threads as there are cores; everything else on the CPU has one.
  { name: 'threads', include: [...ops, ...model], env: { HELVETIA_GPU: 'off', ...fewSamples }, ...twoAtATime },
  {
    name: best,
    include: ['test/**/*.test.ts'],
    exclude: [...timed, 'test/cuda/**', 'test/simt/{launches,orders}.test.ts'],
    env: { HELVETIA_GPU: 'off', HELVETIA_THREADS: '1' },
    ...twoAtATime,
  },
  ...paths
    .filter((path) => path !== best)
    .map((path) => ({
      name: path,
      include: [...ops, ...model],
      env: { HELVETIA_CPU: path, HELVETIA_GPU: 'off', HELVETIA_THREADS: '1' },
      ...twoAtATime,
    })),
];
if (existsSync(join(import.meta.dirname, 'build/simt/Release/helvetia.node'))) {
  projects.push(...onSimt, {
    name: 'simt-launches',
    include: ['test/simt/launches.test.ts'],
    env: {
      HELVETIA_GPU: 'off',
      HELVETIA_SIMT_PROJECTS: JSON.stringify(
        onSimt.map(({ name, include }) => ({ name, include, steady: include !== models && include !== serving })),
      ),
    },
    ...alone(3),
  });
}
if (native.cudaAbsence() === '') {
  projects.push({
    name: 'cuda',
    include: [...kernels, ...models, ...serving, ...constrained],
    env: { HELVETIA_TEST_DEVICE: 'cuda' },
    ...alone(4),
  });
}

export default defineConfig({
  test: { projects: projects.map((project) => ({ test: { ...shared, ...project } })) },
});
