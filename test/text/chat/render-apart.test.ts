// Long conversations are written on another thread: the same text, a free event loop, turns for the clients, and an end to
// what takes too long.
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { QueueFull } from '../../../lib/flow/quota.js';
import { type Asker, ChatRenderer } from '../../../lib/text/chat/render-apart.js';
import { isShort } from '../../../lib/text/chat/render-size.js';
import { RenderFailed } from '../../../lib/text/chat/render-thread.js';
import { type ChatMessage, ChatTemplates, TemplateError, type TemplateOptions } from '../../../lib/text/template.js';
import { judged, lateness } from '../../lateness.js';
import { processed } from '../../processor-time.js';

const templatesOf = (source: string): ChatTemplates =>
  new ChatTemplates(new Map([['default', source]]), { bos_token: '<s>' });
const plain = templatesOf(
  '{{ bos_token }}{% for message in messages %}{{ message.role }}: {{ message.content | trim }}\n{% endfor %}{{ tone }}',
);
const json = templatesOf(
  '{{ tools | tojson }}{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}',
);
// Every message looks at all before it, as a few models' templates do.
const squared = templatesOf(
  '{% for a in messages %}{% for b in messages[:loop.index] %}{% if b.role == "nobody" %}!{% endif %}{% endfor %}{% endfor %}done',
);
const endless = templatesOf(
  '{% for a in messages %}{% for b in messages %}{% for c in messages %}{% endfor %}{% endfor %}{% endfor %}',
);
const conversation = (length: number): ChatMessage[] =>
  Array.from({ length }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: ` message ${i} 🙂 ` }));
const long = conversation(40);

const patient = new ChatRenderer({ milliseconds: 60_000 });
const write = (templates: ChatTemplates, messages: ChatMessage[], options: TemplateOptions = {}, asker: Asker = {}) =>
  patient.render(templates, messages, options, asker);

afterEach(() => {
  vi.restoreAllMocks();
});

describe('a long conversation', () => {
  it('gives the text that it gives at once, whatever came before', async () => {
    const options = { variables: { tone: 'kind' }, addGenerationPrompt: true };
    for (const length of [3, 33, 300]) {
      const messages = conversation(length);
      const texts = await Promise.all([plain, squared, plain].map((templates) => write(templates, messages, options)));
      expect(texts[0]).toBe(plain.render(messages, options));
      expect(texts).toEqual([texts[0], 'done', texts[0]]);
    }
  });

  it('leaves the event loop to others', async () => {
    const messages = conversation(300);
    const started = processed();
    squared.render(messages);
    const alone = processed() - started;
    let held = Number.POSITIVE_INFINITY;
    // The best of some: the system may take the core away now and then.
    for (let tries = 0; tries < 3 && held > alone / 3; tries += 1) {
      const rendering = async () => expect(await patient.render(squared, messages, {})).toBe('done');
      held = Math.min(held, judged(await lateness(rendering)));
    }
    expect(held).toBeLessThan(alone / 3);
  });

  it('tells what the template says, and goes on with the next', async () => {
    const refusing = templatesOf("{{ raise_exception('roles must alternate') }}");
    await expect(write(refusing, long)).rejects.toThrow(new TemplateError('chat template: roles must alternate'));
    await expect(write(templatesOf('{% for %}'), long)).rejects.toThrow(TemplateError);
    await expect(write(plain, long, { variables: { messages: [] } })).rejects.toThrow(
      'the variable "messages" cannot be given',
    );
    expect(await write(plain, long)).toContain('message 39');
  });

  it('is written here where it has what no thread can be sent', async () => {
    const calling = templatesOf('{{ shout("goat") }}');
    const shout = (text: string): string => text.toUpperCase();
    const terminate = vi.spyOn(Worker.prototype, 'terminate');
    expect(await write(calling, long, { variables: { shout } })).toBe('GOAT');
    expect(await write(plain, long)).toContain('message 39');
    expect(terminate).not.toHaveBeenCalled();
  });
});

