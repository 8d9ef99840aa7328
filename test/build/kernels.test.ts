// What nvcc made of the CUDA kernels: no spills, no local memory, no serialised wgmma, and no change of registers or
// shared memory that was not looked at. `UPDATE_KERNELS=1 npx vitest run test/build` writes the table anew. With
// `HELVETIA_RELEASE=1` it looks at what `npm run prebuilds` made, for every GPU that is supported.
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { build, demangled, logs, release, root } from './cuda-build.js';

const table = join(root, 'native/cuda/registers.txt');
const addon = release
  ? join(root, `prebuilds/${process.platform}-${process.arch}/helvetia.glibc.node`)
  : join(root, 'build/Release/helvetia.node');

if (logs.length === 0) console.warn('skipped: this build has no CUDA kernels');

interface Kernel {
  file: string;
  arch: string;
  name: string;
  registers: number;
  /** Static shared memory in bytes: what is dynamic is chosen at the launch. */
  shared: number;
  stack: number;
}

function kernelsIn(log: string): Kernel[] {
  const text = readFileSync(join(build, log), 'utf8');
  const file = /([\w-]+)\.cu\.o\.ptxas$/.exec(log)![1]!;
  const names = [...text.matchAll(/Compiling entry function '(\S+)' for '(\w+)'/g)];
  const readable = demangled(names.map(([, name]) => name!));
  return names.map((match, i) => {
    const rest = text.slice(match.index, names[i + 1]?.index);
    return {
      file,
      arch: match[2]!,
      name: readable[i]!,
      registers: Number(/Used (\d+) registers/.exec(rest)![1]),
      shared: Number(/(\d+) bytes smem/.exec(rest)?.[1] ?? 0),
      stack: Number(/(\d+) bytes stack frame/.exec(rest)![1]),
    };
  });
}

/** The table's lines by architecture. */
function known(): Map<string, string[]> {
  const [, ...sections] = readFileSync(table, 'utf8').split(/^# /m);
  return new Map(sections.map((section) => section.trimEnd().split('\n')).map(([arch, ...lines]) => [arch!, lines]));
}

describe.skipIf(logs.length === 0)('the CUDA build', () => {
  const kernels = logs.flatMap(kernelsIn);
  const archs = [...new Set(kernels.map(({ arch }) => arch))].sort();
  const lines = (arch: string): string[] =>
    kernels
      .filter((kernel) => kernel.arch === arch)
      .map(({ file, name, registers, shared }) => `${file}: ${name} ${registers} registers ${shared} bytes`)
      .sort();

  it('has kernels for each architecture', () => {
    const supported = ['sm_100', 'sm_120', 'sm_80', 'sm_86', 'sm_89', 'sm_90a'];
    expect(archs).toEqual(release ? supported : ['sm_80', 'sm_90a']);
  });

  it('spills nothing and keeps nothing in local memory', () => {
    expect(kernels.filter(({ stack }) => stack > 0).map(({ file, arch, name }) => `${file} ${arch} ${name}`)).toEqual(
      [],
    );
    for (const log of logs) {
      for (const [line] of readFileSync(join(build, log), 'utf8').matchAll(/^.*bytes spill.*$/gm)) {
        expect(line, log).toContain(' 0 bytes spill stores, 0 bytes spill loads');
      }
    }
  });

  it('never serialises wgmma', () => {
    // ptxas only mentions it: C7510 to C7519.
    for (const log of logs) expect(readFileSync(join(build, log), 'utf8'), log).not.toMatch(/C75\d\d|serialized/);
  });

  it('uses the registers and the shared memory that the table says', () => {
    if (process.env.UPDATE_KERNELS) {
      const title =
        'Registers and static shared memory of each kernel, by nvcc 13.0. See test/build/kernels.test.ts.\n';
      const all = new Map([...known(), ...archs.map((arch) => [arch, lines(arch)] as const)]);
      const sections = [...all].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
      writeFileSync(table, title + sections.map(([arch, text]) => `\n# ${arch}\n${text.join('\n')}\n`).join(''));
    }
    // Another nvcc allocates otherwise; what counts is that this one's numbers were looked at.
    for (const arch of archs) expect(lines(arch), arch).toEqual(known().get(arch));
  });

  it('makes an addon that needs no CUDA library and is small enough to ship', () => {
    const needed = execFileSync('ldd', [addon], { encoding: 'utf8' });
    expect(needed).not.toMatch(/libcuda|libnv|libcublas|libcudnn/);
    expect(statSync(addon).size).toBeLessThan(40e6);
  });
});
