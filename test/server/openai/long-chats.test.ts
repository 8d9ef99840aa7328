// Long conversations, whose rendering one client may give up, or a template never end, while others are answered.
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadModel, type Model } from '../../../lib/model.js';
import { createServer } from '../../../lib/server/index.js';
import { ChatRenderer, type RenderLimits } from '../../../lib/text/chat/render-apart.js';
import { RenderThread } from '../../../lib/text/chat/render-thread.js';
import { type ChatMessage, ChatTemplates } from '../../../lib/text/template.js';
import { until } from '../../until.js';
import { modelId, modelPath, type Running, running } from '../running.js';

// Of what begins with "slow", every message looks at all others, each of those at all again, and so once more: no
// processor comes to the end of it.
const templates = new ChatTemplates(
  new Map([
    [
      'default',
      '{% if messages[0].content == "slow" %}{% for a in messages %}{% for b in messages %}{% for c in messages %}' +
        '{% for d in messages %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% elif messages[0].content == "wrong" %}{{ raise_exception("no") }}' +
        '{% endif %}{{ messages | length }} goats',
    ],
  ]),
  {},
);

let model: Model;
let server: Running;
beforeAll(async () => {
  model = await loadModel(modelPath);
  Object.assign(model.tokenizer, { templates });
  server = await running({ models: [model], logger: false });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  model.dispose();
});

const limited = (limits: Partial<RenderLimits>): void => {
  Object.assign(model.tokenizer, { renderer: new ChatRenderer(limits) });
};
beforeEach(() => limited({ milliseconds: 1000 }));
afterEach(() => {
  vi.restoreAllMocks();
});

const talk = (first: string, length = 200): ChatMessage[] =>
  Array.from({ length }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: i === 0 ? first : `${i}` }));
const bodyOf = (first: string): object => ({ model: modelId, messages: talk(first), max_tokens: 1 });
const chat = (first: string, init: RequestInit = {}): Promise<Response> =>
  server.post('/v1/chat/completions', bodyOf(first), init);
const errorOf = async (response: Response): Promise<unknown> =>
  ((await response.json()) as { error: { code: string | null } }).error;

describe('a long conversation', () => {
  it('that takes too long is a 503 to be tried again, one that the template refuses a 400', async () => {
    const [late, wrong, well] = await Promise.all([chat('slow'), chat('wrong'), chat('Hi')]);
    expect(late.status).toBe(503);
    expect(late.headers.get('retry-after')).toBe('5');
    expect(await errorOf(late)).toMatchObject({ type: 'unavailable_error', code: 'not_rendered', param: null });
    expect(wrong.status).toBe(400);
    expect(await errorOf(wrong)).toMatchObject({ param: 'messages', message: "'messages': chat template: no." });
    expect(well.status).toBe(200);
  });

  it('is a 429 with retry-after where too many wait', async () => {
    limited({ milliseconds: 1500, waiting: 1 });
    const answers = await Promise.all([chat('slow'), chat('slow'), chat('slow')]);
    const refused = answers.find(({ status }) => status === 429)!;
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await errorOf(refused)).toMatchObject({ code: 'queue_full' });
  });

  it('is answered while others give theirs up', async () => {
    const stop = new AbortController();
    const given = Array.from({ length: 4 }, () => chat('slow', { signal: stop.signal }));
    const ended = Promise.allSettled(given);
    const other = chat('Hi');
    const terminate = vi.spyOn(Worker.prototype, 'terminate');
    await new Promise((resolve) => setTimeout(resolve, 100));
    stop.abort();
    for (const { status } of await ended) expect(status).toBe('rejected');
    expect((await other).status).toBe(200);
    // At most the one that was being rendered took all its time, not those that waited.
    expect(terminate.mock.calls.length).toBeLessThanOrEqual(1);
  });

  it('is counted as it is answered', async () => {
    const response = await server.post('/tokenize', { model: modelId, messages: talk('Hi') });
    const { tokens } = (await response.json()) as { tokens: number[] };
    expect(tokens).toEqual(model.tokenizer.encode('200 goats', { addSpecialTokens: false }));
    const late = await server.post('/tokenize', { model: modelId, messages: talk('slow') });
    expect(late.status).toBe(503);
  });

  it('does not keep a server from closing', async () => {
    limited({ milliseconds: 5000 });
    const own = createServer({ models: [model], logger: false });
    const { url } = await own.listen({ port: 0 });
    const ask = (): Promise<Response> =>
      fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(bodyOf('slow')) });
    const render = vi.spyOn(RenderThread.prototype, 'render');
    const cut = Promise.allSettled([ask(), ask()]);
    await until(() => render.mock.calls.length > 0);
    const rendered = vi.fn();
    void render.mock.results[0]!.value.then(rendered, rendered);
    await own.close({ drainSeconds: 0.1 });
    expect(rendered).not.toHaveBeenCalled();
    for (const { status } of await cut) expect(status).toBe('rejected');
  });
});
