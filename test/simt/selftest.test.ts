// The software GPU tests itself: layouts against closed formulas, and kernels with seeded bugs that it must catch, under
// each scheduling policy and two seeds.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const program = join(import.meta.dirname, '../../build/simt/Release/simt_selftest');
const isBuilt = existsSync(program);
if (!isBuilt) console.warn('skipped: the self-tests of the software GPU are not built (npm run build:simt)');

/** Runs all checks. Gives what went wrong in each, '' for nothing. */
function run(policy: string, seed: number): Map<string, string> {
  const env = {
    ...process.env,
    HELVETIA_SIMT_POLICY: policy,
    HELVETIA_SIMT_SEED: String(seed),
    HELVETIA_SIMT_ARCH: '90',
  };
  const lines = execFileSync(program, { env, encoding: 'utf8', timeout: 60_000 }).replace(/\n$/, '').split('\n');
  return new Map(lines.map((line) => line.split('\t') as [string, string]));
}

/** What the report of each bug says. A number that differs, or is no number, is a report too. */
const bugs: readonly (readonly [string, RegExp])[] = [
  ["block bug: no barrier between two uses of a sum's room", /^race: a plain access of warp/],
  ['block bug: memory is read before its turn', /^a plain access before takeTurn\(\)/],
  ['block bug: a thread ends without its turn', /returned without takeTurn\(\)/],
  ['sm_80 bug: no barrier after the wait for copies', /^race: /],
  ['sm_80 bug: waits for one group of copies too few', /^element .*nan|^race: /],
  ['sm_80 bug: no barrier at the end of the loop', /^race: /],
  ['sm_80 bug: half of a warp shuffles with a mask of all', /the warp diverged/],
  ['sm_90 bug: the producer does not wait for empty stages', /more arrivals than its phase has|^race: |^deadlock: /],
  ['sm_90 bug: the consumers do not wait for full stages', /^race: |^element .*nan/],
  ['sm_90 bug: accumulators are read before the wait', /^race: |^element .*nan/],
  ['sm_90 bug: a stride of 32 units, not 64', /^element /],
  ['sm_90 bug: half of the bytes are expected', /^deadlock: .*warps 4-11 waits? for the mbarrier/],
  ['sm_90 bug: no proxy fence before the store', /without fence\.proxy\.async/],
  ['sm_90 bug: staging is written before the store has read it', /changed before waitStoresRead/],
  ['sm_90 bug: no wgmma fence', /wgmmaFence\(\) is missing/],
];

const orders = ['robin', 'greedy', 'random'].flatMap((policy) => [0, 1].map((seed) => [policy, seed] as const));

describe.skipIf(!isBuilt).each(orders)('the software GPU, policy %s, seed %d', (policy, seed) => {
  const results = isBuilt ? run(policy, seed) : new Map<string, string>();

  it('runs correct kernels correctly', () => {
    const correct = [...results].filter(([name]) => !name.includes(' bug: '));
    expect(correct.length).toBeGreaterThan(60);
    expect(correct.filter(([, problem]) => problem !== '')).toEqual([]);
  });

  it.each(bugs)('catches %s', (name, report) => {
    expect(results.get(name)).toMatch(report);
  });
});
