// The same bits whatever the number of threads, and, for random numbers, whatever the instruction set: kernels are run
// in processes of their own, which print a digest of each result.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cpuInfo } from '../../lib/core/device.js';

const root = join(import.meta.dirname, '../..');

// Plain JavaScript over the addon itself: the process has no compiler for the library.
const script = `
const { createHash } = require('node:crypto');
const native = require('node-gyp-build')(${JSON.stringify(root)});
const k = native.kernels;
const bytes = new Map();
const make = (dtype, ...shape) => {
  const t = native.create(dtype, 0, 0, ...shape);
  bytes.set(t, shape.reduce((a, b) => a * b, [4, 2, 2, 4][dtype]));
  return t;
};
const read = (t) => native.read(t, new ArrayBuffer(bytes.get(t)));
const normal = (dtype, ...shape) => { const t = make(dtype, ...shape); k.normal(t, 5, 0, 0, 1); return t; };
const zeros = (...args) => { const t = make(...args); k.fill(t, 0); return t; };
const indices = (below, ...shape) => {
  const t = make(3, ...shape);
  const count = shape.reduce((a, b) => a * b, 1);
  native.write(t, new Uint8Array(Int32Array.from({ length: count }, (_, i) => (i * 7919) % below).buffer));
  return t;
};
const results = {
  uniform: () => { const t = make(0, 100003); k.uniform(t, 7, 3, -1, 2); return t; },
  normal: () => normal(0, 100003),
  normalBf16: () => normal(1, 4099),
  dropout: () => { const t = make(0, 70001); k.dropout(t, normal(0, 70001), 9, 0, 0.4); return t; },
  sumAll: () => { const t = make(0, 1); k.sum(t, normal(0, 1000003)); return t; },
  sumRows: () => { const t = make(0, 3, 1); k.sum(t, normal(0, 3, 200003)); return t; },
  sumColumns: () => { const t = make(0, 1, 301); k.sum(t, normal(0, 5003, 301)); return t; },
  embeddingBackward: () => { const t = zeros(0, 50, 300); k.embeddingBackward(t, normal(0, 4000, 300), indices(50, 4000)); return t; },
  scatterAdd: () => { const t = zeros(1, 9, 500); k.scatterAdd(t, normal(0, 3000, 500), indices(9, 3000, 500), 0); return t; },
  geluBackward: () => { const t = make(0, 50000); k.geluBackward(t, normal(0, 50000), normal(0, 50000)); return t; },
};
(async () => {
  const digests = {};
  for (const [name, result] of Object.entries(results)) {
    digests[name] = createHash('sha256').update(new Uint8Array(await read(result()))).digest('hex');
  }
  console.log(JSON.stringify(digests));
})();
`;

function digests(cpu: string, threads: number): Record<string, string> {
  const env = { ...process.env, HELVETIA_CPU: cpu, HELVETIA_THREADS: String(threads) };
  return JSON.parse(execFileSync(process.execPath, ['-e', script], { cwd: root, env, encoding: 'utf8' }));
}

describe('results', () => {
  const { paths } = cpuInfo();
  const alone = new Map(paths.map((path) => [path, digests(path, 1)]));
  it.each(paths)('of %s do not depend on the number of threads', (path) => {
    for (const threads of [2, 3, 7]) expect(digests(path, threads)).toEqual(alone.get(path));
  });
  it.each(paths)('of %s have the random numbers of every other path', (path) => {
    const first = alone.get(paths[0]!)!;
    for (const name of ['uniform', 'normal', 'normalBf16', 'dropout'])
      expect(alone.get(path)![name], name).toBe(first[name]);
  });
});
