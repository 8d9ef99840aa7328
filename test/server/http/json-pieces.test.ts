// JSON in pieces: the same text as JSON.stringify gives, each piece small and in a turn of its own.
import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { jsonAnswer, jsonPieces, listOf } from '../../../lib/server/http/json-pieces.js';
import { eventStream } from '../../../lib/server/http/stream.js';

const numbers = (count: number): Iterable<object> =>
  listOf(function* () {
    for (let i = 0; i < count; i++) yield { i, text: 'é"\n'.repeat(20) };
  });
const large = { id: 'x', choices: [{ logprobs: { content: numbers(5000) }, end: null }], usage: { tokens: 3 } };
const whole = JSON.stringify({ ...large, choices: [{ logprobs: { content: [...numbers(5000)] }, end: null }] });

/** Turns of the event loop while `read` runs. */
async function turns(read: () => Promise<unknown>): Promise<number> {
  let count = 0;
  let over = false;
  const turn = (): void => {
    count++;
    if (!over) setImmediate(turn);
  };
  setImmediate(turn);
  await read();
  over = true;
  return count;
}

async function chunksOf(response: Response): Promise<{ text: string; longest: number; count: number }> {
  const decoder = new TextDecoder();
  const chunks: number[] = [];
  let text = '';
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    chunks.push(chunk.length);
    text += decoder.decode(chunk, { stream: true });
  }
  return { text, longest: Math.max(...chunks), count: chunks.length };
}

describe('jsonPieces', () => {
  it.each([
    [null],
    ['a"b'],
    [[]],
    [{}],
    [[1, [2, {}], null]],
    [{ a: undefined, b: { c: [] }, d: [undefined], 'e"': true }],
  ])('writes %j as JSON.stringify does', (value) => {
    expect([...jsonPieces(value)].join('')).toBe(JSON.stringify(value));
  });

  it('makes the entries of lists while it writes them', () => {
    let made = 0;
    const list = listOf(function* () {
      for (; made < 100_000; made++) yield made;
    });
    const pieces = jsonPieces({ list });
    expect((pieces.next().value as string).length).toBeLessThan(2 ** 16);
    expect(made).toBeLessThan(10_000);
    expect([...jsonPieces(large)].join('')).toBe(whole);
    expect([...jsonPieces({ list: listOf(function* () {}) })].join('')).toBe('{"list":[]}');
  });
});

describe('an answer', () => {
  const app = new Hono()
    .get('/large', (c) => jsonAnswer(c, large, { 'x-more': 'y' }))
    .get('/small', (c) => jsonAnswer(c, { a: 1 }));

  it('that is large is a stream of small pieces, each in a turn of its own', async () => {
    const response = await app.request('/large');
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(response.headers.get('x-more')).toBe('y');
    let got = { text: '', longest: 0, count: 0 };
    const taken = await turns(async () => {
      got = await chunksOf(response);
    });
    expect(got.text).toBe(whole);
    expect(got.longest).toBeLessThan(2 ** 17);
    expect(taken).toBeGreaterThanOrEqual(got.count - 2);
    expect(got.count).toBeGreaterThan(10);
  });

  it('that is small is one piece', async () => {
    expect(await (await app.request('/small')).json()).toEqual({ a: 1 });
  });
});

it('an event that is large is written in small pieces, and stays one event', async () => {
  const events = async function* (): AsyncGenerator<object, void, void> {
    yield { a: 1 };
    yield large;
  };
  const errorBody = (): never => {
    throw new Error('unexpected');
  };
  let got = { text: '', longest: 0, count: 0 };
  const taken = await turns(async () => {
    got = await chunksOf(eventStream(events(), { cancel: () => {}, errorBody }));
  });
  expect(got.text).toBe(`data: {"a":1}\n\ndata: ${whole}\n\ndata: [DONE]\n\n`);
  expect(got.longest).toBeLessThan(2 ** 17);
  expect(taken).toBeGreaterThanOrEqual(got.count - 4);
});
