// Fine-tuning jobs, by the official client: the whole life of a job.
import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FineTuningJob } from 'openai/resources/fine-tuning';
import { describe, expect, it } from 'vitest';
import { eventually } from '../../until.js';
import { modelId } from '../running.js';
import { expectValid } from '../specification.js';
import { jobServer, long, preference, quick, rows } from './server.js';

const { dataDir, at, restart, upload, create, retrieve, until, over, eventsOf, stepsOf } = jobServer();

describe('a supervised job', () => {
  it('lives from the upload to the answers of its model', async () => {
    const created = await create(
      rows(20),
      { ...quick, learning_rate: 5e-3, n_epochs: 4 },
      {
        validation_file: await upload(rows(4), 'held-out.jsonl'),
        suffix: 'support desk',
        seed: 7,
        metadata: { team: 'parcels' },
        integrations: [{ type: 'wandb', wandb: { project: 'p', tags: ['a'] } }],
      },
    );
    expect(created).toMatchObject({
      object: 'fine_tuning.job',
      model: modelId,
      status: 'validating_files',
      seed: 7,
      organization_id: 'acme',
      fine_tuned_model: null,
      finished_at: null,
      result_files: [],
      error: null,
      trained_tokens: null,
      metadata: { team: 'parcels' },
      method: { type: 'supervised' },
    });
    const job = await over(created.id);
    expect(job.error).toBeNull();
    expect(job).toMatchObject({ status: 'succeeded', id: created.id, hyperparameters: { n_epochs: 4, batch_size: 4 } });
    expect(job.hyperparameters.learning_rate_multiplier).toBe(1);
    expect(job.fine_tuned_model).toMatch(/^ft:helvetia-small:acme:support-desk:[A-Za-z0-9]{8}$/);
    expect(job.trained_tokens).toBeGreaterThan(100);
    expect(job.finished_at).toBeGreaterThanOrEqual(job.created_at);

    const events = await eventsOf(job.id);
    const listed = await fetch(`${at().url}/v1/fine_tuning/jobs/${job.id}/events`);
    expectValid('ListFineTuningJobEventsResponse', await listed.json());
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length);
    const messages = events.map(({ message }) => message).reverse();
    expect(messages.slice(0, 5)).toEqual([
      `Created fine-tuning job: ${job.id}`,
      expect.stringMatching(/^'integrations' are kept but not carried out/),
      `Validating training file: ${job.training_file}`,
      'Files validated, moving job to queued state',
      'Fine-tuning job started',
    ]);
    expect(messages.filter((message) => message.startsWith('Step '))).toHaveLength(20);
    expect(messages).toContainEqual(
      expect.stringMatching(/^Step 2\/20: training loss=\d+\.\d\d, validation loss=\d+\.\d\d$/),
    );
    expect(messages.slice(-2)).toEqual([
      `New fine-tuned model created: ${job.fine_tuned_model}`,
      'The job has successfully completed',
    ]);
    const figures = events.filter(({ type }) => type === 'metrics').map(({ data }) => data as Record<string, number>);
    expect(figures[0]).toMatchObject({ step: 20, total_steps: 20 });
    expect(figures[0]!.train_loss).toBeLessThan(figures.at(-1)!.train_loss!);
    expect(figures[0]!.valid_mean_token_accuracy).toBeGreaterThan(0);

    const page = await at().client.fineTuning.jobs.checkpoints.list(job.id);
    expectValid('ListFineTuningJobCheckpointsResponse', (page as unknown as { body: unknown }).body);
    expect(page.data.map(({ step_number }) => step_number)).toEqual([20, 18, 16, 14, 12, 10, 8, 6, 4, 2]);
    const checkpoint = page.data[5]!;
    expect(checkpoint.fine_tuned_model_checkpoint).toBe(`${job.fine_tuned_model}:ckpt-step-10`);
    expect(checkpoint.metrics.full_valid_loss).toBe(figures.find(({ step }) => step === 10)!.valid_loss);

    const [resultFile] = job.result_files;
    expect((await at().client.files.retrieve(resultFile!)).purpose).toBe('fine-tune-results');
    const csv = (await (await at().client.files.content(resultFile!)).text()).trim().split('\n');
    expect(csv[0]).toBe('step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy');
    expect(csv).toHaveLength(21);
    expect(csv[2]!.split(',').map(Number)).toEqual(
      ['step', 'train_loss', 'train_mean_token_accuracy', 'valid_loss', 'valid_mean_token_accuracy'].map(
        (name) => figures[18]![name],
      ),
    );

    const ask = async (model: string) =>
      (
        await at().client.chat.completions.create({
          model,
          messages: [{ role: 'user', content: 'Which parcel is number 3?' }],
          max_completion_tokens: 8,
          temperature: 0,
        })
      ).choices[0]!.message.content;
    const streamed = async (model: string) => {
      let text = '';
      const stream = await at().client.chat.completions.create({
        model,
        messages: [{ role: 'user', content: 'Which parcel is number 3?' }],
        max_completion_tokens: 8,
        temperature: 0,
        stream: true,
      });
      for await (const chunk of stream) {
        expectValid('CreateChatCompletionStreamResponse', chunk);
        expect(chunk.model).toBe(model);
        text += chunk.choices[0]?.delta.content ?? '';
      }
      return text;
    };
    const tuned = await ask(job.fine_tuned_model!);
    expect(await streamed(job.fine_tuned_model!)).toBe(tuned);
    expect(tuned).not.toBe(await ask(modelId));
    expect(await ask(`${job.fine_tuned_model}:ckpt-step-20`)).toBe(tuned);
    const models = (await at().client.models.list()).data.map(({ id }) => id);
    expect(models.filter((id) => id === job.fine_tuned_model)).toHaveLength(1);
    expect(readdirSync(join(dataDir, 'jobs', job.id)).sort()).toEqual([
      'adapter',
      'checkpoints',
      'events.jsonl',
      'job.json',
    ]);

    await restart();
    expect(await retrieve(job.id)).toEqual(job);
    expect(await eventsOf(job.id)).toEqual(events);
    expect(await ask(job.fine_tuned_model!)).toBe(tuned);
    expect(await streamed(job.fine_tuned_model!)).toBe(tuned);

    const unloaded = await at().post('/v1/unload_lora_adapter', { lora_name: job.fine_tuned_model });
    expect([unloaded.status, await unloaded.text()]).toEqual([400, expect.stringContaining('DELETE /v1/models/')]);
    expect(await ask(job.fine_tuned_model!)).toBe(tuned);

    const gone = await at().client.models.delete(job.fine_tuned_model!);
    expectValid('DeleteModelResponse', gone);
    await expect(ask(job.fine_tuned_model!)).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
    await at().client.models.delete(`${job.fine_tuned_model}:ckpt-step-10`);
    await expect(ask(`${job.fine_tuned_model}:ckpt-step-10`)).rejects.toMatchObject({ status: 404 });
    expect(await ask(`${job.fine_tuned_model}:ckpt-step-20`)).toBe(tuned);
    expect(existsSync(join(dataDir, 'jobs', job.id, 'adapter'))).toBe(false);
  });

  it('goes on from a model that was trained before', async () => {
    const first = await over((await create(rows(8))).id);
    const next = await at().client.fineTuning.jobs.create({
      model: first.fine_tuned_model!,
      training_file: await upload(rows(8)),
      hyperparameters: { n_epochs: 1 },
    });
    const second = await over(next.id);
    expect(second).toMatchObject({ status: 'succeeded', model: first.fine_tuned_model });
    expect(second.fine_tuned_model).toMatch(/^ft:helvetia-small:acme::\w{8}$/);

    // By the name of its base too, and though it is damaged.
    const folder = join(dataDir, 'jobs', second.id, 'adapter');
    await restart(() => writeFileSync(join(folder, 'adapter_model.safetensors'), 'damaged'));
    const name = `${modelId}:${second.fine_tuned_model}`;
    expect(await at().client.models.delete(name)).toEqual({ id: name, object: 'model', deleted: true });
    expect(existsSync(folder)).toBe(false);
    await expect(at().client.models.retrieve(second.fine_tuned_model!)).rejects.toMatchObject({ status: 404 });
  });

  it('goes on from an adapter in a folder, of which it has a copy', async () => {
    const first = await over((await create(rows(8))).id);
    const folder = join(dataDir, 'adapters', modelId, 'own');
    cpSync(join(dataDir, 'jobs', first.id, 'adapter'), folder, { recursive: true });
    const { id } = await at().client.fineTuning.jobs.create({
      model: 'own',
      training_file: await upload(rows(40)),
      hyperparameters: { n_epochs: 50, batch_size: 1 },
    });
    await at().client.fineTuning.jobs.pause(id);
    for (const name of ['adapter_config.json', 'adapter_model.safetensors']) {
      const [given, copied] = [join(folder, name), join(dataDir, 'jobs', id, 'start', name)];
      expect(readFileSync(copied).equals(readFileSync(given))).toBe(true);
      expect(statSync(copied).ino).not.toBe(statSync(given).ino);
    }
    await at().client.fineTuning.jobs.cancel(id);
  });

  it('is what preferences after it are measured against', async () => {
    const first = await over((await create(rows(8), { ...quick, learning_rate: 1e-2 })).id);
    const { id } = await at().client.fineTuning.jobs.create({
      model: first.fine_tuned_model!,
      training_file: await upload(rows(8, preference)),
      method: { type: 'dpo', dpo: { hyperparameters: { n_epochs: 1, batch_size: 4 } } },
    });
    expect((await over(id)).status).toBe('succeeded');
    const step = (await eventsOf(id)).findLast(({ type }) => type === 'metrics')!.data as Record<string, number>;
    expect(step).toMatchObject({ step: 1, train_reward_margin: 0 });
    expect(step.train_loss).toBeCloseTo(Math.log(2), 6);
  });

  it('settles what is left to it, and takes the old form of hyperparameters', async () => {
    const training_file = await upload(rows(8));
    const job = await at().client.fineTuning.jobs.create({
      model: modelId,
      training_file,
      hyperparameters: { n_epochs: 2, batch_size: 'auto' },
    });
    expect(job.hyperparameters).toEqual({ n_epochs: 2, batch_size: 'auto', learning_rate_multiplier: 'auto' });
    await at().client.files.delete(training_file);
    const done = await over(job.id);
    expect(done.status).toBe('succeeded');
    expect(done.hyperparameters).toEqual({
      n_epochs: 2,
      batch_size: 1,
      learning_rate_multiplier: 1,
      learning_rate: 2.1e-3,
      lora_r: 16,
      lora_alpha: 32,
    });
    expect(done.method?.supervised?.hyperparameters).toEqual(done.hyperparameters);
    expect(await stepsOf(job.id)).toHaveLength(16);
  });
});

