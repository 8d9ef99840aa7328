// Files and jobs over a store that is no folder: a job is trained, its models answer, and a second server over the same
// store has all of it.
import { expect, it } from 'vitest';
import { serverSettings } from '../../../lib/server/options.js';
import { type Server, serverOf } from '../../../lib/server/server.js';
import { MemoryStore } from '../../store/memory.js';
import { failuresOnly, modelId, modelPath } from '../running.js';
import { rows } from './server.js';

interface Job {
  id: string;
  status: string;
  fine_tuned_model: string;
  result_files: string[];
}

const settings = () => serverSettings({ models: [modelPath], logger: failuresOnly });

async function textAt({ fetch }: Server, path: string, init?: RequestInit): Promise<string> {
  const response = await fetch(new Request(`http://x/v1${path}`, init));
  const text = await response.text();
  expect(response.status, text).toBe(200);
  return text;
}
const call = async <T>(...at: Parameters<typeof textAt>): Promise<T> => JSON.parse(await textAt(...at)) as T;
const post = <T>(server: Server, path: string, body: object): Promise<T> =>
  call(server, path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  });

async function answer(server: Server, model: string): Promise<string> {
  const messages = [{ role: 'user', content: 'Which parcel is number 3?' }];
  const { choices } = await post<{ choices: { message: { content: string } }[] }>(server, '/chat/completions', {
    model,
    messages,
    max_completion_tokens: 8,
    temperature: 0,
  });
  return choices[0]!.message.content;
}

async function trained(server: Server, model: string, training_file: string): Promise<Job> {
  const hyperparameters = { n_epochs: 2, batch_size: 4, learning_rate: 1e-2 };
  const { id } = await post<Job>(server, '/fine_tuning/jobs', {
    model,
    training_file,
    method: { type: 'supervised', supervised: { hyperparameters } },
  });
  for (;;) {
    const job = await call<Job>(server, `/fine_tuning/jobs/${id}`);
    expect(['failed', 'cancelled'], JSON.stringify(job)).not.toContain(job.status);
    if (job.status === 'succeeded') return job;
    await new Promise(setImmediate);
  }
}

it('files, jobs and models need nothing but the contract', async () => {
  const store = new MemoryStore();
  let server = serverOf(settings(), async () => store);
  await server.ready;
  const body = new FormData();
  body.set('purpose', 'fine-tune');
  body.set('file', new Blob([rows(8)]), 'rows.jsonl');
  const { id: file } = await call<{ id: string }>(server, '/files', { method: 'POST', body });
  expect(await textAt(server, `/files/${file}/content`)).toBe(rows(8));
  const first = await trained(server, modelId, file);
  const said = await answer(server, first.fine_tuned_model);
  expect(said).not.toBe(await answer(server, modelId));
  const next = await trained(server, first.fine_tuned_model, file);
  const names = async (): Promise<string[]> =>
    (await call<{ data: { id: string }[] }>(server, '/models')).data.map(({ id }) => id);
  const all = await names();
  expect(all).toContain(next.fine_tuned_model);
  expect(all).toContain(`${first.fine_tuned_model}:ckpt-step-4`);
  await server.close();

  server = serverOf(settings(), async () => store);
  await server.ready;
  expect((await names()).sort()).toEqual(all.sort());
  expect(await answer(server, first.fine_tuned_model)).toBe(said);
  expect(await textAt(server, `/files/${first.result_files[0]}/content`)).toMatch(/^step,train_loss/);
  await call(server, `/models/${first.fine_tuned_model}`, { method: 'DELETE' });
  expect(await names()).not.toContain(first.fine_tuned_model);
  await server.close();
  expect(store.scratches.size).toBe(0);
});
