// The native addon: cmake-js drives the CMake build. It takes N-API's headers from packages, so that nothing is downloaded
// and Python is not needed.
//
//   node scripts/addon.mjs [--simt]
//
// Without a flag it makes build/Release/helvetia.node; with --simt also the addon on the GPU in software, its dependent.
// HELVETIA_CUDA=off builds without the CUDA device even where nvcc is.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(import.meta.dirname, '..');
const needs = 'the addon needs CMake 3.19 or newer and a C++20 compiler (Debian: apt-get install cmake g++)';

/** False where CUDA is left out on purpose, or where there is none at all. */
export const wantsCuda = process.platform !== 'darwin' && process.env.HELVETIA_CUDA !== 'off';

export const isThere = (command) => !spawnSync(command, ['--version']).error;

/** Builds `targets` in `folder`, whose later builds redo only what changed. `defines` are CMake's, as `NAME=value`. */
export function buildAddon(targets, { folder = 'build/cmake', defines = [], env = {} } = {}) {
  if (!isThere('cmake')) throw new Error(`cmake was not found: ${needs}`);
  const all = [`HELVETIA_CUDA=${wantsCuda ? 'ON' : 'OFF'}`, ...defines].map((define) => `--CD${define}`);
  // Configured each time: `cmake-js build` alone would keep the definitions of the first build.
  for (const command of [['configure'], ...targets.map((target) => ['build', '--target', target])])
    cmakeJs([...command, '--out', folder, '--config', 'Release', '--parallel', availableParallelism(), ...all], env);
}

function cmakeJs(args, env) {
  const program = join(dirname(createRequire(import.meta.url).resolve('cmake-js/package.json')), 'bin', 'cmake-js');
  const { status, error } = spawnSync(process.execPath, [program, ...args.map(String)], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`cmake-js ${args[0]} failed: ${needs}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    buildAddon([process.argv.includes('--simt') ? 'helvetia_simt' : 'helvetia']);
  } catch (error) {
    console.error(`helvetia: ${error.message}`);
    process.exit(1);
  }
}
