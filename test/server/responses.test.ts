// OpenAI's Responses: the official client against the server, every event against the specification, and what is kept.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ResponseInputItem, ResponseStreamEvent, Tool } from 'openai/resources/responses/responses';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Running, running } from './running.js';
import { expectValid } from './specification.js';
import { thinkingModel } from './thinking.js';

const folder = thinkingModel();
const dataDir = mkdtempSync(join(tmpdir(), 'helvetia-responses-'));
let at: Running;
beforeAll(async () => {
  at = await running({ models: [folder.path], dataDir });
});
afterAll(async () => {
  await at[Symbol.asyncDispose]();
  folder.dispose();
  rmSync(dataDir, { recursive: true, force: true });
});

const body = { model: 'thinking', input: 'Where is Tom?', temperature: 0, max_output_tokens: 60 };
const quiet = { ...body, reasoning: { effort: 'none' as const } };
const bounded = { ...body, ...{ thinking_token_budget: 6 } };
const find: Tool = {
  type: 'function',
  name: 'find',
  strict: null,
  parameters: {
    type: 'object',
    properties: { city: { enum: ['Bern', 'Chur'] } },
    required: ['city'],
    additionalProperties: false,
  },
} as unknown as Tool;

const create = async (fields: object) => {
  const response = await at.client.responses.create({ ...body, ...fields, stream: false });
  expectValid('Response', response);
  return response;
};

describe('a response', () => {
  it('has reasoning, then a message', async () => {
    const response = await create(bounded);
    expect(response.output.map(({ type }) => type)).toEqual(['reasoning', 'message']);
    expect(response.output_text).toMatch(/\w/);
    expect(response.usage).toMatchObject({ output_tokens_details: { reasoning_tokens: 7 } });
    expect(['completed', 'incomplete']).toContain(response.status);
  });

  it('streams to the same, with every event of the specification in its order', async () => {
    const whole = await create(bounded);
    const stream = await at.client.responses.create({ ...bounded, reasoning: { summary: 'auto' }, stream: true });
    const events: ResponseStreamEvent[] = [];
    for await (const event of stream) {
      expectValid('ResponseStreamEvent', event);
      expect(event.sequence_number).toBe(events.length);
      events.push(event);
    }
    const types = events.map(({ type }) => type).filter((type, i, all) => type !== all[i - 1]);
    expect(types.slice(0, 5)).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.reasoning_summary_part.added',
    ]);
    expect(types.slice(-5)).toEqual([
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      `response.${whole.status}`,
    ]);
    const text = events.flatMap((event) => (event.type === 'response.output_text.delta' ? [event.delta] : []));
    expect(text.join('')).toBe(whole.output_text);
    const last = events.at(-1) as { response: typeof whole };
    expect(last.response.output[0]).toMatchObject({ summary: [{ text: expect.stringMatching(/\w/) }] });
  });

  it("is put together by the client's own helper", async () => {
    const stream = at.client.responses.stream({ ...bounded });
    const final = await stream.finalResponse();
    expect(final.output_text).toBe((await create(bounded)).output_text);
  });

  it('calls functions, in namespaces too, and leaves out what it cannot run', async () => {
    const tools = [
      { type: 'web_search', external_web_access: false },
      { type: 'namespace', name: 'maps', description: 'Maps.', tools: [{ ...find, name: 'look' }] },
    ] as unknown as Tool[];
    const choice = { type: 'function' as const, name: 'maps.look' };
    const response = await create({ ...quiet, max_output_tokens: 200, tools, tool_choice: choice });
    const [call] = response.output.filter(({ type }) => type === 'function_call');
    expect(call).toMatchObject({ name: 'look', namespace: 'maps', status: 'completed' });
    expect(JSON.stringify(response.metadata)).toContain('web_search');
    const { call_id: id, arguments: given } = call as { call_id: string; arguments: string };
    expect(Object.keys(JSON.parse(given))).toEqual(['city']);
    const input: ResponseInputItem[] = [
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Where?' }] },
      call as ResponseInputItem,
      { type: 'function_call_output', call_id: id, output: 'In the garden.' },
    ];
    const after = await create({ ...quiet, input, tools });
    expect(after.output.at(-1)).toMatchObject({ type: 'message' });
  });

  it('fits a schema, and says what cut it off', async () => {
    const schema = {
      type: 'object',
      properties: { city: { enum: ['Bern'] } },
      required: ['city'],
      additionalProperties: false,
    };
    const format = { type: 'json_schema' as const, name: 'place', schema, strict: true };
    expect(JSON.parse((await create({ ...quiet, text: { format } })).output_text)).toEqual({ city: 'Bern' });
    const cut = await create({ ...quiet, max_output_tokens: 2 });
    expect(cut).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
    expect(cut.output.at(-1)).toMatchObject({ status: 'incomplete' });
  });

  it('has log probabilities where they are asked for', async () => {
    const response = await create({
      ...quiet,
      include: ['message.output_text.logprobs'],
      top_logprobs: 2,
      max_output_tokens: 3,
    });
    const [item] = response.output as { content: { logprobs: { top_logprobs: unknown[] }[] }[] }[];
    expect(item!.content[0]!.logprobs).toHaveLength(3);
    expect(item!.content[0]!.logprobs[0]!.top_logprobs).toHaveLength(2);
  });
});

