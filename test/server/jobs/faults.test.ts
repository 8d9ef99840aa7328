// Everything that can be wrong with a fine-tuning job: its data, its training, and the request for it.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { modelId } from '../running.js';
import { expectValid } from '../specification.js';
import { chat, jobServer, lines, preference, quick, rows } from './server.js';

const { dataDir, at, upload, create, over, eventsOf } = jobServer();

describe('what is wrong', () => {
  it.each([
    ['no JSON', `${JSON.stringify(chat(1))}\n{"messages": [\n`, /^Line 2 of 'support\.jsonl': not valid JSON/],
    ['another form', rows(2) + lines([{ question: 'a' }]), /^Line 3 of 'support\.jsonl': a row must have 'messages'/],
    [
      'a role that is none',
      lines([{ messages: [{ content: 'x' }] }]),
      /^Line 1 of 'support\.jsonl': 'messages\[0\]\.role'/,
    ],
    ['preferences', rows(2, preference), /^Line 1 of 'support\.jsonl'/],
    ['no rows', '\n\n', /^'support\.jsonl': there are no rows/],
    [
      'nothing to learn',
      lines([{ messages: [{ role: 'user', content: 'x' }] }]),
      /nothing|anything to learn|assistant/,
    ],
    ['no text', '\xff\xfe'.repeat(10), /^Line 1 of 'support\.jsonl'/],
  ])('in the data is told with its line: %s', async (_, text, message) => {
    const job = await over((await create(text)).id);
    expect(job).toMatchObject({
      status: 'failed',
      fine_tuned_model: null,
      error: { code: 'invalid_training_file', param: 'training_file' },
    });
    expect(job.error!.message).toMatch(message);
    const [last] = await eventsOf(job.id);
    expect(last).toMatchObject({ level: 'error', message: `The job failed: ${job.error!.message}` });
  });

  it('in the validation data is told as such', async () => {
    const validation_file = await upload('{"text": 5}', 'held-out.jsonl');
    const job = await over((await create(rows(4), quick, { validation_file })).id);
    expect(job.error).toMatchObject({ code: 'invalid_validation_file', param: 'validation_file' });
    expect(job.error!.message).toMatch(/^Line 1 of 'held-out\.jsonl'/);
  });

  it('in the training ends the job, not the server', async () => {
    const job = await over((await create(rows(8), { ...quick, learning_rate: 1e30, n_epochs: 10 })).id);
    expect(job).toMatchObject({ status: 'failed', error: { code: 'training_failed', param: null } });
    expect(job.error!.message).toMatch(/at step \d+/);
    expect((await over((await create(rows(4))).id)).status).toBe('succeeded');
  });

  const body = { model: modelId, training_file: 'file-none' };
  const withMethod = (hyperparameters: object, type = 'supervised') => ({
    ...body,
    method: { type, [type]: { hyperparameters } },
  });
  it.each([
    [{}, 'model'],
    [{ model: modelId }, 'training_file'],
    [body, 'training_file'],
    [{ ...body, training_file: '../../etc/passwd' }, 'training_file'],
    [{ ...body, validation_file: 5 }, 'validation_file'],
    [{ ...body, suffix: 'x'.repeat(65) }, 'suffix'],
    [{ ...body, seed: -1 }, 'seed'],
    [{ ...body, metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`${i}`, ''])) }, 'metadata'],
    [{ ...body, method: { type: 'reinforcement' } }, 'method.type'],
    [{ ...body, integrations: [{ type: 'x' }] }, 'integrations[0].type'],
    [{ ...body, integrations: Array(6).fill({}) }, 'integrations'],
    [
      { ...body, integrations: [{ type: 'wandb', wandb: { project: 'x'.repeat(257) } }] },
      'integrations[0].wandb.project',
    ],
    [withMethod({ target_modules: ['x'.repeat(201)] }), 'method.supervised.hyperparameters.target_modules[0]'],
    [withMethod({ target_modules: ['zebra_proj'] }), 'target_modules'],
    [withMethod({ target_modules: ['q_proj', 'zebra_proj'] }), 'target_modules'],
    [withMethod({ learning_rate: 1e-60 }), 'learning_rate'],
    [withMethod({ learning_rate: 1e60 }), 'learning_rate'],
    [withMethod({ learning_rate_multiplier: 1e-320 }), 'learning_rate_multiplier'],
    [withMethod({ learning_rate_multiplier: 1e300 }), 'learning_rate_multiplier'],
    [{ ...body, method: { type: 'supervised', dpo: { hyperparameters: { beta: 1 } } } }, 'method.dpo'],
    [{ ...withMethod({ n_epochs: 1 }), hyperparameters: { n_epochs: 2 } }, 'hyperparameters'],
    [withMethod({ n_epochs: 51 }), 'method.supervised.hyperparameters.n_epochs'],
    [withMethod({ batch_size: 'many' }), 'method.supervised.hyperparameters.batch_size'],
    [withMethod({ lora_r: 0 }), 'method.supervised.hyperparameters.lora_r'],
    [withMethod({ beta: 1 }), 'method.supervised.hyperparameters'],
    [withMethod({ beta: 3 }, 'dpo'), 'method.dpo.hyperparameters.beta'],
    [withMethod({ max_length: 1e6 }), 'max_length'],
    [{ ...body, hyperparameters: { n_epochs: 0 } }, 'hyperparameters.n_epochs'],
    [{ ...withMethod({ n_epochs: 1 }), hyperparameters: { n_epochs: 1 } }, 'hyperparameters'],
    [withMethod({ learning_rate: 1e-3, learning_rate_multiplier: 2 }), 'learning_rate_multiplier'],
  ])('in a request names the field: %j', async (json, param) => {
    const response = await at().post('/v1/fine_tuning/jobs', json);
    expect(response.status).toBe(400);
    const answer = (await response.json()) as { error: { param: string } };
    expectValid('ErrorResponse', answer);
    expect(answer.error.param).toBe(param);
  });

  it('in one of several target modules names it, and what was meant', async () => {
    const target_modules = ['q_proj', 'v_prj', 'mlp.down_proj'];
    await expect(create(rows(2), { target_modules })).rejects.toThrow(
      `'target_modules': "v_prj" fits none of the model's layers: did you mean 'v_proj'?`,
    );
    await expect(create(rows(2), { target_modules: ['zebra'] })).rejects.toThrow(
      /"zebra" fits none .*; known: q_proj, /,
    );
  });

  it('keeps of integrations what is known', async () => {
    const wandb = { project: 'p', tags: ['a'] };
    const job = await create(rows(4), quick, {
      integrations: [{ type: 'wandb', wandb: { ...wandb, zebra: 'x'.repeat(1e6) }, zebra: 1 }],
    });
    expect(job.integrations).toEqual([{ type: 'wandb', wandb }]);
    await over(job.id);
  });

  it('is told once, with its rows, where it is only worth a warning', async () => {
    const { id } = await over((await create(rows(6), { ...quick, max_length: 24 })).id);
    const warnings = (await eventsOf(id)).filter(({ level }) => level === 'warn').map(({ message }) => message);
    expect(warnings).toEqual([
      "'support.jsonl': 6 of 6 rows were cut to seqLength, 24 tokens (line 1, line 2, line 3, …)",
    ]);
  });

  it('with a file whose content vanishes meanwhile', async () => {
    const training_file = await upload(rows(4));
    rmSync(join(dataDir, 'files', training_file, 'content'));
    await expect(at().client.fineTuning.jobs.create({ model: modelId, training_file })).rejects.toMatchObject({
      status: 400,
      code: 'invalid_file',
      param: 'training_file',
    });
  });

  it('with a model or file that does not fit', async () => {
    const response = await at().post('/v1/fine_tuning/jobs', { ...body, model: 'gpt-none' });
    expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([
      404,
      'model_not_found',
    ]);
    const training_file = await upload(rows(2), 'x', 'user_data');
    await expect(at().client.fineTuning.jobs.create({ model: modelId, training_file })).rejects.toThrow(
      /purpose must be 'fine-tune', not 'user_data'/,
    );
  });

  it('with a rank that the engine could not serve', async () => {
    await expect(create(rows(2), { lora_r: 300 })).rejects.toMatchObject({
      status: 400,
      param: 'lora_r',
      message: expect.stringContaining('at most 256'),
    });
  });

  it.each(['', '/events', '/checkpoints'])('with a job that is not there: %s', async (path) => {
    const response = await fetch(`${at().url}/v1/fine_tuning/jobs/ftjob-..%2f..${path}`);
    expect(response.status).toBe(404);
    expectValid('ErrorResponse', await response.json());
  });
});
