// Checks that C++ and CUDA are formatted as .clang-format says; with --write formats them.
//
// Versions of clang-format differ in what they make of the same style, so it is one version, Debian 12's. Without it
// nothing is checked, and the last line says so.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const version = 14;
const root = join(import.meta.dirname, '..');

const program = [`clang-format-${version}`, 'clang-format'].find((name) =>
  spawnSync(name, ['--version'], { encoding: 'utf8' }).stdout?.includes(`version ${version}.`),
);

function sources(folder) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(h|cc|cu|cuh)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

if (program) {
  const how = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '-Werror'];
  const files = ['native', 'bench', 'test/native'].flatMap(sources);
  const { status } = spawnSync(program, [...how, ...files], { cwd: root, stdio: 'inherit' });
  if (status !== 0) console.error(`format: ${program} found other formatting: npm run format writes it`);
  process.exit(status ?? 1);
}
console.log(
  `format: C++ was not checked, because clang-format ${version} is not installed (Debian: apt-get install clang-format-14)`,
);
