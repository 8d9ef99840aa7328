// What a build with CUDA left: an object file for each source of kernels, and beside it what ptxas said.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '..', '..');
/** With HELVETIA_RELEASE=1 what `npm run prebuilds` made, for every GPU that is supported. */
export const release = process.env.HELVETIA_RELEASE === '1';
export const build = join(root, release ? 'build/release' : 'build/cmake');

// A build folder keeps the logs of sources that have moved, and of a build with CUDA after it was turned off.
const cache = join(build, 'CMakeCache.txt');
const hasCuda = existsSync(cache) && /^HELVETIA_CUDA:BOOL=ON$/m.test(readFileSync(cache, 'utf8'));
const sourceOf = (log: string): string => join(root, /native\/cuda\/.*(?=\.o\.ptxas$)/.exec(log)?.[0] ?? log);

/** From `build`; none where it has no CUDA. */
export const logs = (hasCuda ? readdirSync(build, { recursive: true, encoding: 'utf8' }) : []).filter(
  (file) => file.endsWith('.cu.o.ptxas') && existsSync(sourceOf(file)),
);

/** c++filt writes templates out; what does not tell two kernels apart is cut away. */
export function demangled(names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const text = execFileSync('c++filt', { input: names.join('\n'), encoding: 'utf8' }).trimEnd();
  return text.split('\n').map((name) =>
    name
      .replace(/^void /, '')
      .replace(/cuda::|\(anonymous namespace\)::|_GLOBAL__N__\w+::/g, '')
      .replace(/\([^()]*(\([^()]*\)[^()]*)*\)$/, ''),
  );
}
