// Bodies made to cost much: refused early, or worked off without holding up anybody else.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel, type Model } from '../../lib/model.js';
import { createServer, type Server } from '../../lib/server/index.js';
import { encodeSlices } from '../../lib/text/tokenizer/encode-slices.js';
import { judged, lateness } from '../lateness.js';
import { processed } from '../processor-time.js';
import { failuresOnly, modelId, modelPath } from './running.js';

let model: Model;
let server: Server;
beforeAll(async () => {
  model = await loadModel(modelPath);
  server = createServer({ models: [model], logger: failuresOnly, engine: { maxQueued: 20, maxBatch: 8 } });
  await server.ready;
});
afterAll(async () => {
  await server.close();
  model.dispose();
});

const messages = [{ role: 'user', content: 'Hi' }];
const post = (path: string, body: unknown): Promise<Response> =>
  server.fetch(
    new Request(`http://x${path}`, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) }),
  );
const chat = (fields: object): Promise<Response> =>
  post('/v1/chat/completions', { model: modelId, messages, max_tokens: 1, ...fields });

async function expectRefused(response: Response, param: string | null, message?: RegExp): Promise<void> {
  const { error } = (await response.json()) as { error: { param: string | null; message: string } };
  expect(response.status, error.message).toBe(400);
  expect(error.param).toBe(param);
  if (message) expect(error.message).toMatch(message);
}

/**
 * The longest time that the event loop was held while `work` ran, in milliseconds: the least of five tries, or the first
 * below `bound`, as the system may take the core away now and then.
 */
async function longestHold(bound: number, work: () => Promise<unknown>): Promise<number> {
  let held = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 5 && held >= bound; tries += 1) held = Math.min(held, judged(await lateness(work)));
  return held;
}

describe('chat_template_kwargs', () => {
  it.each([
    { chatTemplate: '{{ range(1000000000) | length }}' },
    { chat_template: '{% for i in range(1000000000) %}{% endfor %}' },
    { bos_token: 'x' },
    { raise_exception: null },
    { messages: [] },
    { tools: 1 },
    { range: 5 },
  ])('%j is refused', async (kwargs) => {
    const [name] = Object.keys(kwargs);
    for (const path of ['/v1/chat/completions', '/tokenize']) {
      const response = await post(path, { model: modelId, messages, chat_template_kwargs: kwargs });
      await expectRefused(response, `chat_template_kwargs.${name}`);
    }
  });

  it('are given to the template, whatever they are', async () => {
    expect((await chat({ chat_template_kwargs: { enable_thinking: false, x: [null, { y: 1 }] } })).status).toBe(200);
    await expectRefused(await chat({ chat_template: '{{ 1 }}' }), 'chat_template');
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`v${i}`, i]));
    await expectRefused(await chat({ chat_template_kwargs: many }), 'chat_template_kwargs');
  });
});

describe('bodies of eight megabytes', () => {
  const filled = (entry: string, before: string, after: string, most = Number.POSITIVE_INFINITY): string => {
    const count = Math.min(most, Math.floor((8 * 2 ** 20 - before.length - after.length) / (entry.length + 1)));
    return before + `${entry},`.repeat(count - 1) + entry + after;
  };
  const head = `{"model":"${modelId}",`;
  const cases: [name: string, path: string, body: string, param: string | null][] = [
    ['numbers for messages', '/v1/chat/completions', filled('1', `${head}"messages":[`, ']}'), null],
    ['messages', '/v1/chat/completions', filled('{"role":"user","content":""}', `${head}"messages":[`, ']}'), null],
    ['biases', '/v1/chat/completions', filled('"1":1', `${head}"messages":[],"logit_bias":{`, '}}'), null],
    ['texts', '/v1/embeddings', filled('""', `${head}"input":[`, ']}'), null],
    ['texts of words', '/v1/completions', filled('"a goat"', `${head}"prompt":[`, ']}', 250_000), 'prompt'],
    ['tokens', '/detokenize', filled('99999999', `${head}"tokens":[`, ']}', 250_000), 'tokens'],
    ['too many tokens', '/v1/embeddings', filled('1', `${head}"input":[`, ']}'), null],
    ['one text', '/v1/embeddings', `${head}"input":"${'goat '.repeat(1_600_000)}"}`, 'input'],
    [
      'one message',
      '/v1/chat/completions',
      `${head}"messages":[{"role":"user","content":"${'goat '.repeat(1_600_000)}"}]}`,
      'messages',
    ],
    [
      "a tool's description",
      '/v1/chat/completions',
      `${head}"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","description":"${'goat '.repeat(1_600_000)}"}}]}`,
      'messages',
    ],
    [
      "a tool's parameters",
      '/v1/chat/completions',
      filled(
        '{"enum":["a"]}',
        `${head}"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"anyOf":[`,
        ']}}}]}',
        60_000,
      ),
      'messages',
    ],
  ];
  it.each(cases)('of %s are refused at once', async (_, path, body, param) => {
    await expectRefused(await post(path, body), param);
    const held = await longestHold(100, async () => expectRefused(await post(path, body), param));
    expect(held).toBeLessThan(100);
  });

  it('of too many of everything are refused', async () => {
    const many = Array.from({ length: 2049 }, () => messages[0]);
    await expectRefused(await chat({ messages: many }), 'messages', /2049 entries/);
    await expectRefused(await chat({ messages: many.slice(0, 600) }), 'messages', /600 messages, more than the 511/);
    await expectRefused(await chat({ n: 29 }), 'n', /at most 28/);
    const bias = Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [i, 1]));
    await expectRefused(await chat({ logit_bias: bias }), 'logit_bias', /1024/);
    const tools = Array.from({ length: 513 }, (_, i) => ({ type: 'function', function: { name: `f${i}` } }));
    await expectRefused(await chat({ tools }), 'tools', /513/);
    await expectRefused(await chat({ modalities: Array(9).fill('text') }), 'modalities', /9 entries/);
    const unknown = Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`k${i}`, 1]));
    const refused = await chat({ structured_outputs: unknown });
    expect((await refused.clone().text()).length).toBeLessThan(1000);
    await expectRefused(refused, 'structured_outputs', /unrecognized keys: "k0"/);
  });
});

