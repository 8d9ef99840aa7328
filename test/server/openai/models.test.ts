// Models and adapters by name: listed with their parents, loaded and unloaded while serving, and never outside their
// folder; and the metrics that gateways read.
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Adapter } from '../../../lib/lora/adapter.js';
import { loadModel } from '../../../lib/model.js';
import { modelId, modelPath, type Running, running } from '../running.js';
import { expectValid } from '../specification.js';
import { vllm } from '../vllm.js';

let server: Running;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'helvetia-adapters-'));
  using model = await loadModel(modelPath);
  using adapter = Adapter.create(model.decoder, { r: 2 }, 1);
  await adapter.save(join(folder, 'inside', 'herd'));
  await adapter.save(join(folder, 'inside', 'shelf', 'deep'));
  await adapter.save(join(folder, 'outside'));
  await symlink(join(folder, 'outside'), join(folder, 'inside', 'link'));
  await mkdir(join(folder, 'inside', 'empty'));
  server = await running({ adapters: join(folder, 'inside'), metricsPrefix: 'vllm:' });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const chat = (model: string) =>
  server.client.chat.completions.create({ model, messages: [{ role: 'user', content: 'Hi' }], max_tokens: 2 });

describe('models', () => {
  it('are listed, adapters with their parent', async () => {
    const models = [];
    for await (const model of server.client.models.list()) models.push(model);
    for (const model of models) vllm.model.parse(model);
    expect(models).toMatchObject([
      { id: modelId, object: 'model', parent: null },
      { id: 'herd', object: 'model', parent: modelId },
    ]);
    expect(await server.client.models.retrieve('herd')).toMatchObject({ id: 'herd', parent: modelId });
    vllm.model.parse(await server.client.models.retrieve('herd'));
    await expect(server.client.models.retrieve('none')).rejects.toThrow(OpenAI.NotFoundError);
    expectValid('ListModelsResponse', await (await fetch(`${server.url}/v1/models`)).json());
    expectValid('Model', await (await fetch(`${server.url}/v1/models/herd`)).json());
  });

  it('answer by the adapter’s name, and by base:adapter', async () => {
    expect((await chat('herd')).model).toBe('herd');
    expect((await chat(`${modelId}:herd`)).model).toBe(`${modelId}:herd`);
    await expect(chat(`other:herd`)).rejects.toThrow(OpenAI.NotFoundError);
  });

  it.each([
    '../outside',
    'inside/../../outside',
    '..',
    '.',
    'link',
    'shelf/deep',
    '/etc',
    'empty',
    `${modelId}:../outside`,
    'a\0b',
    '%2e%2e',
  ])('called %j do not exist', async (name) => {
    await expect(chat(name)).rejects.toThrow(OpenAI.NotFoundError);
    if (/^\.+$/.test(name)) return; // clients resolve these themselves
    const response = await fetch(`${server.url}/v1/models/${encodeURIComponent(name)}`);
    expect(response.status).toBe(404);
  });

  it('that belong to the set-up cannot be deleted', async () => {
    await expect(server.client.models.delete(modelId)).rejects.toThrow(OpenAI.PermissionDeniedError);
    await expect(server.client.models.delete('herd')).rejects.toThrow(OpenAI.PermissionDeniedError);
    await expect(server.client.models.delete('none')).rejects.toThrow(OpenAI.NotFoundError);
  });
});

