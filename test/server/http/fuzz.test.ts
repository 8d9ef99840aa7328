// Ten thousand bodies, most of them wrong in some way: each is answered, none by a 5xx, every refusal with a clear body.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadModel, type Model } from '../../../lib/model.js';
import { createServer, type Server } from '../../../lib/server/index.js';
import { rows } from '../jobs/server.js';
import { failuresOnly, modelId, modelPath } from '../running.js';

const dataDir = mkdtempSync(join(tmpdir(), 'helvetia-fuzz-'));
const jobs = '/v1/fine_tuning/jobs';
let model: Model;
let server: Server;
beforeAll(async () => {
  model = await loadModel(modelPath);
  server = createServer({ models: [model], dataDir, logger: failuresOnly, limits: { bodyBytes: 100_000 } });
  await server.ready;
  const body = new FormData();
  body.set('purpose', 'fine-tune');
  body.set('file', new Blob([rows(8)]), 'rows.jsonl');
  const uploaded = await server.fetch(new Request('http://x/v1/files', { method: 'POST', body }));
  const { id } = (await uploaded.json()) as { id: string };
  Object.assign(valid[jobs]!, { training_file: id, validation_file: id });
});
afterAll(async () => {
  await server.close();
  model.dispose();
  rmSync(dataDir, { recursive: true });
});

/** mulberry32: small, seeded, good enough to choose. */
function draws(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const random = draws(20);
const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;

const valid: Record<string, Record<string, unknown>> = {
  '/v1/chat/completions': {
    model: modelId,
    messages: [{ role: 'user', content: 'Hi' }],
    max_tokens: 1,
    temperature: 0,
    stop: ['x'],
    logit_bias: { 5: 1 },
    stream_options: { include_usage: true },
    response_format: { type: 'text' },
    tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }],
    tool_choice: 'none',
    logprobs: true,
    top_logprobs: 1,
    n: 1,
  },
  '/v1/completions': {
    model: modelId,
    prompt: 'Hi',
    max_tokens: 1,
    n: 1,
    best_of: 1,
    logprobs: 1,
    echo: false,
    seed: 1,
  },
  '/v1/embeddings': { model: modelId, input: ['Hi'], encoding_format: 'float', dimensions: 4 },
  '/v1/messages': {
    model: modelId,
    max_tokens: 1,
    system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
      { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'f', input: {} }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'a', content: 'x' }] },
    ],
    tools: [{ name: 'f', input_schema: { type: 'object', properties: {} } }],
    tool_choice: { type: 'none' },
    thinking: { type: 'disabled' },
    stop_sequences: ['x'],
  },
  '/v1/messages/count_tokens': { model: modelId, messages: [{ role: 'user', content: 'Hi' }] },
  '/v1/responses': {
    model: modelId,
    max_output_tokens: 1,
    store: false,
    input: [
      { role: 'user', content: [{ type: 'input_text', text: 'Hi' }] },
      { type: 'function_call', call_id: 'a', name: 'f', arguments: '{}' },
      { type: 'function_call_output', call_id: 'a', output: 'x' },
      { type: 'reasoning', id: 'rs_1', summary: [] },
    ],
    tools: [{ type: 'function', name: 'f', parameters: { type: 'object', properties: {} } }],
    tool_choice: 'none',
    text: { format: { type: 'text' } },
    reasoning: { effort: 'low' },
    include: [],
  },
  '/v1/responses/input_tokens': { model: modelId, input: 'Hi' },
  '/v1/batches': { input_file_id: 'file-none', endpoint: '/v1/completions', completion_window: '24h', metadata: {} },
  '/v1/rerank': { model: modelId, query: 'a', documents: ['b', { text: 'c' }], top_n: 1, return_documents: true },
  '/v1/score': { model: modelId, queries: 'a', documents: ['b'] },
  '/api/chat': {
    model: modelId,
    messages: [{ role: 'user', content: 'Hi' }],
    options: { num_predict: 1, stop: ['x'] },
    stream: false,
    think: false,
    format: '',
    tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }],
  },
  '/api/generate': { model: modelId, prompt: 'Hi', options: { num_predict: 1 }, stream: true },
  '/api/embed': { model: modelId, input: ['a'] },
  '/api/show': { model: modelId },
  '/tokenize': { model: modelId, prompt: 'Hi' },
  '/detokenize': { model: modelId, tokens: [1, 2] },
  '/v1/load_lora_adapter': { lora_name: 'a', lora_path: 'b' },
  '/v1/unload_lora_adapter': { lora_name: 'a' },
  [jobs]: {
    model: modelId,
    suffix: 'x',
    seed: 1,
    metadata: { a: 'b' },
    integrations: [{ type: 'wandb', wandb: { project: 'p', tags: ['a'] } }],
    method: {
      type: 'supervised',
      supervised: {
        hyperparameters: { n_epochs: 1, batch_size: 4, learning_rate_multiplier: 'auto', lora_r: 2, max_length: 64 },
      },
    },
  },
};

