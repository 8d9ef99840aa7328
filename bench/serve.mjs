// Serving's figures, all in one run: new tokens per second by HTTP (beside node-llama-cpp where it is installed), the load
// test, and what a fine-tune costs those who are served.
//
//   npm run build && node bench/serve.mjs MODEL.gguf [--minutes 5] [--out bench/results/NAME.json]
//
// Each entry holds the command that gives it again. Fails where one of them does, and writes what it has all the same.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '5' },
    out: { type: 'string', default: join(root, 'bench/results/serve.json') },
  },
});
const [model] = positionals;
if (positionals.length !== 1) throw new Error('one model is expected: a folder or a .gguf file');

const runs = [
  ['serve', 'dist/lib/cli/index.js', 'bench', 'serve', model, '--json'],
  ['serve-load', 'bench/serve-load.mjs', '--model', model, '--minutes', values.minutes],
  ['serve-training', 'bench/serve-training.mjs', '--model', model],
];
const results = runs.map(([bench, script, ...args]) => {
  console.error(bench);
  const { stdout, status } = spawnSync(process.execPath, [join(root, script), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) process.exitCode = 1;
  const command = ['node', script, ...args.map((word) => (word === model ? basename(model) : word))].join(' ');
  return { bench, command, passed: status === 0, ...(stdout.trim() && JSON.parse(stdout)) };
});
mkdirSync(dirname(values.out), { recursive: true });
writeFileSync(values.out, `${JSON.stringify(results, null, 2)}\n`);
