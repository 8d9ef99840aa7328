// What the tests of fine-tuning jobs share: data, hyperparameters, and a client that checks every job it sees.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toFile } from 'openai';
import type { FineTuningJob } from 'openai/resources/fine-tuning';
import { afterAll, beforeAll, expect } from 'vitest';
import { eventually } from '../../until.js';
import { modelId, type Running, running } from '../running.js';
import { expectValid } from '../specification.js';

export const chat = (n: number) => ({
  messages: [
    { role: 'user', content: `Which parcel is number ${n}?` },
    { role: 'assistant', content: `Parcel ${n} is blue.` },
  ],
});
export const preference = (n: number) => ({
  input: { messages: chat(n).messages.slice(0, 1) },
  preferred_output: [{ role: 'assistant', content: 'It is blue.' }],
  non_preferred_output: [{ role: 'assistant', content: 'I cannot say which one that is.' }],
});
export const lines = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
export const rows = (count: number, make: (n: number) => unknown = chat): string =>
  lines(Array.from({ length: count }, (_, n) => make(n)));

export const quick = { n_epochs: 1, batch_size: 4, lora_r: 2, max_length: 64 } as object;
/** Long enough to be interrupted. */
export const long = { n_epochs: 50, batch_size: 1, lora_r: 2, max_length: 64 } as object;

/** A server for the tests of one file, which may start it anew, and its jobs. */
export function jobServer() {
  const dataDir = mkdtempSync(join(tmpdir(), 'helvetia-jobs-'));
  const start = () => running({ dataDir, organization: 'acme' });
  let current: Running;
  const at = () => current;
  const restart = async (between: () => void = () => {}) => {
    await current[Symbol.asyncDispose]();
    between();
    current = await start();
  };
  beforeAll(async () => {
    current = await start();
  });
  afterAll(async () => {
    await current[Symbol.asyncDispose]();
    rmSync(dataDir, { recursive: true });
  });

  const upload = async (text: string, name = 'support.jsonl', purpose = 'fine-tune'): Promise<string> =>
    (await at().client.files.create({ file: await toFile(Buffer.from(text), name), purpose: purpose as 'fine-tune' }))
      .id;

  const create = async (text: string, hyperparameters: object = quick, more: object = {}): Promise<FineTuningJob> => {
    const job = await at().client.fineTuning.jobs.create({
      model: modelId,
      training_file: await upload(text),
      method: { type: 'supervised', supervised: { hyperparameters } },
      ...more,
    });
    expectValid('FineTuningJob', job);
    return job;
  };

  const retrieve = async (id: string): Promise<FineTuningJob> => {
    const job = await at().client.fineTuning.jobs.retrieve(id);
    expectValid('FineTuningJob', job);
    return job;
  };

  const until = (id: string, wanted: (job: FineTuningJob) => boolean | Promise<boolean>): Promise<FineTuningJob> =>
    eventually(async () => {
      const job = await retrieve(id);
      expect(await wanted(job), `${job.status} ${job.error?.message}`).toBe(true);
      return job;
    });
  const over = (id: string) => until(id, ({ status }) => ['succeeded', 'failed', 'cancelled'].includes(status));

  const eventsOf = async (id: string) => {
    const events = [];
    for await (const event of at().client.fineTuning.jobs.listEvents(id, { limit: 7 })) events.push(event);
    return events;
  };
  const stepsOf = async (id: string) =>
    (await eventsOf(id)).filter(({ type }) => type === 'metrics').map(({ data }) => (data as { step: number }).step);

  return { dataDir, at, restart, upload, create, retrieve, until, over, eventsOf, stepsOf };
}
