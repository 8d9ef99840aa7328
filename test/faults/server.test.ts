// Each file operation of a server with a data folder fails once: in an upload, in a job's life, and when it starts. It goes
// on, callers get clear errors, nothing half-written is taken for whole, and the next try succeeds.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Model } from '../../lib/model.js';
import { createServer, type Server } from '../../lib/server/index.js';
import { expectValid } from '../server/specification.js';
import { ruleRows, smallDecoder } from '../train/small.js';
import { eventually } from '../until.js';
import { arm, disarm, forEachOperation } from './failing-files.js';

vi.mock('node:fs/promises', async (original) => (await import('./failing-files.js')).failingPromises(await original()));
vi.mock('node:fs', async (original) => (await import('./failing-files.js')).failingFiles(await original()));

const defaults = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, endIds: [] };
let model: Model;
beforeAll(() => {
  model = new Model('small', '.', smallDecoder(), undefined, defaults);
});
afterAll(() => model.dispose());

let folder: string;
let server: Server;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'helvetia-faults-'));
});
afterEach(async () => {
  await server.close({ drainSeconds: 0 });
  rmSync(folder, { recursive: true });
});

async function start(dataDir = folder): Promise<void> {
  server = createServer({ models: [model], dataDir, logger: false });
  await server.ready;
}

interface Job {
  id: string;
  status: string;
  fine_tuned_model: string;
  result_files: string[];
  error: { message: string } | null;
}

interface Answer<T> {
  status: number;
  json: T & { error?: { message: string } };
}

async function ask<T>(method: string, path: string, body?: object): Promise<Answer<T>> {
  const form = body instanceof FormData;
  const response = await server.fetch(
    new Request(`http://localhost/v1${path}`, {
      method,
      ...(body ? { body: form ? body : JSON.stringify(body) } : {}),
      ...(body && !form ? { headers: { 'content-type': 'application/json' } } : {}),
    }),
  );
  return { status: response.status, json: (await response.json()) as Answer<T>['json'] };
}

const text = ruleRows(2)
  .map((row) => `${JSON.stringify(row)}\n`)
  .join('');

function upload(): Promise<Answer<{ id: string }>> {
  const form = new FormData();
  form.append('purpose', 'fine-tune');
  form.append('file', new File([text], 'rows.jsonl'));
  return ask('POST', '/files', form);
}

const create = (training_file: string): Promise<Answer<Job>> =>
  ask('POST', '/fine_tuning/jobs', {
    model: 'small',
    training_file,
    seed: 1,
    method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 1, batch_size: 2, lora_r: 1 } } },
  });

const jobs = async (): Promise<Job[]> => (await ask<{ data: Job[] }>('GET', '/fine_tuning/jobs?limit=1000')).json.data;
const idsOf = async (path: string): Promise<string[]> =>
  (await ask<{ data: { id: string }[] }>('GET', path)).json.data.map(({ id }) => id).sort();
const contentOf = async (id: string): Promise<string> =>
  (await server.fetch(new Request(`http://localhost/v1/files/${id}/content`))).text();

/** Until a job is over; `resume` has what waits tried at once. */
const over = (id: string): Promise<Job> =>
  eventually(async () => {
    await ask('POST', `/fine_tuning/jobs/${id}/resume`);
    const { json } = await ask<Job>('GET', `/fine_tuning/jobs/${id}`);
    expect(['succeeded', 'failed'], json.error?.message).toContain(json.status);
    return json;
  });

function expectClear({ status, json }: Answer<unknown>, fired: string): void {
  expect([500, 503, 507], fired).toContain(status);
  expectValid('ErrorResponse', json);
  expect(json.error?.message, fired).toMatch(/no space left|too many open files|Its log says why/);
}

