// Reasoning through the API: told apart from the answer, switched, bounded, and given back with a conversation.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Running, running } from '../running.js';
import { thinkingModel } from '../thinking.js';

const folder = thinkingModel();
let at: Running;
beforeAll(async () => {
  at = await running({ models: [folder.path] });
});
afterAll(async () => {
  await at[Symbol.asyncDispose]();
  folder.dispose();
});

interface Answer {
  choices: {
    message: { content: string | null; reasoning_content?: string; reasoning?: string; tool_calls?: unknown[] };
    finish_reason: string;
  }[];
  usage: { completion_tokens: number; completion_tokens_details: { reasoning_tokens: number } };
}

const messages = [{ role: 'user', content: 'Where is Tom?' }];
const body = { model: 'thinking', messages, temperature: 0, max_tokens: 40 };

async function ask(fields: object): Promise<Answer> {
  const response = await at.post('/v1/chat/completions', { ...body, ...fields });
  expect(response.status, await response.clone().text()).toBe(200);
  return (await response.json()) as Answer;
}

describe('reasoning', () => {
  it('that fills the answer is all there is', async () => {
    const { choices, usage } = await ask({ max_tokens: 4 });
    const { content, reasoning_content: reasoning } = choices[0]!.message;
    expect(content).toBe('');
    expect(reasoning).toMatch(/\w/);
    expect(choices[0]).toMatchObject({ message: { reasoning }, finish_reason: 'length' });
    expect(usage).toMatchObject({ completion_tokens: 4, completion_tokens_details: { reasoning_tokens: 4 } });
  });

  it.each([
    { thinking_token_budget: 8 },
    { thinking_budget_tokens: 8 },
    { thinking_budget: 8 },
    { reasoning: { max_tokens: 8 } },
    { thinking: { type: 'enabled', budget_tokens: 8 } },
  ])('ends at its budget, and the answer follows: %j', async (fields) => {
    const { choices, usage } = await ask(fields);
    const { content, reasoning_content: reasoning } = choices[0]!.message;
    expect(reasoning).toMatch(/\w/);
    expect(content).toMatch(/\w/);
    expect(content + reasoning!).not.toContain('think>');
    // The end of the reasoning is a token of it.
    expect(usage.completion_tokens_details.reasoning_tokens).toBe(9);
  });

  it.each([
    { reasoning_effort: 'none' },
    { enable_thinking: false },
    { thinking: { type: 'disabled' } },
    { reasoning: { enabled: false } },
    { chat_template_kwargs: { enable_thinking: false } },
  ])('is switched off by %j', async (fields) => {
    const { choices, usage } = await ask(fields);
    expect(choices[0]!.message).not.toHaveProperty('reasoning_content');
    expect(choices[0]!.message.content).toMatch(/\w/);
    expect(usage.completion_tokens_details.reasoning_tokens).toBe(0);
  });

  it('streams under both names in one delta, before the content', async () => {
    const whole = await ask({ thinking_budget: 8 });
    const stream = await at.client.chat.completions.create({
      ...body,
      messages: [{ role: 'user', content: 'Where is Tom?' }],
      stream: true,
      stream_options: { include_usage: true },
      ...{ thinking_budget: 8 },
    });
    let [reasoning, content] = ['', ''];
    for await (const { choices, usage } of stream) {
      const delta = (choices[0]?.delta ?? {}) as { content?: string; reasoning_content?: string; reasoning?: string };
      expect(delta.reasoning).toBe(delta.reasoning_content);
      if (delta.reasoning_content) expect(content).toBe('');
      reasoning += delta.reasoning_content ?? '';
      content += delta.content ?? '';
      if (usage) expect(usage.completion_tokens_details?.reasoning_tokens).toBe(9);
    }
    expect({ reasoning, content }).toEqual({
      reasoning: whole.choices[0]!.message.reasoning_content,
      content: whole.choices[0]!.message.content,
    });
  });

  it('is left out where it is not wanted', async () => {
    for (const fields of [{ include_reasoning: false }, { reasoning: { exclude: true } }]) {
      const { choices, usage } = await ask({ thinking_budget: 8, ...fields });
      expect(choices[0]!.message).not.toHaveProperty('reasoning');
      expect(usage.completion_tokens_details.reasoning_tokens).toBe(9);
    }
  });

  it('is free where the answer is constrained', async () => {
    const schema = { type: 'object', properties: { city: { enum: ['Bern', 'Chur'] } }, required: ['city'] };
    const response_format = { type: 'json_schema', json_schema: { name: 'c', schema, strict: false } };
    for (const fields of [{ response_format }, { response_format, reasoning_effort: 'none' }]) {
      const { choices } = await ask({ ...fields, max_tokens: 200, thinking_budget: 8 });
      expect(Object.keys(JSON.parse(choices[0]!.message.content!))).toContain('city');
    }
    const tools = [{ type: 'function', function: { name: 'find', parameters: schema } }];
    const called = await ask({ tools, tool_choice: 'required', max_tokens: 200, thinking_budget: 8 });
    expect(called.choices[0]!.message.reasoning_content).toMatch(/\w/);
    expect(called.choices[0]!.message.tool_calls).toHaveLength(1);
  });

  it('of a conversation reaches the template, by whatever name', async () => {
    const count = async (assistant: object): Promise<number> => {
      const response = await at.post('/tokenize', {
        model: 'thinking',
        messages: [...messages, { role: 'assistant', content: 'Here.', ...assistant }, ...messages],
      });
      return ((await response.json()) as { count: number }).count;
    };
    const without = await count({});
    const given = await count({ reasoning_content: 'He is near.' });
    expect(given).toBeGreaterThan(without + 2);
    expect(await count({ reasoning: 'He is near.' })).toBe(given);
    const parts = [
      { type: 'thinking', thinking: 'He is near.' },
      { type: 'text', text: 'Here.' },
    ];
    expect(await count({ content: parts })).toBe(given);
  });

  it('has levels', async () => {
    const response = await at.post('/v1/chat/completions', { ...body, reasoning_effort: 'huge' });
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error: { message: string } }).error.message).toMatch(
      /'reasoning_effort'.*'low'/,
    );
  });
});

describe('histories of other clients', () => {
  it('have calls without ids, arguments as objects and null content', async () => {
    const calls = [
      { function: { name: 'find', arguments: { name: 'Tom' } } },
      { id: null, function: { name: 'wait' } },
    ];
    const history = [
      ...messages,
      { role: 'assistant', content: null, tool_calls: calls },
      { role: 'tool', content: 'In the garden.' },
      { role: 'tool', content: 'Waited.' },
    ];
    const tools = [{ type: 'function', function: { name: `a.${'b'.repeat(120)}` } }];
    const { choices } = await ask({ messages: history, tools, reasoning_effort: 'none' });
    expect(choices[0]!.message.content).toMatch(/\w/);
  });
});
