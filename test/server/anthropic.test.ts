// Anthropic's Messages: the official client against the server, and the requests of agents.
import Anthropic, { APIError } from '@anthropic-ai/sdk';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Running, running } from './running.js';
import { thinkingModel } from './thinking.js';

const folder = thinkingModel();
const apiKey = 'sk-test';
let at: Running;
let client: Anthropic;
beforeAll(async () => {
  at = await running({ models: [folder.path], apiKeys: [apiKey] });
  client = new Anthropic({ baseURL: at.url, apiKey, maxRetries: 0 });
});
afterAll(async () => {
  await at[Symbol.asyncDispose]();
  folder.dispose();
});

const messages: Anthropic.MessageParam[] = [{ role: 'user', content: 'Where is Tom?' }];
const body = { model: 'thinking', max_tokens: 40, messages, temperature: 0 };
const quiet = { ...body, thinking: { type: 'disabled' as const } };
const find: Anthropic.Tool = {
  name: 'find',
  description: 'Finds.',
  input_schema: { type: 'object', properties: { city: { enum: ['Bern', 'Chur'] } }, required: ['city'] },
};

async function refused(fields: object): Promise<{ status: number; type: string; message: string }> {
  const response = await fetch(`${at.url}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': apiKey },
    body: JSON.stringify({ ...quiet, ...fields }),
  });
  const answer = (await response.json()) as {
    type: string;
    error: { type: string; message: string };
    request_id: string;
  };
  expect(answer).toMatchObject({ type: 'error', request_id: expect.stringMatching(/^req_/) });
  return { status: response.status, ...answer.error };
}

describe('an answer', () => {
  it('is text, whole and as a stream', async () => {
    const whole = await client.messages.create(quiet);
    expect(whole).toMatchObject({ type: 'message', role: 'assistant', model: 'thinking', stop_sequence: null });
    expect(['end_turn', 'max_tokens']).toContain(whole.stop_reason);
    const [block] = whole.content;
    expect(block).toMatchObject({ type: 'text', text: expect.stringMatching(/\w/) });
    expect(whole.usage.input_tokens).toBeGreaterThan(3);
    const stream = client.messages.stream(quiet);
    let text = '';
    stream.on('text', (delta) => {
      text += delta;
    });
    const streamed = await stream.finalMessage();
    expect({ ...streamed, id: '', usage: {} }).toMatchObject({ ...whole, id: '', usage: {} });
    expect(text).toBe((block as Anthropic.TextBlock).text);
    // Cached tokens are counted apart.
    const { input_tokens: input, cache_read_input_tokens: cached } = streamed.usage;
    expect(input + (cached ?? 0)).toBe(whole.usage.input_tokens + (whole.usage.cache_read_input_tokens ?? 0));
  });

  it('thinks first, within its budget', async () => {
    const thinking = { type: 'enabled' as const, budget_tokens: 1024 };
    const raw = await client.messages.create({ ...body, thinking: { ...thinking, budget_tokens: 8 } });
    expect(raw.content.map(({ type }) => type)).toEqual(['thinking', 'text']);
    const [block] = raw.content;
    expect(block).toMatchObject({ thinking: expect.stringMatching(/\w/), signature: expect.stringMatching(/./) });
    const stream = client.messages.stream({ ...body, thinking: { ...thinking, budget_tokens: 8 } });
    const streamed = await stream.finalMessage();
    expect((streamed.content[0] as Anthropic.ThinkingBlock).thinking).toBe((block as Anthropic.ThinkingBlock).thinking);
    // It comes back with the conversation.
    const next = {
      ...body,
      messages: [...messages, { role: 'assistant' as const, content: raw.content }, ...messages],
    };
    const without = {
      ...next,
      messages: [...messages, { role: 'assistant' as const, content: raw.content.slice(1) }, ...messages],
    };
    const count = async (given: typeof next) => (await client.messages.countTokens({ ...given })).input_tokens;
    expect(await count(next)).toBeGreaterThan(await count(without));
  });

  it('calls a tool that it must call, and goes on with its result', async () => {
    const forced = { ...quiet, max_tokens: 200, tools: [find], tool_choice: { type: 'tool' as const, name: 'find' } };
    for (const called of [await client.messages.create(forced), await client.messages.stream(forced).finalMessage()]) {
      expect(called.stop_reason).toBe('tool_use');
      const use = called.content.find(({ type }) => type === 'tool_use') as Anthropic.ToolUseBlock;
      expect(use).toMatchObject({ name: 'find', id: expect.stringMatching(/^toolu_/) });
      expect(['Bern', 'Chur']).toContain((use.input as { city: string }).city);
      const after = await client.messages.create({
        ...quiet,
        tools: [find],
        messages: [
          ...messages,
          { role: 'assistant', content: called.content },
          {
            role: 'user',
            content: [
              { type: 'text', text: 'Well?' },
              {
                type: 'tool_result',
                tool_use_id: use.id,
                content: [{ type: 'text', text: 'In the garden.' }],
                is_error: true,
              },
            ],
          },
        ],
      });
      expect(after.content[0]).toMatchObject({ type: 'text' });
    }
  });

  it('ends at a stop sequence, continues what was begun, and fits a schema', async () => {
    const { content } = await client.messages.create(quiet);
    const { text } = content[0] as Anthropic.TextBlock;
    const stop = text.slice(4, 7);
    const stopped = await client.messages.create({ ...quiet, stop_sequences: [stop] });
    expect(stopped).toMatchObject({ stop_reason: 'stop_sequence', stop_sequence: stop });
    const begun: Anthropic.MessageParam[] = [...messages, { role: 'assistant', content: text.slice(0, 4) }];
    const continued = await client.messages.create({ ...quiet, messages: begun });
    const same = await at.post('/v1/chat/completions', {
      ...{ model: 'thinking', messages: begun, temperature: 0, max_tokens: 40, continue_final_message: true },
    });
    const { choices } = (await same.json()) as { choices: { message: { content: string } }[] };
    expect(continued.content[0]).toMatchObject({ text: choices[0]!.message.content });
    const schema = {
      type: 'object',
      properties: { city: { enum: ['Bern'] } },
      required: ['city'],
      additionalProperties: false,
    };
    const output = { ...quiet, output_config: { format: { type: 'json_schema' as const, schema } } };
    const fitted = await client.messages.create(output);
    expect(JSON.parse((fitted.content[0] as Anthropic.TextBlock).text)).toEqual({ city: 'Bern' });
  });
});

describe("an agent's request", () => {
  const agent = {
    ...body,
    model: 'claude-haiku-4-5',
    max_tokens: 32_000,
    stream: true,
    system: [
      { type: 'text', text: 'x-anthropic-billing-header: cc_version=2.1; cch=12345;' },
      { type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } },
    ],
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'Hi.', cache_control: { type: 'ephemeral' } }] },
      { role: 'system', content: 'Mind the time.' },
      { role: 'user', content: 'Where?' },
    ],
    tools: [
      { ...find, cache_control: null },
      { type: 'web_search_20250305', name: 'web_search' },
    ],
    thinking: { type: 'adaptive' },
    output_config: { effort: 'high' },
    context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] },
    metadata: { user_id: '{"a":1}' },
  };

  it('is answered: foreign names of models, more tokens than there are, fields and tools of hosted services', async () => {
    const response = await fetch(`${at.url}/v1/messages?beta=true`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${apiKey}`,
        'anthropic-version': '2023-06-01',
      },
      body: JSON.stringify(agent),
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('request-id')).toMatch(/^req_/);
    const lines = (await response.text()).split('\n').filter((line) => line !== '');
    const names = lines.filter((line) => line.startsWith('event: ')).map((line) => line.slice(7));
    expect(names[0]).toBe('message_start');
    expect(names.slice(-2)).toEqual(['message_delta', 'message_stop']);
    expect(lines.filter((line) => line.startsWith('data: '))).toHaveLength(names.length);
    for (const [i, name] of names.entries()) {
      expect(JSON.parse(lines[2 * i + 1]!.slice('data: '.length))).toMatchObject({ type: name });
    }
  });

  it('has the same prefix whatever number its first block has', async () => {
    const count = async (stamp: string): Promise<unknown> => {
      const system = [{ type: 'text' as const, text: `x-anthropic-billing-header: cch=${stamp};` }];
      return (await client.messages.countTokens({ model: 'thinking', messages, system })).input_tokens;
    };
    expect(await count('1')).toBe(await count('123456789'));
  });
});