describe('tokens', () => {
  it('outside the vocabulary are refused, and leave nothing behind', async () => {
    for (const id of [model.decoder.config.vocabSize, 2 ** 31]) {
      await expectRefused(await post('/detokenize', { model: modelId, tokens: [id] }), 'tokens', /outside/);
    }
    const { known } = (model.tokenizer as unknown as { bytes: { known: unknown[] } }).bytes;
    for (let id = 0; id < 100; id += 1) expect(model.tokenizer.tokenBytes(1e6 + id)).toHaveLength(0);
    expect(known.length).toBeLessThanOrEqual(model.decoder.config.vocabSize);
  });
});

describe('two thousand inputs', () => {
  it.each(['float', 'base64'])('are embedded without holding up anybody (%s)', async (encoding_format) => {
    const input = Array.from({ length: 2048 }, (_, i) => `goat ${i}`);
    let data: unknown[] = [];
    const embed = async (): Promise<void> => {
      const response = await post('/v1/embeddings', { model: modelId, input, encoding_format });
      ({ data } = (await response.json()) as { data: unknown[] });
    };
    const held = await longestHold(100, async () => {
      const response = await post('/v1/embeddings', { model: modelId, input, encoding_format });
      for await (const _ of response.body!);
    });
    await embed();
    expect(data).toHaveLength(2048);
    console.info(`held ${held.toFixed(0)} ms at most`);
    expect(held).toBeLessThan(100);
  });
});

describe('long texts', () => {
  const story = `${'The goats climbed the mountain, and nobody knew why — until it snowed.\n'.repeat(40)}`;

  it('have the same ids in slices', () => {
    const { tokenizer } = model;
    for (const text of [
      story.repeat(8),
      'a'.repeat(20_000),
      '山羊爬上了山。'.repeat(2000),
      `${story}<|im_end|>`.repeat(6),
    ]) {
      for (const addSpecialTokens of [true, false]) {
        const slices = [...encodeSlices(tokenizer, text, { addSpecialTokens })];
        expect(slices.length).toBeGreaterThan(2);
        expect(slices.flat()).toEqual(tokenizer.encode(text, { addSpecialTokens }));
      }
    }
  });

  it('that many clients send at once hold the event loop for one slice at a time', async () => {
    const prompt = story.repeat(20);
    const count = async (): Promise<number> => {
      const response = await post('/tokenize', { prompt });
      return ((await response.json()) as { count: number }).count;
    };
    const [first] = await Promise.all([count(), count()]);
    const alone = processed();
    model.tokenizer.encode(prompt);
    const whole = processed() - alone;
    const bound = Math.max(20, whole);
    const held = await longestHold(bound, async () => {
      const counts = await Promise.all(Array.from({ length: 16 }, count));
      expect(new Set(counts)).toEqual(new Set([first]));
    });
    console.info(`held ${held.toFixed(0)} ms at most; one text as a whole takes ${whole.toFixed(0)} ms`);
    expect(held).toBeLessThan(bound);
  });
});
