// What a change can be checked by in under a minute, on one path of the CPU: types, lint, layout, and the tests that need
// neither the GPU in software nor the clock, nor train, serve or build for long. Says how long each part took.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const { path } = createRequire(import.meta.url)('node-gyp-build')(root).cpuInfo();
const tests = [
  'layout',
  'check/',
  ...['autograd', 'scope', 'tensor'].map((name) => `core/${name}`),
  ...['fairness', 'memory', 'options', 'scheduler', 'training-turns'].map((name) => `engine/${name}`),
  ...['atomic', 'gguf', 'hub', 'json', 'safetensors'].map((name) => `files/${name}`),
  'flow/',
  'formats/',
  ...['families', 'gguf'].map((name) => `models/${name}`),
  ...readdirSync(join(root, 'test/ops'))
    .filter((name) => name.endsWith('.test.ts') && name !== 'lora.test.ts')
    .map((name) => `ops/${name}`),
  'store/',
  ...['calls/contract', 'calls/dialects', 'chat/template', 'generate', 'grammar/limits', 'stop', 'tokenizer/'].map(
    (name) => `text/${name}`,
  ),
  ...['data/batches', 'data/jsonl', 'data/rows', 'options', 'report', 'schedule'].map((name) => `train/${name}`),
].map((path) => `test/${path}`);

const parts = [
  ['types', 'tsc', '--noEmit'],
  ['lint', 'biome', 'check', '.'],
  ['tests', 'vitest', 'run', '--project', path, '--reporter=dot', ...tests],
];
const took = [];
let failed = false;
for (const [name, command, ...args] of parts) {
  const started = performance.now();
  const { status } = spawnSync(join(root, 'node_modules', '.bin', command), args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  failed ||= status !== 0;
  took.push(`${name} ${((performance.now() - started) / 1000).toFixed(1)} s${status === 0 ? '' : ' (failed)'}`);
}
console.log(`quick: ${took.join(', ')}`);
process.exitCode = failed ? 1 : 0;
