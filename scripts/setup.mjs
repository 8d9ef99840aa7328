// All the set-up of a fresh clone: packages, the native addon, the compiled TypeScript; with --simt also the addon on the
// GPU in software, for tests. Run again, it redoes only what changed. Uses nothing but Node, because it runs before the
// packages are there.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const stamps = join(root, 'build', 'stamps');

function filesIn(path) {
  if (!existsSync(join(root, path))) return [];
  if (!statSync(join(root, path)).isDirectory()) return [path];
  return readdirSync(join(root, path), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1))
    .sort();
}

function fingerprint(inputs) {
  const hash = createHash('sha256').update(process.version + process.arch);
  for (const file of inputs.flatMap(filesIn)) hash.update(file).update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

/** Runs `commands` unless `inputs` are as they were when this step last succeeded and its outputs are there. */
function step(name, inputs, outputs, commands) {
  const stamp = join(stamps, name);
  const now = fingerprint(inputs);
  if (
    outputs.every((output) => existsSync(join(root, output))) &&
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8') === now
  )
    return;
  const started = Date.now();
  console.log(`setup: ${name} …`);
  for (const [command, ...args] of commands) {
    const quiet = process.env.HELVETIA_VERBOSE ? 'inherit' : 'pipe';
    const result = spawnSync(command, args, {
      cwd: root,
      stdio: ['ignore', quiet, quiet],
      encoding: 'utf8',
      shell: process.platform === 'win32',
    });
    if (result.status === 0) {
      const note = /nvcc not found.*/.exec(result.stdout ?? '');
      if (note) console.log(`setup: ${note[0]}`);
      continue;
    }
    process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
    const why = result.error ? `: ${result.error.message}` : '';
    console.error(`setup: ${name} failed in: ${[command, ...args].join(' ')}${why}`);
    process.exit(1);
  }
  mkdirSync(stamps, { recursive: true });
  writeFileSync(stamp, now);
  console.log(`setup: ${name} took ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`setup: Helvetia needs Node 20.19 or newer, this is ${process.version}`);
  process.exit(1);
}

step(
  'packages',
  ['package-lock.json'],
  ['node_modules'],
  [['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund']],
);
const native = ['native', 'CMakeLists.txt', 'scripts/addon.mjs', 'scripts/nvcc.mjs', 'package-lock.json'];
const addon = 'build/Release/helvetia.node';
if (process.argv.includes('--simt'))
  step('simt', native, [addon, 'build/simt/Release/helvetia.node'], [['node', 'scripts/addon.mjs', '--simt']]);
else step('native', native, [addon], [['node', 'scripts/addon.mjs']]);
step(
  'typescript',
  ['lib', 'scripts', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'],
  ['dist/lib/index.js'],
  [['node', 'scripts/compile.mjs']],
);
