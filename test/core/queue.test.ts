// Queues, transfers between devices and the CPU's threads, by a program of checks in C++: what waits for what, however
// the threads run.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const program = join(import.meta.dirname, '../../build/simt/Release/queue_selftest');
const isBuilt = existsSync(program);
if (!isBuilt) console.warn('skipped: the tests of queues are not built (npm run build:simt)');

describe.skipIf(!isBuilt)('queues', () => {
  it('keep the order of what depends on each other, and hold nothing else', () => {
    const env = { ...process.env, HELVETIA_SIMT_DEVICES: '2', HELVETIA_THREADS: '3' };
    const lines = execFileSync(program, { env, encoding: 'utf8', timeout: 280_000 }).replace(/\n$/, '').split('\n');
    expect(lines.length).toBeGreaterThan(15);
    expect(lines.filter((line) => !line.endsWith('\t'))).toEqual([]);
  });
});
