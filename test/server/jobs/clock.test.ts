// A clock that is put back or forward: the order of files and jobs stays, no job ends before it began, and what is told of
// durations does not follow the clock.
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FileStore } from '../../../lib/server/files/store.js';
import { JobStore } from '../../../lib/server/jobs/store.js';
import { MemoryStore } from '../../store/memory.js';
import { modelId } from '../running.js';
import { jobServer, long, rows } from './server.js';

const year = 365 * 24 * 3600 * 1000;

function putClock(by: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + by });
  onTestFinished(() => void vi.useRealTimers());
}

const record = (id: string): Parameters<JobStore['create']>[0] => ({
  id,
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

describe.each([-year, year])('a clock put by %i ms', (by) => {
  it('leaves jobs in their order, also for the next process, and their times, too', async () => {
    const store = new MemoryStore();
    const jobs = await JobStore.open(store, () => {});
    const first = await jobs.create(record('ftjob-1'), [], async () => {});
    putClock(by);
    await jobs.update(first, () => ({ finishedAt: jobs.now() }));
    expect(first.finishedAt).toBeGreaterThan(first.createdAt);
    const again = await JobStore.open(store, () => {});
    const second = await again.create(record('ftjob-2'), [], async () => {});
    expect(again.all.map(({ id }) => id)).toEqual(['ftjob-1', 'ftjob-2']);
    expect(second.queuedAt).toBeGreaterThan(first.finishedAt!);
  });

  it('leaves files in their order, each with its whole life', async () => {
    const store = new MemoryStore();
    const files = await FileStore.open(store, () => {});
    const details = async () => ({ filename: 'a', purpose: 'fine-tune', bytes: 0, lifetime: 3_600_000 });
    const first = await files.add('file-1', details);
    if (by > 0) await files.remove('file-1'); // it would expire
    putClock(by);
    const second = await files.add('file-2', details);
    expect(second.createdAt).toBeGreaterThan(first.createdAt);
    expect(second.expiresAt! - second.createdAt).toBe(3_600_000);
    expect((await files.list()).map(({ id }) => id)).toEqual(by > 0 ? ['file-2'] : ['file-1', 'file-2']);
  });
});

describe('an estimate', () => {
  const { at, create, until, stepsOf } = jobServer();

  it('of a job is of its pace, not of the clock', async () => {
    const { id } = await create(rows(8), long);
    await until(id, async () => (await stepsOf(id)).length >= 2);
    putClock(-year);
    const job = await until(id, ({ estimated_finish }) => estimated_finish !== null);
    const now = Math.floor(Date.now() / 1000);
    expect(job.estimated_finish).toBeGreaterThanOrEqual(now);
    expect(job.estimated_finish! - now).toBeLessThan(24 * 3600);
    await at().client.fineTuning.jobs.cancel(id);
  });
});
