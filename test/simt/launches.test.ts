// That the suite on the GPU in software launches every CUDA kernel, and with how much shared memory. It reads what the
// other test files noted (notes.ts), so it runs after them; while some have not run, it has nothing to say.
// `UPDATE_KERNELS=1 npx vitest run` writes the table anew.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { noteOf, root } from './notes.js';

/** The files of a pattern that has `*` and `{a,b}` in the file's name only. */
function filesOf(pattern: string): string[] {
  const name = basename(pattern)
    .replaceAll('.', '\\.')
    .replaceAll('*', '.*')
    .replace(/\{(.*)\}/, (_, list: string) => `(${list.replaceAll(',', '|')})`);
  const folder = dirname(pattern);
  return readdirSync(join(root, folder))
    .filter((file) => new RegExp(`^${name}$`).test(file))
    .map((file) => join(folder, file));
}

interface Project {
  name: string;
  include: string[];
  /** Its launches are always the same: none of its batches depend on time. */
  steady: boolean;
}

const projects = JSON.parse(process.env.HELVETIA_SIMT_PROJECTS!) as Project[];
const notesOf = (some: readonly Project[]): string[] =>
  some.flatMap(({ name, include }) => include.flatMap(filesOf).map((file) => noteOf(name, join(root, file))));
const notes = notesOf(projects);
const absent = notes.filter((note) => !existsSync(note));
if (absent.length > 0)
  console.warn(`skipped: ${absent.length} of ${notes.length} files on the software GPU did not run`);

const addon = join(root, 'build/simt/Release/helvetia.node');
const table = join(root, 'native/cuda/shared.txt');

/** Names as test/build/kernels.test.ts writes them, by offset in the addon. */
function kernelNames(): Map<string, string> {
  const text = execFileSync('nm', ['-C', '--defined-only', addon], { encoding: 'utf8', maxBuffer: 1 << 28 });
  const names = new Map<string, string>();
  for (const [, offset, name] of text.matchAll(/^0*([0-9a-f]+) [tTwW] (.*)$/gm)) {
    if (!/\bcuda::/.test(name!) || name!.includes('{lambda')) continue;
    const short = name!
      .replace(/^void /, '')
      .replace(/cuda::|\(anonymous namespace\)::/g, '')
      .replace(/\([^()]*(\([^()]*\)[^()]*)*\)$/, '');
    names.set(offset!, short);
  }
  return names;
}

/** What a block may ask for, in bytes: the CUDA programming guide's table of compute capabilities. */
const limits: Record<string, number> = { 80: 163 << 10, 86: 99 << 10, 89: 99 << 10, 90: 227 << 10, 120: 99 << 10 };

describe.skipIf(absent.length > 0)('the kernels on the software GPU', () => {
  const names = absent.length > 0 ? new Map<string, string>() : kernelNames();
  /** The most shared memory by kernel and capability. */
  function launchedIn(some: readonly Project[]): Map<string, Map<string, number>> {
    const launched = new Map<string, Map<string, number>>();
    for (const note of notesOf(some).filter((file) => existsSync(file))) {
      for (const line of readFileSync(note, 'utf8').split('\n').filter(Boolean)) {
        const [capability, offset, bytes] = line.split(' ') as [string, string, string];
        const name = names.get(offset) ?? `the kernel at ${offset}`;
        const by = launched.get(name) ?? new Map<string, number>();
        launched.set(name, by.set(capability, Math.max(by.get(capability) ?? 0, Number(bytes))));
      }
    }
    return launched;
  }
  const launched = launchedIn(projects);

  it('are all launched', () => {
    const lines = readFileSync(join(root, 'native/cuda/registers.txt'), 'utf8').matchAll(/^\S+: (.*) \d+ registers/gm);
    const built = new Set([...lines].map(([, name]) => name!));
    expect(built.size).toBeGreaterThan(200);
    expect([...built].filter((name) => !launched.has(name))).toEqual([]);
  });

  it('ask for no more shared memory than each GPU has', () => {
    for (const [name, by] of launched) {
      for (const [capability, bytes] of by)
        expect(bytes, `${name} on ${capability}`).toBeLessThanOrEqual(limits[capability]!);
    }
  });

  it('ask for the shared memory that the table says', () => {
    const lines = [...launchedIn(projects.filter(({ steady }) => steady))]
      .map(([name, by]) => {
        const of = (capability: string): string =>
          by.has(capability) ? `${by.get(capability)} bytes` : 'not launched';
        return `${name}: sm_80 ${of('80')}, sm_90a ${of('90')}`;
      })
      .sort();
    const title =
      'The most dynamic shared memory that the tests of ops launch each kernel with. See test/simt/launches.test.ts.\n\n';
    if (process.env.UPDATE_KERNELS) writeFileSync(table, `${title}${lines.join('\n')}\n`);
    expect(lines).toEqual(readFileSync(table, 'utf8').trimEnd().split('\n').slice(2));
  });
});