describe('what is short', () => {
  const tool = (parameters: object): TemplateOptions => ({
    tools: [{ type: 'function', function: { name: 'f', parameters } }],
  });
  const property = (i: number): [string, object] => [`p${i}`, { type: 'string', description: 'A name.' }];
  const properties = (count: number): object => ({
    properties: Object.fromEntries(Array.from({ length: count }, (_, i) => property(i))),
  });
  const calls = (count: number, given = '{"x":1}'): ChatMessage => ({
    role: 'assistant',
    tool_calls: Array.from({ length: count }, () => ({ id: 'c', function: { name: 'f', arguments: given } })),
  });
  const hi: ChatMessage[] = [{ role: 'user', content: 'Hi' }];
  const numbers = Array.from({ length: 50_000 }, (_, i) => `v${i}`);

  const longOnes: [name: string, messages: ChatMessage[], options: TemplateOptions][] = [
    ['messages', conversation(40), {}],
    ['an enum', hi, tool({ enum: numbers })],
    ['properties', hi, tool(properties(5000))],
    ['calls', Array.from({ length: 31 }, () => calls(128)), {}],
    ["a call's arguments", [calls(1, JSON.stringify(numbers))], {}],
    ['text', [{ role: 'user', content: '\n'.repeat(100_000) }], {}],
    ["a variable's entries", hi, { variables: { tone: numbers } }],
  ];
  it.each(longOnes)('does not have many: %s', async (_, messages, options) => {
    expect(isShort(messages, options)).toBe(false);
    expect(await patient.render(json, messages, options)).toBe(json.render(messages, options));
  });

  it('is a talk of some messages with some tools', () => {
    const tools = Array.from({ length: 8 }, () => tool(properties(6)).tools![0]);
    expect(isShort([...conversation(14), calls(4)], { tools })).toBe(true);
    expect(isShort([{ role: 'user', content: 'goat '.repeat(5000) }], {})).toBe(true);
  });

  it('is found out at once, whatever holds itself', () => {
    const ring: { inner?: unknown } = {};
    ring.inner = [ring, ring];
    expect(isShort(hi, { variables: { ring } })).toBe(false);
  });
});

describe('those who wait', () => {
  it('are told at once when they give up, and the thread goes on', async () => {
    const terminate = vi.spyOn(Worker.prototype, 'terminate');
    const stop = new AbortController();
    const ended: string[] = [];
    const note = (name: string) => () => void ended.push(name);
    const slow = conversation(300);
    const given = write(squared, slow, {}, { signal: stop.signal });
    const first = write(squared, slow).then(note('first'));
    const waiting = write(plain, long, {}, { signal: stop.signal });
    given.catch(note('given'));
    waiting.catch(note('waiting'));
    await new Promise((resolve) => setImmediate(resolve));
    stop.abort(new Error('gone'));
    await expect(given).rejects.toThrow('gone');
    await expect(waiting).rejects.toThrow('gone');
    await expect(write(plain, long, {}, { signal: stop.signal })).rejects.toThrow('gone');
    await first;
    expect(ended).toEqual(['given', 'waiting', 'first']);
    expect(terminate).not.toHaveBeenCalled();
  });

  it('take turns by client', async () => {
    const ended: string[] = [];
    const ask = (client: string, name: string) => write(plain, long, {}, { client }).then(() => ended.push(name));
    await Promise.all([ask('a', 'a1'), ask('a', 'a2'), ask('a', 'a3'), ask('b', 'b1'), ask('c', 'c1')]);
    expect(ended).toEqual(['a1', 'a2', 'b1', 'c1', 'a3']);
  });

  it('are not more than may be, and no client alone is all of them', async () => {
    const small = new ChatRenderer({ waiting: 3 });
    const ask = (client: string) => small.render(plain, long, {}, { client });
    const asked = ['a', 'a', 'a', 'b'].map(ask);
    await expect(ask('a')).rejects.toThrow(QueueFull);
    await expect(ask('a')).rejects.toMatchObject({ retryAfterSeconds: 1 });
    await Promise.all(asked);
    expect(await ask('a')).toContain('message 39');
  });
});

describe('a template that takes too much', () => {
  it('time is refused, and those behind it are not', async () => {
    const hasty = new ChatRenderer({ milliseconds: 1500 });
    const late = hasty.render(endless, conversation(2000), {});
    const next = hasty.render(plain, long, {});
    await expect(late).rejects.toThrow(new RenderFailed('the chat template takes more than 1.5 seconds'));
    expect(await next).toContain('message 39');
  });

  it('memory is refused, and those behind it are not', async () => {
    const growing = templatesOf(
      '{% set ns = namespace(x=[]) %}{% for a in messages %}{% set ns.x = [ns.x, range(100000)] %}{% endfor %}',
    );
    const small = new ChatRenderer({ milliseconds: 60_000, megabytes: 32 });
    const large = small.render(growing, conversation(200), {});
    const next = small.render(plain, long, {});
    await expect(large).rejects.toThrow(new RenderFailed('the chat template takes more than 32 MB'));
    expect(await next).toContain('message 39');
  });
});
