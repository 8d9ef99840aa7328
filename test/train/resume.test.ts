// A run that is killed at any moment, and resumed, gives to the last bit what a run gives that never stopped.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { watchTree } from '../watch-tree.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const script = `import { runnerImport } from 'vite'; const { module } = await runnerImport(${JSON.stringify(fileURLToPath(new URL('./resume-child.ts', import.meta.url)))}, { oxc: { target: "es2022" } }); await module.done;`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'helvetia-resume-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs the child to its end, or kills it when it has written so often. */
function run(checkpoints: string, output: string, writes?: number): Promise<'ended' | 'killed'> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, checkpoints, output], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let errors = '';
    child.stderr.on('data', (text) => {
      errors += text;
    });
    let seen = 0;
    const watcher = watchTree(folder, () => {
      if (++seen === writes) child.kill('SIGKILL');
    });
    child.on('exit', (code, signal) => {
      watcher.close();
      if (signal === 'SIGKILL') resolve('killed');
      else if (code === 0) resolve('ended');
      else reject(new Error(errors));
    });
  });
}

const lines = (path: string): string[] => (existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : []);

it('is the same to the last bit after any number of kills', async () => {
  const whole = join(folder, 'whole.txt');
  expect(await run(join(folder, 'whole'), whole)).toBe('ended');
  const expected = lines(whole);
  expect(expected.length).toBeGreaterThan(20);
  expect(expected.at(-1)).toMatch(/^end [0-9a-f]{64}$/);

  const output = join(folder, 'killed.txt');
  const checkpoints = join(folder, 'killed');
  let kills = 0;
  // A whole run writes more than a hundred times.
  while (kills < 8 && (await run(checkpoints, output, 1 + Math.floor(50 * Math.random() ** 2))) === 'killed') {
    kills++;
    // Whatever was being written, what bears a checkpoint's name is whole.
    for (const name of existsSync(checkpoints) ? readdirSync(checkpoints) : []) {
      if (name.startsWith('step-')) expect(readdirSync(join(checkpoints, name))).toHaveLength(4);
    }
  }
  expect(kills).toBeGreaterThan(0);
  if (!lines(output).some((line) => line.startsWith('end'))) await run(checkpoints, output);

  const found = lines(output);
  expect(found.at(-1)).toBe(expected.at(-1));
  for (const line of found) expect(expected).toContain(line);
  expect(new Set(found)).toEqual(new Set(expected));
});
