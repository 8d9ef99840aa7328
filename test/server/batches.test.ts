// Batches: files of requests answered by the server itself, over a restart, with what is wrong named by its line.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Batch } from 'openai/resources/batches';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelId, type Running, running } from './running.js';
import { expectValid } from './specification.js';

const dataDir = mkdtempSync(join(tmpdir(), 'helvetia-batches-'));
const options = { dataDir, apiKeys: ['sk-batches'] };
let at: Running;
beforeAll(async () => {
  at = await running(options);
});
afterAll(async () => {
  await at[Symbol.asyncDispose]();
  rmSync(dataDir, { recursive: true, force: true });
});

const url = '/v1/chat/completions';
const line = (id: string, body: object = {}, fields: object = {}) => ({
  custom_id: id,
  method: 'POST',
  url,
  body: { model: modelId, messages: [{ role: 'user', content: id }], max_tokens: 4, temperature: 0, ...body },
  ...fields,
});

async function created(lines: readonly (object | string)[], endpoint = url): Promise<Batch> {
  const text = lines.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join('\n');
  const file = await at.client.files.create({ file: new File([text], 'in.jsonl'), purpose: 'batch' });
  const batch = await at.client.batches.create({
    input_file_id: file.id,
    endpoint: endpoint as '/v1/chat/completions',
    completion_window: '24h',
    metadata: { team: 'a' },
  });
  expectValid('Batch', batch);
  return batch;
}

async function ended(id: string): Promise<Batch> {
  let batch = await at.client.batches.retrieve(id);
  await expect
    .poll(async () => {
      batch = await at.client.batches.retrieve(id);
      return batch.status;
    })
    .toMatch(/completed|failed|cancelled/);
  expectValid('Batch', batch);
  return batch;
}

async function resultsOf(id: string | null | undefined) {
  if (!id) return [];
  const text = await (await at.client.files.content(id)).text();
  return text
    .trim()
    .split('\n')
    .map((one) => JSON.parse(one) as { custom_id: string; response: { status_code: number; body: never } });
}

describe('a batch', () => {
  it('answers each line as the server does, and keeps failures apart', async () => {
    const lines = [
      line('one'),
      line('two', { stream: true }),
      line('three', { model: 'none' }),
      line('four', { n: 2 }),
    ];
    const batch = await ended((await created(lines)).id);
    expect(batch).toMatchObject({
      status: 'completed',
      request_counts: { total: 4, completed: 3, failed: 1 },
      metadata: { team: 'a' },
    });
    const results = await resultsOf(batch.output_file_id);
    expect(results.map(({ custom_id: id }) => id).sort()).toEqual(['four', 'one', 'two']);
    for (const { response } of results) expectValid('CreateChatCompletionResponse', response.body);
    const same = await at.client.chat.completions.create(line('one').body as never);
    const one = results.find(({ custom_id: id }) => id === 'one')!.response.body as typeof same;
    expect(one.choices[0]!.message.content).toBe(same.choices[0]!.message.content);
    const [failure] = await resultsOf(batch.error_file_id);
    expect(failure).toMatchObject({ custom_id: 'three', response: { status_code: 404 } });
  });

  it('says what is wrong, by its line', async () => {
    const lines = [
      line('a'),
      'no json',
      line('a'),
      line('b', {}, { url: '/v1/embeddings' }),
      line('c', {}, { method: 'GET' }),
      line('d', {}, { body: 5 }),
    ];
    const batch = await ended((await created(lines)).id);
    expect(batch.status).toBe('failed');
    expect(batch.errors?.data?.map(({ line: number, code }) => [number, code])).toEqual([
      [2, 'invalid_json_line'],
      [3, 'duplicate_custom_id'],
      [4, 'mismatched_url'],
      [5, 'invalid_request'],
      [6, 'invalid_request'],
    ]);
    expect((await ended((await created([''])).id)).errors?.data?.[0]?.code).toBe('empty_file');
  });

  it('goes on after a restart, without its file, and answers no line twice', async () => {
    const lines = Array.from({ length: 24 }, (_, i) => line(`line ${i}`));
    const batch = await created(lines);
    await at.client.files.delete(batch.input_file_id);
    await at[Symbol.asyncDispose]();
    at = await running(options);
    const done = await ended(batch.id);
    expect(done.request_counts).toEqual({ total: 24, completed: 24, failed: 0 });
    const ids = (await resultsOf(done.output_file_id)).map(({ custom_id: id }) => id);
    expect(new Set(ids).size).toBe(24);
    expect(ids).toHaveLength(24);
  });

  it('is cancelled with the answers that are there, and listed', async () => {
    const batch = await created(Array.from({ length: 200 }, (_, i) => line(`line ${i}`, { max_tokens: 60 })));
    const cancelling = await at.client.batches.cancel(batch.id);
    expect(['cancelling', 'cancelled']).toContain(cancelling.status);
    const done = await ended(batch.id);
    expect(done.status).toBe('cancelled');
    expect(done.request_counts!.completed).toBeLessThan(200);
    const listed = await at.client.batches.list({ limit: 1 });
    expect(listed.data.map(({ id }) => id)).toEqual([batch.id]);
    expect(listed.has_more).toBe(true);
  });
});

it.each([
  [{ input_file_id: 'file-none' }, 'file-none'],
  [{ endpoint: '/v1/audio' }, "'endpoint'"],
  [{ completion_window: '1h' }, "'completion_window'"],
])('refuses %j', async (fields, words) => {
  const body = { input_file_id: 'file-x', endpoint: url, completion_window: '24h', ...fields };
  const response = await at.post('/v1/batches', body);
  expect(response.status).toBe(400);
  expect(((await response.json()) as { error: { message: string } }).error.message).toContain(words);
  expect((await at.post('/v1/batches/none/cancel', {})).status).toBe(404);
});