describe('the n-th file operation fails', () => {
  it('in an upload: what was answered with success is stored, and nothing else is', async () => {
    await start();
    const stored: string[] = [];
    const operations = await forEachOperation({ below: folder }, async (_, failing) => {
      const { value: answer, fired } = await failing(upload);
      if (answer!.status === 200) stored.push(answer!.json.id);
      else expectClear(answer!, fired);
      const again = await upload();
      expect(again.status, fired).toBe(200);
      stored.push(again.json.id);
    });
    expect(operations).toBeGreaterThan(10);
    expect(await idsOf('/files')).toEqual(stored.sort());
    await server.close();
    await start();
    expect(await idsOf('/files')).toEqual(stored);
    for (const id of stored) expect(await contentOf(id)).toBe(text);
    expect(readdirSync(join(folder, 'files')).sort()).toEqual(stored);
  });

  it('in the life of a job: it succeeds after a shortage, or says that it failed', { timeout: 600_000 }, async () => {
    await start();
    const { id: file } = (await upload()).json;
    const known = new Map<string, Job>();
    const operations = await forEachOperation({ below: folder, every: 7 }, async (_, failing) => {
      let fault = '';
      const {
        value: ended,
        error: unexpected,
        fired,
      } = await failing(async () => {
        let made = await create(file);
        if (made.status !== 200) {
          expectClear(made, disarm().fired);
          expect((await jobs()).map(({ id }) => id).sort()).toEqual([...known.keys()].sort());
          made = await create(file);
          fault = 'creation';
        }
        expect(made.status).toBe(200);
        return over(made.json.id);
      });
      if (unexpected) throw new Error(`${fired}: ${unexpected.message}`, { cause: unexpected });
      const { id, status, error } = ended!;
      known.set(id, ended!);
      // Of a disk that cannot be read or written nothing is known: such a job may fail.
      if (status === 'failed') expect(error?.message, fired).toMatch(/EIO/);
      else expect((await contentOf(ended!.result_files[0]!)).split('\n'), `${fault} ${fired}`).toHaveLength(3);
    });
    expect(operations).toBeGreaterThan(60);
    const succeeded = [...known.values()].filter(({ status }) => status === 'succeeded');
    expect(succeeded.length).toBeGreaterThan(known.size / 2);
    await server.close();
    await start();
    expect((await jobs()).map(({ id, status }) => [id, status]).sort()).toEqual(
      [...known.values()].map(({ id, status }) => [id, status]).sort(),
    );
    const models = await idsOf('/models');
    for (const { fine_tuned_model } of succeeded) expect(models).toContain(fine_tuned_model);
    for (const id of readdirSync(join(folder, 'jobs')))
      expect(readdirSync(join(folder, 'jobs', id)), id).not.toContain('training.jsonl');
  });

  it('when it starts: it says so, or has all that was there', async () => {
    await start();
    const { id: file } = (await upload()).json;
    await over((await create(file)).json.id);
    const [files, models, [job]] = [await idsOf('/files'), await idsOf('/models'), await jobs()];
    await server.close();
    // What a killed process leaves.
    const home = join(folder, 'jobs', job!.id);
    mkdirSync(join(folder, '.scratch', 'x'), { recursive: true });
    writeFileSync(join(home, '.job.json.1.tmp'), '{');
    cpSync(join(home, 'adapter'), join(home, '.adapter.new'), { recursive: true });
    rmSync(join(home, 'adapter'), { recursive: true });
    const dataDir = `${folder}-copy`;
    const operations = await forEachOperation({ below: dataDir }, async (n, failing) => {
      rmSync(dataDir, { recursive: true, force: true });
      cpSync(folder, dataDir, { recursive: true });
      const { error, fired } = await failing(() => start(dataDir));
      if (error) {
        expect(error.message, fired).toMatch(/no space left|too many open files|EIO|injected/);
        await server.close();
        await start(dataDir);
      }
      // EIO of one record leaves it out with a warning; a shortage leaves out nothing.
      if (error || n % 3 !== 2) {
        expect(await idsOf('/files'), fired).toEqual(files);
        expect(await idsOf('/models'), fired).toEqual(models);
        expect((await jobs()).map(({ status }) => status)).toEqual(['succeeded']);
      }
      await server.close();
    });
    rmSync(dataDir, { recursive: true });
    expect(operations).toBeGreaterThan(20);
    await start();
    expect(await idsOf('/models')).toEqual(models);
  });
});

it('a job on a disk that stays full does not run, and goes on by itself once there is room', async () => {
  await start();
  const { id: file } = (await upload()).json;
  const { id } = (await create(file)).json;
  arm({ below: join(folder, 'jobs', id), at: 1, code: 'ENOSPC', lasting: true });
  await eventually(async () => {
    expect((await ask<Job>('GET', `/fine_tuning/jobs/${id}`)).json.status).not.toBe('running');
    expect((await ask('POST', `/fine_tuning/jobs/${id}/cancel`)).status).toBe(507);
  });
  disarm();
  const ended = await eventually(async () => {
    const { json } = await ask<Job>('GET', `/fine_tuning/jobs/${id}`);
    expect(json.status).toBe('succeeded');
    return json;
  });
  expect(await idsOf('/models')).toContain(ended.fine_tuned_model);
});
