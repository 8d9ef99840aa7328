// Fields that no schema has: let through, refused by name, taken for a misspelling, or told in a header.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelId, type Running, running } from '../running.js';

let at: Running;
beforeAll(async () => {
  at = await running();
});
afterAll(() => at[Symbol.asyncDispose]());

const bodies: Record<string, object> = {
  '/v1/chat/completions': { model: modelId, messages: [{ role: 'user', content: 'Hi' }], max_tokens: 1 },
  '/v1/completions': { model: modelId, prompt: 'Hi', max_tokens: 1 },
  '/v1/embeddings': { model: modelId, input: 'Hi' },
  '/tokenize': { model: modelId, prompt: 'Hi' },
  '/detokenize': { model: modelId, tokens: [1] },
};

async function ask(path: string, more: object) {
  const response = await at.post(path, { ...bodies[path], ...more });
  const { error } = (await response.json()) as { error?: { message: string; param: string; code: string } };
  return { status: response.status, error, warning: response.headers.get('x-helvetia-warning') };
}

describe.each(Object.keys(bodies))('%s', (path) => {
  it('says in a header which fields are not known, and takes those of OpenAI', async () => {
    const inert = { user: 'u', store: true, metadata: { a: 'b' } };
    expect(await ask(path, inert)).toEqual({ status: 200, error: undefined, warning: null });
    const { status, warning } = await ask(path, { ...inert, provider_ördér: { only: ['x'] }, seven: 7 });
    expect(status).toBe(200);
    expect(warning).toBe(
      "the field 'provider_?rd?r' is not known and was ignored; the field 'seven' is not known and was ignored",
    );
  });

  it('refuses what would change the answer, by its name', async () => {
    expect(await ask(path, { bad_words: ['x'] })).toMatchObject({ status: 400, error: { param: 'bad_words' } });
    expect((await ask(path, { bad_words: [], mirostat: 0 })).warning).toBe(null);
  });
});

describe('a misspelt field', () => {
  it.each([
    ['/v1/chat/completions', 'max_token', 'max_tokens'],
    ['/v1/chat/completions', 'maxTokens', 'max_tokens'],
    ['/v1/chat/completions', 'temprature', 'temperature'],
    ['/v1/chat/completions', 'responseFormat', 'response_format'],
    ['/v1/completions', 'stops', 'stop'],
    ['/v1/completions', 'top-k', 'top_k'],
    ['/v1/embeddings', 'dimension', 'dimensions'],
    ['/tokenize', 'add_generation_promt', 'add_generation_prompt'],
  ])('of %s is refused with the right name: %s', async (path, name, right) => {
    expect(await ask(path, { [name]: 5 })).toMatchObject({
      status: 400,
      error: { message: `'${name}': is not known: did you mean '${right}'?`, param: name, code: 'unknown_parameter' },
    });
  });

  it.each([
    ['max_new_tokens', "'max_tokens'"],
    ['stop_sequences', "'stop'"],
    ['system', "a message whose role is 'system'"],
    ['repeat_penalty', "'repetition_penalty'"],
  ])('of another server, %s, is refused with ours', async (name, right) => {
    const { error } = await ask('/v1/chat/completions', { [name]: 'x' });
    expect(error?.message).toBe(`'${name}': is not supported: send ${right}.`);
  });

  it('is looked for among few', async () => {
    const many = Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`field${i}`, 1]));
    const { status, error } = await ask('/tokenize', many);
    expect(status).toBe(400);
    expect(error?.message).toBe('The body has more than 64 fields that are not known.');
  });

  it('is not every short or long name', async () => {
    for (const name of ['x', 'y'.repeat(100_000)]) expect((await ask('/tokenize', { [name]: 1 })).status).toBe(200);
  });
});

it('completions say what is not enforced of their schema', async () => {
  const { status, warning } = await ask('/v1/completions', { guided_json: { not: { type: 'string' } } });
  expect(status).toBe(200);
  expect(warning).toContain('"not" is not enforced');
});

it('add_special_tokens asks for nothing where it says what is done anyway', async () => {
  expect((await ask('/v1/chat/completions', { add_special_tokens: false })).status).toBe(200);
  expect((await ask('/v1/chat/completions', { add_special_tokens: true })).status).toBe(400);
  expect((await ask('/v1/completions', { add_special_tokens: true })).status).toBe(200);
  expect((await ask('/v1/completions', { add_special_tokens: false })).status).toBe(400);
});