describe('adapters', () => {
  it('are loaded and unloaded while serving, under any name', async () => {
    const name = 'team:tickets';
    const loaded = await server.post('/v1/load_lora_adapter', { lora_name: name, lora_path: 'shelf/deep' });
    expect(loaded.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(await loaded.text()).toBe(`Success: LoRA adapter '${name}' added successfully`);
    expect(await server.client.models.retrieve(name)).toMatchObject({ id: name, parent: modelId });
    expect((await chat(name)).model).toBe(name);
    const again = await server.post('/v1/load_lora_adapter', { lora_name: name, lora_path: 'shelf/deep' });
    expect(again.status).toBe(400);
    const inPlace = { lora_name: name, lora_path: 'shelf/deep', load_inplace: true };
    expect((await server.post('/v1/load_lora_adapter', inPlace)).status).toBe(200);
    expect(await server.client.models.delete(name)).toEqual({ id: name, object: 'model', deleted: true });
    await expect(chat(name)).rejects.toThrow(OpenAI.NotFoundError);
    expect((await server.post('/v1/load_lora_adapter', inPlace)).status).toBe(200);
    const unloaded = await server.post('/v1/unload_lora_adapter', { lora_name: name });
    expect(unloaded.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(await unloaded.text()).toBe(`Success: LoRA adapter '${name}' removed successfully`);
    expect((await server.post('/v1/unload_lora_adapter', { lora_name: name })).status).toBe(404);
  });

  it('that lie in the folder are unloaded until they are loaded again', async () => {
    const unload = () => server.post('/v1/unload_lora_adapter', { lora_name: 'fold' });
    using model = await loadModel(modelPath);
    using adapter = Adapter.create(model.decoder, { r: 2 }, 1);
    await adapter.save(join(folder, 'inside', 'fold'));
    expect((await unload()).status).toBe(200);
    expect((await unload()).status).toBe(404);
    await expect(chat('fold')).rejects.toThrow(OpenAI.NotFoundError);
    expect((await server.client.models.list()).data.map(({ id }) => id)).not.toContain('fold');
    const load = { lora_name: 'fold', lora_path: 'fold' };
    expect((await server.post('/v1/load_lora_adapter', load)).status).toBe(200);
    expect((await server.post('/v1/load_lora_adapter', load)).status).toBe(400);
    expect((await chat('fold')).model).toBe('fold');
    await rm(join(folder, 'inside', 'fold'), { recursive: true });
    expect((await unload()).status).toBe(200);
  });

  it('that were dropped into the folder are loaded by its name once, whether they were asked for or not', async () => {
    using model = await loadModel(modelPath);
    using adapter = Adapter.create(model.decoder, { r: 2 }, 1);
    for (const name of ['fresh', 'asked']) {
      await adapter.save(join(folder, 'inside', name));
      if (name === 'asked') await chat(name);
      const load = { lora_name: name, lora_path: name };
      expect((await server.post('/v1/load_lora_adapter', { lora_name: name, lora_path: 'herd' })).status).toBe(400);
      expect((await server.post('/v1/load_lora_adapter', load)).status).toBe(200);
      expect((await server.post('/v1/load_lora_adapter', load)).status).toBe(400);
      expect((await chat(name)).model).toBe(name);
      await server.post('/v1/unload_lora_adapter', { lora_name: name });
      await rm(join(folder, 'inside', name), { recursive: true });
    }
  });

  it('of a rank that the engine does not hold are refused when they are loaded', async () => {
    using model = await loadModel(modelPath);
    using adapter = Adapter.create(model.decoder, { r: 16 }, 1);
    await adapter.save(join(folder, 'ranks', 'high'));
    await using small = await running({
      models: [modelPath],
      adapters: join(folder, 'ranks'),
      engine: { maxLoraRank: 8 },
    });
    const response = await small.post('/v1/load_lora_adapter', { lora_name: 'x', lora_path: 'high' });
    expect(response.status).toBe(400);
    expect(await response.text()).toMatch(/rank is 16, more than/);
  });

  it('of a folder that two models share go to the one that their configs name', async () => {
    using first = await loadModel(modelPath);
    using second = await loadModel(modelPath);
    const shared = join(folder, 'shared');
    using adapter = Adapter.create(first.decoder, { r: 2 }, 1, 'org/second');
    await adapter.save(join(shared, 'ours'));
    const models = [
      { id: 'first', model: first },
      { id: 'org/second', model: second },
    ];
    await using both = await running({ models, adapters: shared });
    expect(await both.client.models.retrieve('ours')).toMatchObject({ parent: 'org/second' });
    expect((await both.client.models.list()).data).toMatchObject([{}, {}, { id: 'ours', parent: 'org/second' }]);
    expect((await both.post('/v1/unload_lora_adapter', { lora_name: 'ours' })).status).toBe(200);
    expect((await both.client.models.list()).data).toHaveLength(2);
  });

  it.each(['../outside', '/etc', '.', 'link', 'nowhere', '\0', 'empty'])('in %j are refused', async (path) => {
    const response = await server.post('/v1/load_lora_adapter', { lora_name: 'x', lora_path: path });
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { param: string; message: string } };
    expect(error.param).toBe('lora_path');
    expect(error.message).not.toContain(folder);
  });

  it.each(['a,b', 'a/b', '../x', '', modelId])('are not called %j', async (name) => {
    const response = await server.post('/v1/load_lora_adapter', { lora_name: name, lora_path: 'shelf/deep' });
    expect(response.status).toBe(400);
  });
});

describe('metrics', () => {
  it('have the names that gateways read', async () => {
    await chat('herd');
    const text = await (await fetch(`${server.url}/metrics`)).text();
    for (const name of [
      'num_requests_running',
      'num_requests_waiting',
      'kv_cache_usage_perc',
      'cache_config_info',
      'lora_requests_info',
      'prompt_tokens_total',
      'generation_tokens_total',
      'request_success_total',
      'num_preemptions_total',
      'prefix_cache_queries_total',
      'prefix_cache_hits_total',
      'time_to_first_token_seconds_bucket',
      'inter_token_latency_seconds_bucket',
      'e2e_request_latency_seconds_bucket',
      'request_queue_time_seconds_bucket',
      'request_prefill_time_seconds_bucket',
      'iteration_tokens_total_bucket',
    ]) {
      expect(text).toMatch(new RegExp(`^vllm:${name}[{ ]`, 'm'));
    }
    const labels = `model_name="${modelId}"`;
    expect(text).toContain(`vllm:request_success_total{${labels},finished_reason=`);
    expect(text).toMatch(
      new RegExp(
        `lora_requests_info\\{${labels},max_lora="\\d+",running_lora_adapters="",waiting_lora_adapters=""\\} \\d{10}`,
      ),
    );
  });

  it('have no series of adapters, which come and go without end', async () => {
    await chat(`${modelId}:herd`);
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const names = [...text.matchAll(/model_name="([^"]*)"/g)].map(([, name]) => name);
    expect(new Set(names)).toEqual(new Set([modelId]));
  });

  it('do not set up an engine that nobody has used', async () => {
    using model = await loadModel(modelPath);
    await using idle = await running({ models: [model] });
    const text = await (await fetch(`${idle.url}/metrics`)).text();
    expect(text).toMatch(/^helvetia:num_requests_running\{[^}]*\} 0$/m);
    expect(model.engineStats()).toBeUndefined();
  });
});
