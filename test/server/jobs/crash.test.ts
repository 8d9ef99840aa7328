// What a process that died, or a disk that failed, leaves of jobs, and what the next one makes of it.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { firstEvents } from '../../../lib/server/jobs/messages.js';
import type { JobRecord } from '../../../lib/server/jobs/record.js';
import { withoutFolders } from '../../../lib/server/jobs/settings.js';
import { JobStore } from '../../../lib/server/jobs/store.js';
import { FolderStore } from '../../../lib/store/folder.js';
import { MemoryStore } from '../../store/memory.js';
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

describe('a store that fails', () => {
  it('leaves records as they were', async () => {
    const folder = scratch();
    const store = await FolderStore.open(folder, () => {});
    const jobs = await JobStore.open(store, () => {});
    const job = await jobs.create(bare('ftjob-a'), firstEvents(bare('ftjob-a')), async () => {});
    const home = join(folder, 'jobs', 'ftjob-a');
    renameSync(home, `${home}-away`);
    await expect(jobs.update(job, () => ({ status: 'running' }))).rejects.toThrow(/no such file/);
    expect(job.status).toBe('queued');
    renameSync(`${home}-away`, home);
    await jobs.update(job, () => ({ status: 'running' }));
    expect(job.status).toBe('running');
    await expect(
      jobs.update(job, () => {
        throw new Error('not now');
      }),
    ).rejects.toThrow('not now');
    expect((await JobStore.open(store, () => {})).get('ftjob-a')).toEqual(job);
    await store.close();
  });

  it('leaves nothing of a job that could not be created, and no two of one time', async () => {
    const store = new MemoryStore();
    const jobs = await JobStore.open(store, () => {});
    const failing = jobs.create(bare('ftjob-f'), [], async () => Promise.reject(new Error('full')));
    await expect(failing).rejects.toThrow('full');
    expect(jobs.all).toEqual([]);
    expect(await store.records('job').get('ftjob-f')).toBeUndefined();
    const ids = ['ftjob-1', 'ftjob-2', 'ftjob-3'];
    const turns = [2, 1, 0]; // the first takes longest
    const later = async (n: number): Promise<void> => {
      for (let i = 0; i < n; i++) await new Promise(setImmediate);
    };
    await Promise.all(ids.map((id, n) => jobs.create(bare(id), [], () => later(turns[n]!))));
    expect(new Set(jobs.all.map(({ createdAt }) => createdAt)).size).toBe(3);
    expect(jobs.all.map(({ id }) => id)).toEqual(ids);
  });
});

describe('two processes over one store', () => {
  it('lose no change of the other: one that was second is made again from what it finds', async () => {
    const store = new MemoryStore();
    const first = await JobStore.open(store, () => {});
    const job = await first.create(bare('ftjob-a'), [], async () => {});
    const second = await JobStore.open(store, () => {});
    await first.update(job, () => ({ paused: true }));
    const seen: boolean[] = [];
    const same = second.get('ftjob-a')!;
    await second.update(same, () => {
      seen.push(same.paused);
      return { longestRow: 5 };
    });
    expect(seen).toEqual([false, true]);
    expect(same).toMatchObject({ paused: true, longestRow: 5 });
    expect((await store.records('job').get('ftjob-a'))!.value).toEqual(same);
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
