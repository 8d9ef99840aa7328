// What only the machine code of the products' and attention's kernels shows: the order of asynchronous waits, fences of the
// whole GPU, local memory, loads that dependent launches must not have. It reads the objects of a build with CUDA; where
// there is none, nvcc compiles what Hopper runs.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { build, demangled, logs, root } from './cuda-build.js';
import { cudaProgram, type Kernel, kernelsOfCubin, kernelsOfObject } from './sass.js';

const wanted = /^(attention|grouped|paged|mat)/;
const objects = logs
  .map((log) => join(build, log.replace(/\.ptxas$/, '')))
  .filter((file) => wanted.test(basename(file)));

const missing = (objects.length > 0 ? ['nvdisasm', 'cuobjdump'] : ['nvdisasm', 'nvcc']).filter(
  (name) => cudaProgram(name) === undefined,
);
if (missing.length > 0)
  console.warn(
    `skipped: ${missing.join(' and ')} not found, of the CUDA toolkit or of Python's triton: no SASS was looked at`,
  );

function compiled(source: string): Kernel[] {
  const folder = mkdtempSync(join(tmpdir(), 'helvetia-sass-'));
  try {
    const cubin = join(folder, 'kernels.cubin');
    const flags = ['-std=c++20', '-O3', '--expt-relaxed-constexpr', '-arch=sm_90a', '-cubin'];
    execFileSync(cudaProgram('nvcc')!, [...flags, join(root, 'native/cuda', source), '-o', cubin], { stdio: 'pipe' });
    return kernelsOfCubin(cubin);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Found extends Kernel {
  arch: string;
}

function found(): Found[] {
  if (missing.length > 0) return [];
  const all =
    objects.length > 0
      ? ['sm_80', 'sm_90a'].flatMap((arch) =>
          objects.flatMap((file) => kernelsOfObject(file, arch).map((kernel) => ({ ...kernel, arch }))),
        )
      : ['attention/attention-hopper.cu', 'products/grouped-hopper.cu', 'products/matmul-hopper.cu']
          .flatMap(compiled)
          .map((kernel) => ({ ...kernel, arch: 'sm_90a' }));
  const names = demangled(all.map(({ name }) => name));
  return all.map((kernel, i) => ({ ...kernel, name: names[i]! }));
}

/** The instructions of the cycle that a kernel spends its time in: that with most of the matrix products. */
function mainLoop({ code, cycles }: Kernel): Kernel['code'] {
  const products = new Map<number, number>();
  for (const [i, { operation }] of code.entries())
    if (/^(HGMMA|HMMA|FFMA)\b/.test(operation) && cycles[i]! >= 0)
      products.set(cycles[i]!, (products.get(cycles[i]!) ?? 0) + 1);
  const [most] = [...products].sort(([, a], [, b]) => b - a)[0] ?? [];
  return code.filter((_, i) => cycles[i] === most);
}

describe.skipIf(missing.length > 0)('the machine code', () => {
  const kernels = found();
  const named = (name: RegExp): Found[] => kernels.filter((kernel) => name.test(kernel.name));
  const having = (pattern: RegExp, of: (kernel: Kernel) => Kernel['code'] = ({ code }) => code): string[] =>
    kernels
      .filter((kernel) => of(kernel).some(({ operation }) => pattern.test(operation)))
      .map(({ arch, name }) => `${arch} ${name}`);

  it('is that of the kernels for Hopper', () => {
    const hopper = named(/Hopper</).filter(({ arch }) => arch === 'sm_90a');
    expect(hopper.map(({ name }) => name.replace(/<.*/, '')).sort()).toEqual([
      ...Array<string>(4).fill('attentionHopper'),
      ...Array<string>(8).fill('groupedHopper'),
      ...Array<string>(16).fill('matmulHopper'),
    ]);
    for (const kernel of hopper)
      expect(
        mainLoop(kernel).filter(({ operation }) => operation.startsWith('HGMMA')).length,
        kernel.name,
      ).toBeGreaterThan(3);
  });

  // ptxas hoists a wait over arithmetic that does not need its product: the softmax would come after it, not under it.
  it('forms the exponentials of a tile while the product with the values of the tile before goes on', () => {
    const loops = named(/^attentionHopper</)
      .filter(({ arch }) => arch === 'sm_90a')
      .map((kernel) => ({ name: kernel.name, loop: mainLoop(kernel) }));
    for (const { name, loop } of loops) {
      const order = loop.flatMap(({ operation, text }) => {
        if (operation === 'MUFU.EX2') return ['exponential'];
        return operation.startsWith('WARPGROUP.DEPBAR')
          ? [`at most ${Number(/gsb0, (\w+)/.exec(text)![1])} under way`]
          : [];
      });
      const first = order.indexOf('at most 1 under way');
      const last = order.indexOf('at most 0 under way');
      expect(
        order.filter((step) => step !== 'exponential'),
        name,
      ).toEqual(['at most 1 under way', 'at most 0 under way']);
      // 64 scores of a thread, and once more where a softcap's tanh takes one; two factors of its rows.
      expect({ between: last - first - 1, after: order.length - last - 1 }, name).toEqual({ between: 130, after: 0 });
    }
  });

  it('has no fence of the whole GPU in a main loop', () => {
    expect(having(/^MEMBAR\.(?!\w+\.CTA)/, mainLoop)).toEqual([]);
    expect(having(/^(ERRBAR|CGAERRBAR|CCTL)/, mainLoop)).toEqual([]);
  });

  it('keeps nothing in local memory', () => {
    expect(having(/^(LDL|STL)/)).toEqual([]);
  });

  // The kernel before may still be writing what a dependent launch reads.
  it('has no load past coherence in a dependent launch', () => {
    const dependent = kernels.filter(({ code }) => code.some(({ operation }) => operation === 'ACQBULK'));
    if (objects.length > 0) expect(dependent.length).toBeGreaterThan(0);
    const loads = dependent.filter(({ code }) => code.some(({ operation }) => /^LDG\S*\.CONSTANT/.test(operation)));
    expect(loads.map(({ name }) => name)).toEqual([]);
  });
});