it('lists its models in the form that is asked for', async () => {
  const { data } = await client.models.list();
  expect(data).toMatchObject([{ type: 'model', id: 'thinking', max_input_tokens: 512 }]);
  const { data: usual } = await at.client.models.list();
  expect(usual).toMatchObject([{ object: 'model', id: 'thinking', context_length: 512 }]);
});

describe('errors', () => {
  it("have Anthropic's form and words", async () => {
    await expect(client.messages.create({ ...quiet, model: 'none' })).rejects.toMatchObject({ status: 404 });
    const long = { messages: [{ role: 'user', content: 'word '.repeat(2000) }] };
    const overflow = await refused(long);
    expect(overflow).toMatchObject({ status: 400, type: 'invalid_request_error' });
    expect(overflow.message).toMatch(/^prompt is too long: \d+ tokens > \d+ maximum$/);
    const failed = await client.messages.create({ ...quiet, ...(long as object) }).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(APIError);
    const stranger = new Anthropic({ baseURL: at.url, apiKey: 'wrong', maxRetries: 0 });
    await expect(stranger.messages.create(quiet)).rejects.toMatchObject({
      status: 401,
      error: { error: { type: 'authentication_error' } },
    });
  });

  it.each([
    [{ messages: [] }, "'messages'"],
    [{ max_tokens: 0 }, "'max_tokens'"],
    [{ messages: [{ role: 'user', content: [{ type: 'image', source: {} }] }] }, "'messages[0].content[0]'"],
    [{ messages: [{ role: 'assistant', content: [{ type: 'tool_use', id: 'a' }] }] }, "'messages[0].content[0].name'"],
    [{ messages: [{ role: 'user', content: [{ type: 'tool_result', content: 5, tool_use_id: 'a' }] }] }, 'content'],
    [{ tools: [{ name: 'a b', input_schema: {} }] }, "'tools[0].name'"],
    [{ tools: [find], tool_choice: { type: 'tool', name: 'other' } }, 'other'],
    [{ tools: [{ type: 'bash_20250124', name: 'bash' }], tool_choice: { type: 'tool', name: 'bash' } }, 'bash'],
    [{ output_config: { effort: 'huge' } }, 'effort'],
  ])('name what is wrong: %j', async (fields, words) => {
    const { status, type, message } = await refused(fields);
    expect(status).toBe(400);
    expect(type).toBe('invalid_request_error');
    expect(message).toContain(words);
  });
});
