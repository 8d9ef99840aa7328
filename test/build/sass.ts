// SASS, the machine code of CUDA kernels, as nvdisasm prints it: which instructions a kernel has, in their order, and which
// of them run over and over.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

export interface Instruction {
  /** Without its predicate: `BRA`, `MUFU.EX2`. */
  operation: string;
  /** All of it, such as `@!P0 BRA (.L_x_3)`. */
  text: string;
}

export interface Kernel {
  /** Mangled. */
  name: string;
  code: Instruction[];
  /** For each instruction the number of the cycle of jumps that it lies on, -1 for one that runs at most once. */
  cycles: number[];
}

/** A program of the CUDA toolkit: on the PATH, in the toolkit, or in Python's triton, which brings its own. */
export function cudaProgram(name: string): string | undefined {
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter),
    ...[process.env.CUDA_HOME, process.env.CUDA_PATH, '/usr/local/cuda'].flatMap((home) =>
      home ? [join(home, 'bin')] : [],
    ),
  ];
  const inPath = folders.map((folder) => join(folder, name)).find((file) => existsSync(file));
  if (inPath) return inPath;
  const script =
    'import importlib.util as u; s = u.find_spec("triton"); print(s.submodule_search_locations[0] if s else "")';
  const triton = spawnSync('python3', ['-c', script], { encoding: 'utf8' }).stdout?.trim();
  const file = triton ? join(triton, 'backends/nvidia/bin', name) : '';
  return file && existsSync(file) ? file : undefined;
}

/** The kernels of one architecture in an object file that nvcc made. */
export function kernelsOfObject(object: string, arch: string): Kernel[] {
  const folder = mkdtempSync(join(tmpdir(), 'helvetia-sass-'));
  try {
    execFileSync(cudaProgram('cuobjdump')!, ['--extract-elf', arch, object], { cwd: folder, stdio: 'ignore' });
    return readdirSync(folder).flatMap((file) => kernelsOfCubin(join(folder, file)));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function kernelsOfCubin(cubin: string): Kernel[] {
  const text = execFileSync(cudaProgram('nvdisasm')!, ['-c', cubin], { encoding: 'utf8', maxBuffer: 1 << 30 });
  return text
    .split(/^\s*\.section\s+\.text\./m)
    .slice(1)
    .map((section) => kernelOf(/^[^\s,"]+/.exec(section)![0], section));
}

function kernelOf(name: string, section: string): Kernel {
  const code: Instruction[] = [];
  const labels = new Map<string, number>();
  for (const line of section.split('\n')) {
    const label = /^(\.L_[\w.]+):/.exec(line);
    if (label) labels.set(label[1]!, code.length);
    const instruction = /^\s*\/\*[0-9a-f]{4,}\*\/\s+(.*?)\s*;/.exec(line);
    if (!instruction) continue;
    const text = instruction[1]!.replaceAll('`', '');
    code.push({ text, operation: /^(?:@!?U?P\w+\s+)?(\S+)/.exec(text)![1]! });
  }
  return { name, code, cycles: cyclesOf(code, labels) };
}

/** Where control may go from each instruction. BSYNC goes to where BSSY said, a call also to the next instruction. */
function successorsOf(code: readonly Instruction[], labels: ReadonlyMap<string, number>): number[][] {
  const meeting = new Map<string, number[]>();
  for (const { operation, text } of code) {
    const [, barrier, label] = /^BSSY\S* (\w+), \((\.L_[\w.]+)\)/.exec(operation.startsWith('BSSY') ? text : '') ?? [];
    if (barrier) meeting.set(barrier, [...(meeting.get(barrier) ?? []), labels.get(label!)!]);
  }
  return code.map(({ operation, text }, i) => {
    const next = i + 1 < code.length ? [i + 1] : [];
    const target = /\((\.L_[\w.]+)\)/.exec(text)?.[1];
    const to = target === undefined || operation.startsWith('BSSY') ? [] : [labels.get(target)!];
    if (operation.startsWith('BSYNC')) {
      const places = meeting.get(/(B\d+)/.exec(text)![1]!) ?? [];
      return places.includes(i + 1) ? next : [...next, ...places];
    }
    const always = /^(BRA|EXIT|RET|JMP)(?!\.(DIV|U\b|CONV))\S*( \(|$)/.test(text) && !text.startsWith('@');
    return always ? to : [...next, ...to];
  });
}

/** Tarjan's strongly connected components, without recursion. */
function cyclesOf(code: readonly Instruction[], labels: ReadonlyMap<string, number>): number[] {
  const successors = successorsOf(code, labels);
  const index = code.map(() => -1);
  const low = code.map(() => 0);
  const cycle = code.map(() => -1);
  const open: number[] = [];
  const isOpen = code.map(() => false);
  let count = 0;
  for (let root = 0; root < code.length; root++) {
    if (index[root]! >= 0) continue;
    const way: { at: number; next: number }[] = [{ at: root, next: 0 }];
    while (way.length > 0) {
      const step = way.at(-1)!;
      const { at } = step;
      if (step.next === 0) {
        index[at] = low[at] = count++;
        open.push(at);
        isOpen[at] = true;
      }
      const to = successors[at]![step.next++];
      if (to !== undefined) {
        if (index[to]! < 0) way.push({ at: to, next: 0 });
        else if (isOpen[to]) low[at] = Math.min(low[at]!, index[to]!);
        continue;
      }
      way.pop();
      if (way.length > 0) low[way.at(-1)!.at] = Math.min(low[way.at(-1)!.at]!, low[at]!);
      if (low[at] !== index[at]) continue;
      const members = open.splice(open.indexOf(at));
      for (const member of members) {
        isOpen[member] = false;
        if (members.length > 1 || successors[at]!.includes(at)) cycle[member] = at;
      }
    }
  }
  return cycle;
}