it('a job of preferences raises their margin', async () => {
  const job = await create(
    rows(8, preference),
    {},
    {
      validation_file: await upload(rows(3, preference)),
      method: {
        type: 'dpo',
        dpo: { hyperparameters: { beta: 0.5, n_epochs: 4, batch_size: 8, learning_rate: 5e-3, lora_r: 4 } },
      },
    },
  );
  const done = await over(job.id);
  expect(done).toMatchObject({
    status: 'succeeded',
    error: null,
    method: { type: 'dpo', dpo: { hyperparameters: { beta: 0.5 } } },
  });
  const figures = (await eventsOf(job.id)).flatMap(({ type, data }) =>
    type === 'metrics' ? [data as Record<string, number>] : [],
  );
  expect(figures.at(-1)!.train_reward_margin).toBeCloseTo(0, 6);
  expect(figures[0]!.valid_reward_margin).toBeGreaterThan(0.1);
  const csv = await (await at().client.files.content(done.result_files[0]!)).text();
  expect(csv).toMatch(/^step,train_loss,train_reward_accuracy,valid_loss,valid_reward_accuracy\n1,0\.69/);
});

describe('jobs', () => {
  it('pause, go on and are cancelled', async () => {
    const { id } = await create(rows(40), long);
    await until(id, async () => (await stepsOf(id)).length >= 3);
    const paused = await at().client.fineTuning.jobs.pause(id);
    expectValid('FineTuningJob', paused);
    expect(paused.status).toBe('queued');
    const other = await create(rows(4));
    expect((await over(other.id)).status).toBe('succeeded');
    const reached = await stepsOf(id);
    expect((await retrieve(id)).status).toBe('queued');
    await expect(at().client.fineTuning.jobs.pause(id)).rejects.toMatchObject({
      status: 400,
      code: 'invalid_job_state',
    });
    await at().client.fineTuning.jobs.resume(id);
    await until(id, async () => (await stepsOf(id)).length > reached.length + 2);
    await expect(at().client.fineTuning.jobs.resume(id)).rejects.toMatchObject({ status: 400 });
    expect((await retrieve(id)).estimated_finish).toBeGreaterThan(0);
    const cancelled = await at().client.fineTuning.jobs.cancel(id);
    expectValid('FineTuningJob', cancelled);
    expect(cancelled).toMatchObject({ status: 'cancelled', fine_tuned_model: null, result_files: [] });
    expect(cancelled.finished_at).not.toBeNull();
    for (const change of ['cancel', 'pause', 'resume'] as const) {
      await expect(at().client.fineTuning.jobs[change](id)).rejects.toMatchObject({ status: 400 });
    }
    const steps = await stepsOf(id);
    expect(steps).toEqual(Array.from(steps, (_, i) => steps.length - i));
    const messages = (await eventsOf(id)).map(({ message }) => message);
    expect(messages).toContain('The job has been paused');
    expect(messages[0]).toBe('The job has been cancelled');
    // Stops leave a checkpoint to go on from, but no model.
    expect(messages.filter((message) => message.startsWith('Checkpoint'))).toEqual([]);
    await eventually(() => expect(existsSync(join(dataDir, 'jobs', id, 'run'))).toBe(false));
  });

  it('that are paused at the last moment have no model until they go on', async () => {
    let paused = 0;
    for (let round = 0; round < 6; round++) {
      const before = (await at().client.files.list({ purpose: 'fine-tune-results' })).data.length;
      const { id } = await create(rows(4), { ...quick, lora_r: 16 }, { suffix: `late${round}` });
      while (!existsSync(join(dataDir, 'jobs', id, 'adapter'))) await new Promise(setImmediate);
      const pausing = new Request(`http://x/v1/fine_tuning/jobs/${id}/pause`, { method: 'POST' });
      if ((await at().server.fetch(pausing)).status === 200) {
        paused++;
        // The training has noticed it once another job is let in.
        expect((await over((await create(rows(4))).id)).status).toBe('succeeded');
        expect(await retrieve(id)).toMatchObject({ status: 'queued', fine_tuned_model: null });
        const names = (await at().client.models.list()).data.map((model) => model.id);
        expect(names.filter((name) => name.includes(`:late${round}:`) && !name.includes(':ckpt-'))).toEqual([]);
        const results = (await at().client.files.list({ purpose: 'fine-tune-results' })).data;
        expect(results.length - before).toBeLessThanOrEqual(1); // that of the other job
        await at().client.fineTuning.jobs.resume(id);
      }
      const job = await over(id);
      expect(job.status).toBe('succeeded');
      expect(await at().client.models.retrieve(job.fine_tuned_model!)).toMatchObject({ parent: modelId });
      expect((await at().client.files.retrieve(job.result_files[0]!)).purpose).toBe('fine-tune-results');
    }
    expect(paused).toBeGreaterThan(0);
  });

  it('train while their process answers, and go on after it was closed', async () => {
    const { id } = await create(rows(40), { ...long, n_epochs: 3 });
    await until(id, async () => (await stepsOf(id)).length >= 2);
    const messages = [{ role: 'user' as const, content: 'Hello' }];
    const ask = () =>
      at().client.chat.completions.create({ model: modelId, messages, max_completion_tokens: 16, temperature: 0 });
    const during = (await ask()).choices[0]!.message.content;
    expect((await retrieve(id)).status).toBe('running');
    const before = await stepsOf(id);
    await restart();
    expect((await stepsOf(id)).length).toBeGreaterThanOrEqual(before.length);
    const done = await over(id);
    expect(done.status).toBe('succeeded');
    expect(await stepsOf(id)).toEqual(Array.from({ length: 120 }, (_, i) => 120 - i));
    expect((await ask()).choices[0]!.message.content).toBe(during);
  });

  it('wait for one another, in order', async () => {
    const first = await create(rows(40), long);
    const [second, third] = [await create(rows(4)), await create(rows(4))];
    await until(first.id, ({ status }) => status === 'running');
    await until(third.id, ({ status }) => status === 'queued');
    expect((await retrieve(second.id)).status).toBe('queued');
    expect((await at().client.fineTuning.jobs.cancel(third.id)).status).toBe('cancelled');
    await at().client.fineTuning.jobs.cancel(first.id);
    expect((await over(second.id)).status).toBe('succeeded');
  });

  it('are listed newest first, by page and by metadata', async () => {
    const made: string[] = [];
    for (const team of ['a', 'b', 'a'])
      made.unshift((await create(rows(4), quick, { metadata: { team, kind: 'list' } })).id);
    const list = async (query: object) => {
      const ids: string[] = [];
      for await (const job of at().client.fineTuning.jobs.list(query)) ids.push(job.id);
      return ids;
    };
    expect(await list({ limit: 2, metadata: { kind: 'list' } })).toEqual(made);
    expect(await list({ metadata: { kind: 'list', team: 'b' } })).toEqual([made[1]]);
    const plain = await create(rows(4));
    made.unshift(plain.id);
    const [newest, ...others] = await list({ metadata: null });
    expect(newest).toBe(plain.id);
    for (const id of others) expect(made).not.toContain(id);
    const whole = await list({ limit: 3 });
    expect(whole.slice(0, 4)).toEqual(made);
    expect(new Set(whole).size).toBe(whole.length);
    const body = (await (await fetch(`${at().url}/v1/fine_tuning/jobs?metadata=null&limit=1`)).json()) as {
      data: FineTuningJob[];
    };
    expectValid('ListPaginatedFineTuningJobsResponse', body);
    expect(body.data[0]!.metadata).toBeNull();
    for (const id of made) await over(id);
  });
});
