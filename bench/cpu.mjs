// The CPU's figures, all in one run: matrix products and attention, then decoding, prompts and LoRA steps of one shape
// in both formats.
//
//   npm run build && node bench/cpu.mjs [--shape smollm2-135m] [--out bench/results/NAME.json]
//
// Each entry holds the command that gives it again, the median, and the spread. Machines differ from hour to hour:
// compare figures of one file with each other rather than with another file's.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { values } = parseArgs({
  options: {
    shape: { type: 'string', default: 'smollm2-135m' },
    out: { type: 'string', default: 'bench/results/cpu.json' },
  },
});

const runs = ['f32', 'bf16'].flatMap((dtype) => [
  ['matmul', '--dtype', dtype, '--sizes', '512,1024,2048'],
  ['attention', '--dtype', dtype],
  ...['decode', 'prefill', 'lora'].map((what) => [what, '--shape', values.shape, '--dtype', dtype]),
]);

// What the vector units reach at most, for the share that a matrix product gets of it. Needs g++.
function fmaPeak() {
  const program = join(mkdtempSync(join(tmpdir(), 'helvetia-fma-')), 'fma');
  const source = join(root, 'bench/fma.cc');
  if (spawnSync('g++', ['-O3', '-march=native', '-pthread', source, '-o', program]).status !== 0) return undefined;
  const { status, stdout } = spawnSync(program, { encoding: 'utf8' });
  return status === 0 && Number(stdout) > 0 ? Number(stdout) : undefined;
}

const results = [
  {
    bench: 'fma loop',
    command: 'g++ -O3 -march=native -pthread bench/fma.cc',
    unit: 'GFLOP/s',
    rate: fmaPeak() ?? null,
  },
];
for (const args of runs) {
  const command = ['bench', ...args, '--json'];
  console.error(`helvetia ${command.join(' ')}`);
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'dist/lib/cli/index.js'), ...command], {
    encoding: 'utf8',
  });
  if (status !== 0) {
    process.stderr.write(stderr);
    process.exit(1);
  }
  results.push(JSON.parse(stdout));
}
mkdirSync(dirname(join(root, values.out)), { recursive: true });
writeFileSync(join(root, values.out), `${JSON.stringify(results, null, 2)}\n`);
console.error(`wrote ${values.out}`);