const oddities: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  1e308,
  2 ** 53,
  '',
  'x',
  '\u0000',
  '\ud800',
  '__proto__',
  '../../etc/passwd',
  '🐐'.repeat(50),
  'a'.repeat(5000),
  [],
  [null],
  [[]],
  [1, 'x'],
  [-1],
  [2 ** 31],
  {},
  { type: 'goat' },
  { type: 'json_schema' },
  { type: 'json_schema', json_schema: { name: 'x', schema: { $ref: '#' } } },
  { role: 'user', content: [{ type: 'text' }] },
  { '': 0 },
];

/** A valid body with one to three places changed, removed or added; or with its text damaged. */
function damaged(body: Record<string, unknown>): string {
  const copy = structuredClone(body);
  for (let times = 1 + Math.floor(random() * 3); times > 0; times--) change(copy);
  const text = JSON.stringify(copy);
  const at = Math.floor(random() * text.length);
  switch (Math.floor(random() * 12)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text.slice(0, at) + pick(['"', '{', ']', '\\', '\u0000', 'NaN', '//']) + text.slice(at);
    case 2:
      return JSON.stringify(pick(oddities)) ?? '';
    default:
      return text;
  }
}

function change(value: Record<string, unknown> | unknown[]): void {
  const keys = Object.keys(value);
  const key = pick([...keys, 'surplus']);
  const into = value as Record<string, unknown>;
  const inner = into[key];
  if (typeof inner === 'object' && inner !== null && random() < 0.6) change(inner as Record<string, unknown>);
  else if (random() < 0.2) delete into[key];
  else into[key] = structuredClone(pick(oddities));
}

const taken: string[] = [];

/** A body that was damaged into another valid one is a job: it must not train while the others are asked. */
async function cancelled(text: string): Promise<void> {
  const { id } = JSON.parse(text) as { id: string };
  taken.push(id);
  const response = await server.fetch(new Request(`http://x${jobs}/${id}/cancel`, { method: 'POST' }));
  expect(response.status, text).toBe(200);
  expect(((await response.json()) as { status: string }).status).toBe('cancelled');
}

/** The sentence of a refusal, which each API has in its own place. */
function sentenceOf(path: string, text: string): string {
  const body = JSON.parse(text);
  if (path.startsWith('/api/')) return body.error;
  if (path.startsWith('/v1/messages')) {
    expect(body).toMatchObject({ type: 'error', request_id: expect.any(String), error: { type: expect.any(String) } });
    return body.error.message;
  }
  expect(Object.keys(body.error).sort(), text).toEqual(['code', 'message', 'param', 'type']);
  return body.error.message;
}

// HELVETIA_FUZZ has more of them.
const total = Number(process.env.HELVETIA_FUZZ ?? 10_000);

it('answers damaged bodies clearly, and never by a failure', { timeout: Math.max(300_000, 60 * total) }, async () => {
  const counts = new Map<number, number>();
  for (let round = 0; round < total / 50; round++) {
    const requests = Array.from({ length: 50 }, async () => {
      const path = pick(Object.keys(valid));
      const body = damaged(valid[path]!);
      const headers = { 'content-type': pick(['application/json', 'text/plain', 'multipart/form-data']) };
      const response = await server.fetch(new Request(`http://x${path}`, { method: 'POST', body, headers }));
      const text = await response.text();
      counts.set(response.status, (counts.get(response.status) ?? 0) + 1);
      expect(response.status, `${path} ${body} → ${text}`).toBeLessThan(500);
      if (response.status === 200) return path === jobs ? cancelled(text) : undefined;
      const sentence = sentenceOf(path, text);
      expect(sentence.length, text).toBeGreaterThan(10);
      expect(sentence, text).not.toMatch(/undefined|\[object|\bat .*\.ts/);
    });
    await Promise.all(requests);
  }
  expect([...counts.values()].reduce((a, b) => a + b)).toBe(total);
  expect(counts.get(400)).toBeGreaterThan(0.4 * total);
  expect(counts.get(200)).toBeGreaterThan(0.05 * total);
  expect(taken.length).toBeGreaterThan(0.003 * total);
  expect(model.engine.stats()).toMatchObject({ running: 0, waiting: 0 });
});