describe('what is kept', () => {
  it('goes on by previous_response_id, and by references to items', async () => {
    const first = await create(bounded);
    const again = { ...quiet, input: 'And Anna?' };
    const next = await create({ ...again, previous_response_id: first.id });
    const alone = await create(again);
    expect(next.usage!.input_tokens).toBeGreaterThan(alone.usage!.input_tokens + first.usage!.input_tokens - 3);
    const references = first.output.map(({ id }) => ({ type: 'item_reference' as const, id: id! }));
    const user = { role: 'user' as const, content: body.input };
    const input = [user, ...references, { role: 'user' as const, content: 'And Anna?' }] as ResponseInputItem[];
    expect((await create({ ...quiet, input })).usage!.input_tokens).toBe(next.usage!.input_tokens);
  });

  it('is found, listed, deleted, and there after a restart', async () => {
    const first = await create(quiet);
    expect(await at.client.responses.retrieve(first.id)).toMatchObject({ id: first.id, output: first.output });
    const listed = await at.client.responses.inputItems.list(first.id);
    expect(listed.data).toMatchObject([{ type: 'message', role: 'user', content: [{ text: body.input }] }]);
    const removed = await create(quiet);
    await at.client.responses.delete(removed.id);
    await expect(at.client.responses.retrieve(removed.id)).rejects.toMatchObject({ status: 404 });
    await at[Symbol.asyncDispose]();
    at = await running({ models: [folder.path], dataDir });
    expect(await at.client.responses.retrieve(first.id)).toMatchObject({ output: first.output });
    await expect(at.client.responses.retrieve(removed.id)).rejects.toMatchObject({ status: 404 });
  });

  it('is nothing where store is false: reasoning travels with the client', async () => {
    const first = await create({ ...bounded, store: false, include: ['reasoning.encrypted_content'] });
    await expect(at.client.responses.retrieve(first.id)).rejects.toMatchObject({ status: 404 });
    const [reasoning, message] = first.output as [{ encrypted_content: string }, ResponseInputItem];
    const sealed = { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: reasoning.encrypted_content };
    const user = { role: 'user' as const, content: body.input };
    const count = async (items: unknown[]): Promise<number> =>
      (await create({ ...quiet, input: [user, ...items, user] as ResponseInputItem[] })).usage!.input_tokens;
    expect(await count([sealed, message])).toBeGreaterThan(await count([message]));
  });

  it('in the background is written without its client, watched, and cancelled', async () => {
    const made = await create({ ...quiet, background: true });
    expect(['queued', 'in_progress']).toContain(made.status);
    const stream = await at.client.responses.retrieve(made.id, { stream: true, starting_after: 1 });
    const numbers: number[] = [];
    for await (const event of stream) numbers.push(event.sequence_number);
    expect(numbers).toEqual(numbers.map((_, i) => i + 2));
    const done = await at.client.responses.retrieve(made.id);
    expect(done.output_text).toBe((await create(quiet)).output_text);
    const streamed = await at.client.responses.create({ ...quiet, background: true, stream: true });
    const types: string[] = [];
    for await (const event of streamed) types.push(event.type);
    expect(types.slice(0, 3)).toEqual(['response.created', 'response.queued', 'response.in_progress']);
    expect(types.at(-1)).toBe(`response.${done.status}`);
    const long = await create({
      ...quiet,
      background: true,
      max_output_tokens: 400,
      ...{ temperature: 1.2, min_p: 0 },
    });
    const cancelled = await at.client.responses.cancel(long.id);
    expect(['cancelled', 'completed', 'incomplete']).toContain(cancelled.status);
    await expect(at.client.responses.cancel((await create(quiet)).id)).rejects.toMatchObject({ status: 400 });
  });
});

describe('bad bodies', () => {
  it.each([
    [{ input: [] }, 400, "'input'"],
    [{ input: [{ role: 'robot', content: 'x' }] }, 400, "'input[0].role'"],
    [{ input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] }, 400, "'input[0].content[0]'"],
    [{ input: [{ type: 'item_reference', id: 'msg_none_0' }] }, 404, 'msg_none_0'],
    [{ input: [{ type: 'strange' }] }, 400, 'strange'],
    [{ previous_response_id: 'resp_none' }, 400, 'resp_none'],
    [{ tools: [{ type: 'function', name: '' }] }, 400, "'tools[0].name'"],
    [{ tools: [find], tool_choice: { type: 'web_search' } }, 400, 'web_search'],
    [{ conversation: 'conv_1' }, 400, "'conversation'"],
    [{ background: true, store: false }, 400, "'background'"],
    [{ input: 'word '.repeat(2000) }, 400, 'tokens'],
  ])('are refused with what is wrong: %j', async (fields, status, words) => {
    const response = await at.post('/v1/responses', { ...quiet, ...fields });
    expect(response.status).toBe(status);
    expect(((await response.json()) as { error: { message: string } }).error.message).toContain(words);
  });

  it('are shortened where truncation is wanted', async () => {
    const turns = Array.from({ length: 40 }, (_, i) => ({
      role: 'user' as const,
      content: `Number ${i} of a long talk.`,
    }));
    const response = await create({ ...quiet, input: turns, truncation: 'auto' });
    expect(response.usage!.input_tokens).toBeLessThan(512);
  });

  it('counts tokens without an answer', async () => {
    const counted = await at.post('/v1/responses/input_tokens', { model: 'thinking', input: body.input });
    const { input_tokens: tokens } = (await counted.json()) as { input_tokens: number };
    expect(tokens).toBe((await create(body)).usage!.input_tokens);
  });
});
