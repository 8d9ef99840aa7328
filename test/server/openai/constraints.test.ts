// Fields that say what an answer must be: kept, or refused by name.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelId, type Running, running } from '../running.js';

let at: Running;
beforeAll(async () => {
  at = await running();
});
afterAll(() => at[Symbol.asyncDispose]());

interface Answer {
  choices: { text?: string; message?: { content: string }; finish_reason: string }[];
  tokens: number[];
  usage: { completion_tokens: number; prompt_tokens: number };
  error: { message: string; param: string };
}

const messages = [{ role: 'user', content: 'Which one?' }];
const number = { type: 'object', properties: { n: { type: 'integer', maximum: 9 } }, required: ['n'] };

async function answer(more: object, path = '/v1/chat/completions') {
  const prompt = path.endsWith('/chat/completions') ? { messages } : {};
  const response = await at.post(path, { model: modelId, ...prompt, max_tokens: 40, temperature: 0, ...more });
  return { status: response.status, json: (await response.json()) as Answer };
}

describe('an answer is kept to', () => {
  it.each<[string, object, RegExp]>([
    ['a choice', { guided_choice: ['zebra', 'otter'] }, /^(zebra|otter)$/],
    ['a regular expression', { guided_regex: '[0-9]{4}|x"y' }, /^([0-9]{4}|x"y)$/],
    ['a schema', { guided_json: number }, /^ ?\{\s*"n":\s*-?\d+\s*\}$/],
    ['a schema as text', { guided_json: JSON.stringify(number) }, /^ ?\{\s*"n":/],
    ['a schema of llama.cpp', { json_schema: number }, /^ ?\{\s*"n":/],
    ['structured outputs', { structured_outputs: { choice: ['on', 'off'] } }, /^(on|off)$/],
    ['a pattern of structured outputs', { structured_outputs: { regex: '[a-c]+!' } }, /^[a-c]+/],
    ['a schema beside json_object', { response_format: { type: 'json_object', schema: number } }, /^ ?\{\s*"n":/],
  ])('%s', async (_, fields, text) => {
    const { json } = await answer(fields);
    expect(json.choices[0]?.message?.content).toMatch(text);
    if ('response_format' in fields) return;
    const plain = await answer({ ...fields, prompt: 'It is' }, '/v1/completions');
    expect(plain.json.choices[0]?.text).toMatch(text);
  });
});

describe('a field that is not kept is refused by its name:', () => {
  it.each<[object]>([
    [{ grammar: 'root ::= "zebra"' }],
    [{ guided_grammar: 'root ::= "zebra"' }],
    [{ structured_outputs: { grammar: 'root ::= "a"' } }],
    [{ web_search_options: {} }],
    [{ bad_words: ['a'] }],
    [{ allowed_token_ids: [1] }],
    [{ use_beam_search: true }],
    [{ mirostat: 2 }],
    [{ guided_regex: '(?=x)' }],
    [{ guided_choice: ['a'], guided_regex: 'b' }],
  ])('%j', async (fields) => {
    const { status, json } = await answer(fields);
    expect(status).toBe(400);
    expect(json.error.message).toContain(Object.keys(fields).at(-1));
  });

  it('but not one that asks for nothing, nor one of OpenAI', async () => {
    const fields = { grammar: '', mirostat: 0, use_beam_search: false, bad_words: [], store: true, verbosity: 'low' };
    expect((await answer({ ...fields, max_tokens: 1 })).status).toBe(200);
  });
});

describe('strict', () => {
  it.each<[object]>([
    [{ type: 'string', pattern: '(?=x)' }],
    [{ type: 'object', properties: { a: false }, required: ['a'] }],
    [{ enum: [] }],
    [{ not: { type: 'string' } }],
    [{ type: 'string', format: 'iri' }],
  ])('refuses a schema that is not enforced: %j', async (schema) => {
    const format = { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } };
    const { status, json } = await answer({ response_format: format });
    expect(status).toBe(400);
    expect(json.error.param).toBe('response_format.json_schema.schema');
  });

  it('refuses such parameters of a tool', async () => {
    const parameters = { type: 'object', properties: { a: { type: 'string', pattern: '(?=x)' } } };
    const { json } = await answer({ tools: [{ type: 'function', function: { name: 'f', strict: true, parameters } }] });
    expect(json.error.param).toBe('tools[0].function.parameters');
  });
});

describe('the end of a text', () => {
  it('comes after min_tokens at the earliest', async () => {
    const { json } = await answer({ min_tokens: 30, max_tokens: 30, logit_bias: { 2: 100 } });
    expect(json.usage.completion_tokens).toBe(30);
  });

  it('comes before a token of stop_token_ids', async () => {
    const request = { prompt: 'Once upon', max_tokens: 12 };
    const { json } = await answer(request, '/v1/completions');
    const text = json.choices[0]!.text!;
    const { tokens } = (await answer({ prompt: text, add_special_tokens: false }, '/v1/tokenize')).json;
    const stopped = await answer({ ...request, stop_token_ids: [tokens[2]] }, '/v1/completions');
    expect(stopped.json.choices[0]).toMatchObject({ finish_reason: 'stop' });
    expect(text.startsWith(stopped.json.choices[0]!.text!)).toBe(true);
    expect(stopped.json.choices[0]!.text!.length).toBeLessThan(text.length);
  });

  it('keeps its stop string where that is asked for', async () => {
    const request = { prompt: 'Once upon', max_tokens: 12 };
    const text = (await answer(request, '/v1/completions')).json.choices[0]!.text!;
    const stop = text.slice(4, 7);
    const kept = await answer({ ...request, stop, include_stop_str_in_output: true }, '/v1/completions');
    expect(kept.json.choices[0]!.text).toBe(text.slice(0, text.indexOf(stop) + 3));
  });
});

describe('continue_final_message', () => {
  const begun = [...messages, { role: 'assistant', content: 'The end ' }];

  it('ends the prompt with the last message as it is', async () => {
    const { tokens } = (await answer({ messages: begun, continue_final_message: true }, '/v1/tokenize')).json;
    const { prompt } = (await (await at.post('/v1/detokenize', { tokens })).json()) as { prompt: string };
    expect(prompt).toMatch(/The end $/);
    const { json } = await answer({ messages: begun, continue_final_message: true });
    expect(json.usage.prompt_tokens).toBe(tokens.length);
  });

  it.each<[object]>([[{ messages }], [{ messages: begun, add_generation_prompt: true }]])(
    'is refused where nothing can be continued: %j',
    async (fields) => {
      const { status, json } = await answer({ continue_final_message: true, ...fields });
      expect([status, json.error.param]).toEqual([400, 'continue_final_message']);
    },
  );
});
