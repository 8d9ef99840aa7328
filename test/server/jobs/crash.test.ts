// What a process that died, or a disk that failed, leaves of jobs, and what the next one makes of it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { lockFolder } from '../../../lib/server/folder-lock.js';
import { eventOf, JobEvents, lineOf } from '../../../lib/server/jobs/events.js';
import { withoutFolders } from '../../../lib/server/jobs/settings.js';
import { copy, type JobRecord, JobStore, share } from '../../../lib/server/jobs/store.js';
import { firstEvents } from '../../../lib/server/jobs/telling.js';
import { processed } from '../../processor-time.js';
import { modelId, running } from '../running.js';
import { jobServer, long, quick, rows } from './server.js';

const { dataDir, at, restart, create, retrieve, until, over, eventsOf, stepsOf } = jobServer();

const pathOf = (id: string, ...parts: string[]) => join(dataDir, 'jobs', id, ...parts);
const edit = (id: string, changes: object) => {
  const path = pathOf(id, 'job.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...changes }));
};
const recordOf = (id: string) => JSON.parse(readFileSync(pathOf(id, 'job.json'), 'utf8')) as JobRecord;

/** A folder of its own for one test. */
function scratch(): string {
  const folder = join(dataDir, `scratch-${Math.random().toString(36).slice(2)}`);
  mkdirSync(folder);
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

const bare = (id: string): JobRecord => ({
  id,
  createdAt: 1000,
  queuedAt: 0,
  model: modelId,
  base: modelId,
  training: { id: 'file-a', filename: 'a' },
  method: 'supervised',
  hyperparameters: {},
  seed: 0,
  integrations: [],
  status: 'queued',
  paused: false,
  name: 'ft:x',
  resultFile: 'file-b',
  deleted: [],
});

describe('a job whose process dies', () => {
  it('is begun three times from one checkpoint, then fails and lets others train', async () => {
    const { id } = await create(rows(40), long);
    await until(id, async () => (await stepsOf(id)).length >= 2);
    expect(recordOf(id)).toMatchObject({ starts: 1, status: 'running' });
    await restart(() => {
      expect(recordOf(id).starts).toBe(0); // an orderly end is none of its doing
      edit(id, { starts: 2, reached: 1e6 });
    });
    await until(id, ({ status }) => status === 'running');
    await restart(() => edit(id, { starts: 3, reached: 1e6 }));
    const job = await over(id);
    expect(job).toMatchObject({ status: 'failed', error: { code: 'server_ended', param: null } });
    expect(job.error!.message).toMatch(
      /^The server ended 3 times while it trained this job without reaching a checkpoint/,
    );
    expect((await over((await create(rows(4))).id)).status).toBe('succeeded');
  });

  it('gets on once it was begun again, however early it is killed: it saves after its first step', async () => {
    const { id } = await create(rows(40), long);
    await until(id, async () => (await stepsOf(id)).length >= 2);
    await restart(() => {
      rmSync(pathOf(id, 'run'), { recursive: true });
      edit(id, { starts: 1, reached: 0 });
    });
    // Else the first checkpoint would be that of step 200.
    await until(id, () => existsSync(pathOf(id, 'run', 'step-000001')));
    expect(recordOf(id)).toMatchObject({ starts: 2, reached: 0 });
    await restart(() => edit(id, { starts: 2 }));
    await until(id, () => recordOf(id).starts === 1);
    expect(recordOf(id).reached).toBeGreaterThanOrEqual(1);
    await at().client.fineTuning.jobs.cancel(id);
  });

  it('is also failed where reading its data is what ends it', async () => {
    const { id } = await create(rows(40), long);
    await at().client.fineTuning.jobs.pause(id);
    await restart(() => edit(id, { status: 'validating_files', starts: 3 }));
    expect((await over(id)).error).toMatchObject({
      code: 'server_ended',
      message: expect.stringContaining('read this'),
    });
  });

  it('tells its end from its record', async () => {
    const { id } = await create(rows(40), long);
    await at().client.fineTuning.jobs.cancel(id);
    for (const status of ['cancelled', 'failed', 'succeeded']) {
      await restart(() => {
        edit(id, { status, error: { code: 'training_failed', message: 'as it was', param: null } });
        const lines = readFileSync(pathOf(id, 'events.jsonl'), 'utf8').split('\n');
        writeFileSync(pathOf(id, 'events.jsonl'), `${lines[0]}\n`);
        writeFileSync(pathOf(id, 'training.jsonl'), rows(4));
      });
      const [last] = await eventsOf(id);
      expect(last!.message).toMatch(/has been cancelled|failed: as it was|successfully completed/);
      expect(existsSync(pathOf(id, 'training.jsonl'))).toBe(false);
    }
  });

  it('has its deleted models removed by the next one', async () => {
    const { id, fine_tuned_model: name } = await over((await create(rows(8))).id);
    const steps = (await at().client.fineTuning.jobs.checkpoints.list(id)).data;
    const checkpoint = steps[0]!;
    await restart(() => edit(id, { deleted: [name, checkpoint.fine_tuned_model_checkpoint] }));
    expect(existsSync(pathOf(id, 'adapter'))).toBe(false);
    const step = `step-${String(checkpoint.step_number).padStart(6, '0')}`;
    expect(existsSync(pathOf(id, 'checkpoints', step))).toBe(false);
  });

  it('cannot be resumed once it has failed', async () => {
    const { id } = await over((await create('{"messages": 5}\n')).id);
    await restart(() => edit(id, { paused: true }));
    await expect(at().client.fineTuning.jobs.resume(id)).rejects.toMatchObject({ status: 400 });
    expect((await retrieve(id)).status).toBe('failed');
  });

  it('has no event before it is there', async () => {
    const { id } = await create(rows(4), quick);
    expect(readFileSync(pathOf(id, 'events.jsonl'), 'utf8')).toContain('Created fine-tuning job');
    await over(id);
  });
});

describe('a disk that fails', () => {
  it('leaves no event in memory that is not on the disk, and does not end the log', async () => {
    const folder = join(scratch(), 'job');
    mkdirSync(folder);
    const path = join(folder, 'events.jsonl');
    const log = await JobEvents.open(path, 'ftjob-x');
    await log.add('a', 'first');
    renameSync(folder, `${folder}.away`);
    await expect(log.add('b', 'second')).rejects.toThrow(/ENOENT/);
    expect(log.get('b')).toBeUndefined();
    renameSync(`${folder}.away`, folder);
    appendFileSync(path, '{"half": '); // as a full disk leaves it
    await Promise.all([log.add('b', 'second'), log.add('b', 'second'), log.add('c', 'third')]);
    const messages = ['first', 'second', 'third'];
    expect(log.all.map(({ message }) => message)).toEqual(messages);
    expect((await JobEvents.open(path, 'ftjob-x')).all.map(({ message }) => message)).toEqual(messages);
  });

  it('leaves records as they were', async () => {
    const store = await JobStore.open(scratch(), () => {});
    const job = await store.create(bare('ftjob-a'), firstEvents(bare('ftjob-a')), async () => {});
    renameSync(store.path('ftjob-a'), store.path('away'));
    await expect(store.update(job, () => ({ status: 'running' }))).rejects.toThrow(/no such file/);
    expect(job.status).toBe('queued');
    renameSync(store.path('away'), store.path('ftjob-a'));
    await store.update(job, () => ({ status: 'running' }));
    expect(job.status).toBe('running');
    await expect(
      store.update(job, () => {
        throw new Error('not now');
      }),
    ).rejects.toThrow('not now');
    expect((await JobStore.open(store.folder, () => {})).get('ftjob-a')).toEqual(job);
  });

  it('leaves nothing of a job that could not be created, and no two of one time', async () => {
    const store = await JobStore.open(scratch(), () => {});
    const failing = store.create(bare('ftjob-f'), [], async () => Promise.reject(new Error('full')));
    await expect(failing).rejects.toThrow('full');
    expect(store.all).toEqual([]);
    expect(existsSync(store.path('ftjob-f'))).toBe(false);
    const ids = ['ftjob-1', 'ftjob-2', 'ftjob-3'];
    await Promise.all(
      ids.map((id, n) => store.create(bare(id), [], () => new Promise((done) => setTimeout(done, 30 - 10 * n)))),
    );
    expect(new Set(store.all.map(({ createdAt }) => createdAt)).size).toBe(3);
    expect(store.all.map(({ id }) => id)).toEqual(ids);
  });
});

describe('logs', () => {
  it('of many events are read in short stretches, and forgotten once their jobs are over', async () => {
    const store = await JobStore.open(scratch(), () => {});
    const ids = Array.from({ length: 12 }, (_, n) => `ftjob-${n}`);
    for (const id of ids)
      await store.create({ ...bare(id), status: 'succeeded' }, firstEvents(bare(id)), async () => {});
    const [first] = ids as [string];
    const step = (n: number) => lineOf(eventOf(first, `step:${n}`, `Step ${n}`, { data: { step: n } }));
    writeFileSync(store.path(first, 'events.jsonl'), Array.from({ length: 50_000 }, (_, n) => step(n)).join(''));
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const before = processed();
    const log = await store.events(first);
    const took = processed() - before;
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(took / 40);
    expect(log.all).toHaveLength(50_000);
    expect(log.get('step:49999')).toMatchObject({ message: 'Step 49999' });
    expect(await store.events(first)).toBe(log);
    for (const id of ids) await store.events(id);
    expect(await store.events(first)).not.toBe(log);
  });
});

describe('what is shared', () => {
  it('is a file of its own where a link or the file of others was given', async () => {
    const folder = scratch();
    const at = (name: string) => join(folder, name);
    writeFileSync(at('real'), 'weights');
    symlinkSync(at('real'), at('link'));
    await share(at('link'), at('shared'));
    expect(lstatSync(at('shared')).isSymbolicLink()).toBe(false);
    await copy(at('link'), at('copied'));
    writeFileSync(at('real'), 'changed');
    expect(readFileSync(at('copied'), 'utf8')).toBe('weights');
  });
});

describe('the data folder', () => {
  it('belongs to one server at a time', async () => {
    const folder = scratch();
    const first = await running({ dataDir: folder });
    await expect(running({ dataDir: folder, logger: false })).rejects.toThrow(/another server uses this data folder/);
    await first[Symbol.asyncDispose]();
    await using _ = await running({ dataDir: folder });
  });

  it('is free again when its server is killed', async () => {
    const folder = scratch();
    const path = join(folder, '.lock');
    const listen = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('taken'))`;
    const other = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(other.stdout, 'data');
    await expect(lockFolder(folder, () => {})).rejects.toThrow(/another server/);
    other.kill('SIGKILL');
    await once(other, 'exit');
    expect(existsSync(path)).toBe(true);
    const takers = await Promise.allSettled(Array.from({ length: 5 }, () => lockFolder(folder, () => {})));
    const taken = takers.flatMap((taker) => (taker.status === 'fulfilled' ? [taker.value] : []));
    expect(taken).toHaveLength(1);
    await taken[0]!.release();
    await (await lockFolder(folder, () => {})).release();
  });

  it('may have a long path', async () => {
    const folder = join(scratch(), 'a-long-name'.repeat(12));
    mkdirSync(folder);
    const warnings: string[] = [];
    const lock = await lockFolder(folder, (warning) => void warnings.push(warning));
    if (process.platform === 'linux') {
      expect(warnings).toEqual([]);
      await expect(lockFolder(folder, () => {})).rejects.toThrow(`${folder}: another server`);
    }
    await lock.release();
    await (await lockFolder(folder, () => {})).release();
  });

  it('is not named to those who read errors', () => {
    const told = (message: string) => withoutFolders(message, ['/srv/my data', 'relative']);
    expect(told('/srv/my data/jobs/ftjob-a/run/step-000010/state.json: not valid JSON')).toBe(
      'state.json: not valid JSON',
    );
    expect(told("lora: '/opt/models/x/config.json' and (/etc/a/b): relative, 3/4")).toBe(
      "lora: 'config.json' and (b): relative, 3/4",
    );
  });
});
