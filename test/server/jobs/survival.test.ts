// A job whose server is killed again and again ends as one that was never disturbed: the same adapter to the last byte,
// nothing lost, nothing doubled.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { mix } from '../../../lib/train/random.js';
import { watchTree } from '../../watch-tree.js';
import { modelPath, running } from '../running.js';
import { expectValid } from '../specification.js';

const child = fileURLToPath(new URL('./child.mjs', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'helvetia-survival-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Kill {
  on: RegExp;
  /** The server dies at one of so many first writes to such a path, … */
  writes?: number;
  /** … or at most so many milliseconds later: less than a step takes, or what follows would not be reached. */
  within?: number;
}

// The kills' moments follow from it: HELVETIA_SEED repeats a run.
const seed = Number(process.env.HELVETIA_SEED ?? Math.floor(Math.random() * 2 ** 31));

/**
 * Moments all over a job's life; those of its end last, because they let it come so far. Never three in a row that may
 * come before a checkpoint: such a job is given up.
 */
const kills: readonly Kill[] = [
  { on: /files/, within: 30 },
  { on: /job\.json/, within: 5 },
  { on: /events\.jsonl$/, writes: 20 },
  { on: /checkpoints.\.?step-/, within: 20 },
  { on: /job\.json/, within: 5 },
  { on: /events\.jsonl$/, writes: 40 },
  { on: /checkpoints.\.?step-/, within: 5 },
  { on: /run.\.step-/, within: 20 },
  { on: /checkpoints.\.?step-/, within: 50 },
  { on: /ftjob-\w+.\.?adapter/, within: 10 },
  { on: /files.\.?file-/, within: 10 },
  { on: /\.gone$/, within: 2 },
];

/** Serves until the job is over, or the server is killed. */
function serve(dataDir: string, method: string, kill?: Kill, share = 0): Promise<'ended' | 'killed'> {
  return new Promise((resolve, reject) => {
    const server = spawn(process.execPath, [child, dataDir, method, modelPath], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let errors = '';
    server.stderr.on('data', (text) => {
      errors += text;
    });
    const { writes = 1, within = 0 } = kill ?? {};
    let left = Math.ceil(writes * share);
    const watcher = watchTree(folder, (path) => {
      if (!kill?.on.test(path) || left-- !== 1) return;
      if (within === 0) server.kill('SIGKILL');
      else setTimeout(() => server.kill('SIGKILL'), within * share);
    });
    server.on('exit', (code, signal) => {
      watcher.close();
      if (signal === 'SIGKILL') resolve('killed');
      else if (code === 0) resolve('ended');
      else reject(new Error(errors));
    });
  });
}

interface Outcome {
  adapters: Record<string, string>;
  steps: unknown[];
  messages: string[];
  rows: string[];
  names: string[];
}

/** Everything that is left of the job, as a new server tells it; ids, which are random, and times apart. */
async function outcome(dataDir: string): Promise<Outcome> {
  await using at = await running({ dataDir });
  const jobs = (await at.client.fineTuning.jobs.list()).data;
  expect(jobs.map(({ status }) => status)).toEqual(['succeeded']);
  const [job] = jobs as [(typeof jobs)[0]];
  expectValid('FineTuningJob', job);
  const events = [];
  for await (const event of at.client.fineTuning.jobs.listEvents(job.id)) events.push(event);
  expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
  const results = (await at.client.files.list({ purpose: 'fine-tune-results' })).data;
  expect(results.map(({ id }) => id)).toEqual(job.result_files);
  const anonymous = (text: string) =>
    text.replaceAll(job.fine_tuned_model!, 'MODEL').replaceAll(job.id, 'JOB').replaceAll(job.training_file, 'FILE');
  const jobFolder = join(dataDir, 'jobs', job.id);
  const hash = (path: string) =>
    createHash('sha256')
      .update(readFileSync(join(path, 'adapter_model.safetensors')))
      .digest('hex');
  const checkpoints = readdirSync(join(jobFolder, 'checkpoints'));
  expect(readdirSync(jobFolder).sort()).toEqual(['adapter', 'checkpoints', 'events.jsonl', 'job.json']);
  return {
    adapters: Object.fromEntries([
      ['adapter', hash(join(jobFolder, 'adapter'))],
      ...checkpoints.map((name) => [name, hash(join(jobFolder, 'checkpoints', name))]),
    ]),
    steps: events.filter(({ type }) => type === 'metrics').map(({ data }) => data),
    messages: events.map(({ message }) => anonymous(message)).sort(),
    rows: (await (await at.client.files.content(results[0]!.id)).text()).trim().split('\n'),
    names: (await at.client.models.list()).data.map(({ id }) => anonymous(id)).sort(),
  };
}

it.each(['supervised', 'dpo'])('a %s job survives any number of kills', { timeout: 480_000 }, async (method) => {
  expect(await serve(join(folder, 'whole'), method)).toBe('ended');
  const expected = await outcome(join(folder, 'whole'));
  expect(expected.rows).toHaveLength(61);
  expect(Object.keys(expected.adapters)).toHaveLength(11);

  console.log(`HELVETIA_SEED=${seed}`);
  const dataDir = join(folder, 'killed');
  let killed = 0;
  for (const [i, kill] of kills.entries()) {
    const share = mix(seed, method.length, i) / 2 ** 32;
    if ((await serve(dataDir, method, kill, share)) === 'ended') continue;
    killed++;
    // Whatever was being written, what bears a name of its own is whole.
    for (const kind of ['files', 'jobs']) {
      const at = join(dataDir, kind);
      for (const name of existsSync(at) ? readdirSync(at) : []) {
        if (name.startsWith('.')) continue;
        const record = join(at, name, kind === 'files' ? 'file.json' : 'job.json');
        expect(JSON.parse(readFileSync(record, 'utf8'))).toMatchObject({ id: name });
      }
    }
  }
  expect(killed).toBeGreaterThan(6);
  await serve(dataDir, method);
  expect(await outcome(dataDir)).toEqual(expected);
});
