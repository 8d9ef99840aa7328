// The native addon by CMake and nothing else: no Python, none of Node's headers to fetch.
//
//   node scripts/addon.mjs [--simt] [--prebuild]
//
// Without a flag it makes build/Release/helvetia.node; with --simt also the addon on the GPU in software. --prebuild makes
// what a release ships, for every GPU that is supported, in prebuilds/.
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(import.meta.dirname, '..');

function run(command, args, env) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  if (result.error?.code === 'ENOENT')
    throw new Error(
      `${command} was not found: the addon needs CMake 3.19 or newer and a C++20 compiler (Debian: apt-get install cmake g++)`,
    );
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')} failed`);
}

/** Builds `targets` in `folder`, whose later builds redo only what changed. */
export function buildAddon(targets, folder = 'build/cmake', { defines = [], env = {} } = {}) {
  const generator = isThere('ninja') ? ['-G', 'Ninja'] : [];
  run('cmake', ['-S', root, '-B', folder, ...generator, '-DCMAKE_BUILD_TYPE=Release', ...defines], env);
  run('cmake', ['--build', folder, '--parallel', '--target', ...targets], env);
}

const isThere = (command) => !spawnSync(command, ['--version']).error;

function prebuild() {
  // macOS has no CUDA; elsewhere a release without its kernels is one by intention only.
  const plain = process.platform === 'darwin' || process.env.HELVETIA_CUDA === 'off';
  if (!plain && !isThere('nvcc'))
    throw new Error('nvcc was not found, and a release has the CUDA kernels: HELVETIA_CUDA=off makes one without them');
  const folder = join('prebuilds', `${process.platform}-${process.arch}`);
  mkdirSync(join(root, folder), { recursive: true });
  buildAddon(['helvetia'], 'build/release', {
    defines: [`-DHELVETIA_OUTPUT=${folder}`, `-DHELVETIA_CUDA=${plain ? 'OFF' : 'ON'}`],
    env: { HELVETIA_RELEASE: '1' },
  });
  const file = join(root, folder, 'helvetia.node');
  run('strip', ['--strip-unneeded', file]);
  // The name by which node-gyp-build knows which C library it needs.
  renameSync(file, join(root, folder, process.platform === 'linux' ? 'helvetia.glibc.node' : 'helvetia.node'));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    if (process.argv.includes('--prebuild')) prebuild();
    else buildAddon(process.argv.includes('--simt') ? ['helvetia', 'helvetia_simt'] : ['helvetia']);
  } catch (error) {
    console.error(`helvetia: ${error.message}`);
    process.exit(1);
  }
}
