// Constrained answers through the API, by the official client: JSON of a schema, and calls of functions.
import type { ChatCompletionMessageParam, ChatCompletionTool } from 'openai/resources/chat';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelId, type Running, running } from '../running.js';
import { expectValid } from '../specification.js';

let at: Running;
beforeAll(async () => {
  at = await running();
});
afterAll(() => at[Symbol.asyncDispose]());

const messages: ChatCompletionMessageParam[] = [{ role: 'user', content: 'Where is Tom?' }];
const place = {
  type: 'object',
  properties: { city: { enum: ['Bern', 'Chur'] }, floor: { type: 'integer', minimum: 0, maximum: 9 } },
  required: ['city', 'floor'],
  additionalProperties: false,
};
const tools: ChatCompletionTool[] = [
  { type: 'function', function: { name: 'find', description: 'Finds a person.', parameters: place } },
  { type: 'function', function: { name: 'wait' } },
];
const body = { model: modelId, messages, max_tokens: 300 };

function expectPlace(text: string | null | undefined): void {
  const value = JSON.parse(text ?? '') as { city: string; floor: number };
  expect(['Bern', 'Chur']).toContain(value.city);
  expect(value.floor).toBeGreaterThanOrEqual(0);
  expect(value.floor).toBeLessThanOrEqual(9);
}

describe('response_format', () => {
  it('json_schema: every choice fits, whole and streamed', async () => {
    const response_format = {
      type: 'json_schema' as const,
      json_schema: { name: 'place', schema: place, strict: true },
    };
    const whole = await at.client.chat.completions.create({ ...body, response_format, n: 3, temperature: 1, seed: 1 });
    expectValid('CreateChatCompletionResponse', whole);
    for (const choice of whole.choices) {
      expect(choice.finish_reason).toBe('stop');
      expectPlace(choice.message.content);
    }
    const stream = await at.client.chat.completions.create({ ...body, response_format, stream: true });
    let text = '';
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    expectPlace(text);
  });

  it('json_object: an object', async () => {
    const { choices } = await at.client.chat.completions.create({
      ...body,
      response_format: { type: 'json_object' },
      temperature: 0,
    });
    const [{ finish_reason: reason, message }] = choices as [(typeof choices)[0]];
    // A small model may write a long object; what there is of it begins one.
    if (reason === 'stop') expect(JSON.parse(message.content!)).toBeTypeOf('object');
    else expect(message.content).toMatch(/^\s*\{/);
  });

  it('warns of what is not enforced', async () => {
    const schema = { ...place, not: { required: ['x'] } };
    const { response } = await at.client.chat.completions
      .create({ ...body, response_format: { type: 'json_schema', json_schema: { name: 'p', schema } } })
      .withResponse();
    expect(response.headers.get('x-helvetia-warning')).toContain('"not" is not enforced');
  });
});

describe('tools', () => {
  it('required: calls that fit, as OpenAI writes them', async () => {
    const answer = await at.client.chat.completions.create({
      ...body,
      tools,
      tool_choice: 'required',
      temperature: 1,
      seed: 5,
    });
    expectValid('CreateChatCompletionResponse', answer);
    const [choice] = answer.choices;
    expect(choice!.finish_reason).toBe('tool_calls');
    expect(choice!.message.content).toBeNull();
    for (const call of choice!.message.tool_calls!) {
      if (call.type !== 'function') throw new Error('expected a function');
      expect(call.id).toMatch(/^call_\w+$/);
      if (call.function.name === 'find') expectPlace(call.function.arguments);
      else expect(JSON.parse(call.function.arguments)).toBeTypeOf('object');
    }
  });

  it('a named one: streamed in fragments, then answered', async () => {
    const tool_choice = { type: 'function' as const, function: { name: 'find' } };
    // The small model's context is short.
    const tools: ChatCompletionTool[] = [{ type: 'function', function: { name: 'find', parameters: place } }];
    const stream = await at.client.chat.completions.create({
      ...body,
      tools,
      tool_choice,
      stream: true,
      temperature: 0,
    });
    let [id, name, given, finish] = ['', '', '', ''];
    for await (const chunk of stream) {
      expectValid('CreateChatCompletionStreamResponse', chunk);
      const [choice] = chunk.choices;
      finish = choice?.finish_reason ?? finish;
      for (const call of choice?.delta.tool_calls ?? []) {
        expect(call.index).toBe(0);
        id += call.id ?? '';
        name += call.function?.name ?? '';
        given += call.function?.arguments ?? '';
      }
    }
    expect(finish).toBe('tool_calls');
    expect(name).toBe('find');
    expectPlace(given);
    const call = { id, type: 'function' as const, function: { name, arguments: given } };
    const after = await at.client.chat.completions.create({
      ...body,
      max_tokens: 8,
      tools,
      messages: [
        ...messages,
        { role: 'assistant', content: null, tool_calls: [call] },
        { role: 'tool', tool_call_id: id, content: 'In the garden.' },
      ],
    });
    expect(after.usage!.prompt_tokens).toBeGreaterThan(60);
  });

  it('one at a time, and only those that are allowed', async () => {
    const only = { mode: 'required' as const, tools: [{ type: 'function', function: { name: 'wait' } }] };
    const { choices } = await at.client.chat.completions.create({
      ...body,
      tools,
      tool_choice: { type: 'allowed_tools', allowed_tools: only },
      parallel_tool_calls: false,
      temperature: 1,
      seed: 2,
    });
    expect(choices[0]!.message.tool_calls).toMatchObject([{ function: { name: 'wait' } }]);
  });

  it.each([
    ['a function that is not there', { tools, tool_choice: { type: 'function', function: { name: 'fly' } } }, /"fly"/],
    ['a choice without tools', { tool_choice: 'required' }, /tools/],
    [
      'a choice of none of them',
      { tools, tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [] } } },
      /1 to 512/,
    ],
    ['a tool of another kind', { tools: [{ type: 'web_search' }] }, /function/],
  ])('%s is refused', async (_, wrong, message) => {
    const response = await at.post('/v1/chat/completions', { ...body, ...wrong });
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { message: string; type: string } };
    expect(error.message).toMatch(message);
    expect(error.type).toBe('invalid_request_error');
  });
});
