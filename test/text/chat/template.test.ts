// Chat templates: real ones against what transformers writes, and the rules around them.

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { strftime } from '../../../lib/text/chat/strftime.js';
import { type ChatMessage, ChatTemplates, TemplateError, type TemplateOptions } from '../../../lib/text/template.js';
import { dataPath, dataText, describeWithData, folderTokenizer } from '../data.js';

interface Rendered {
  specialTokens: Record<string, string>;
  chats: Record<string, TemplateOptions & { messages: ChatMessage[] }>;
  rendered: Record<string, Record<string, string>>;
}

const recorded = JSON.parse(readFileSync(new URL('rendered.json', import.meta.url), 'utf8')) as Rendered;

function templates(source: string, specialTokens: Record<string, string> = {}): ChatTemplates {
  return new ChatTemplates(new Map([['default', source]]), specialTokens);
}

describeWithData('templates of real models', () => {
  beforeEach(() => void vi.useFakeTimers({ now: new Date(2026, 0, 5, 14, 3, 9), toFake: ['Date'] }));
  afterEach(() => void vi.useRealTimers());

  it.each(Object.entries(recorded.rendered))('%s writes what transformers writes', (path, results) => {
    const template = templates(dataText(`chat-templates/${path}`), recorded.specialTokens);
    for (const [chat, hash] of Object.entries(results)) {
      const { messages, ...options } = recorded.chats[chat]!;
      const text = template.render(messages, options);
      expect(createHash('sha256').update(text).digest('hex').slice(0, 12), `${path}, ${chat}:\n${text}`).toBe(hash);
    }
  });

  it('all compile, and write a chat or give a reason in one sentence', () => {
    for (const folder of ['llamacpp', 'trl']) {
      for (const name of readdirSync(dataPath(`chat-templates/${folder}`)).filter((file) => file.endsWith('.jinja'))) {
        const template = templates(dataText(`chat-templates/${folder}/${name}`), recorded.specialTokens);
        try {
          expect(template.render([{ role: 'user', content: 'Hi' }], { addGenerationPrompt: true })).toContain('Hi');
        } catch (error) {
          expect(error, name).toBeInstanceOf(TemplateError);
          expect((error as Error).message, name).toMatch(/^chat template: [^\n]+$/);
        }
      }
    }
  });

  it("writes Qwen3's tools, calls and thinking", async () => {
    const tokenizer = await folderTokenizer('tokenizer-qwen3');
    const messages = [{ role: 'user', content: 'Hi' }];
    const quiet = tokenizer.applyChatTemplate(messages, {
      addGenerationPrompt: true,
      variables: { enable_thinking: false },
    });
    expect(quiet.endsWith('<|im_start|>assistant\n<think>\n\n</think>\n\n')).toBe(true);
    const call = { id: '1', type: 'function', function: { name: 'add', arguments: '{"a":1,"b":"é"}' } };
    const text = tokenizer.applyChatTemplate([...messages, { role: 'assistant', content: null, tool_calls: [call] }]);
    expect(text).toContain('<tool_call>\n{"name": "add", "arguments": {"a": 1, "b": "é"}}\n</tool_call>');
  });

  it('gives arguments as text to templates that append them', () => {
    const call = { type: 'function', function: { name: 'add', arguments: '{"a":1}' } };
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: null, tool_calls: [call] },
    ];
    const text = templates(dataText('chat-templates/trl/deepseekv3.jinja')).render(messages);
    expect(text).toContain('```json\n{"a":1}\n```');
  });
});

describe('ChatTemplates', () => {
  const user = (content: ChatMessage['content']): ChatMessage[] => [{ role: 'user', content: content ?? null }];

  it('gives templates what they count on', () => {
    const source = `{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content | trim }}
{% endfor %}{% if tools is none and documents is none %}{{ add_generation_prompt }}{{ extra }}{% endif %}`;
    const template = templates(source, { bos_token: '<s>' });
    expect(template.render(user(' hi '), { addGenerationPrompt: true, variables: { extra: '!' } })).toBe(
      '<s>user: hi\nTrue!',
    );
    expect(template.render(user('a'), { tools: [{ name: 'f' }] })).toBe('<s>user: a\n');
    expect(templates('{{ strftime_now("%Y") }}').render([])).toBe(String(new Date().getFullYear()));
    expect(templates('{% for i in range(3) %}{{ i }}{% endfor %}{{ range(1, 7, 2) | length }}').render([])).toBe(
      '0123',
    );
    expect(templates('a{% generation %}b{% endgeneration %}c').render([])).toBe('abc');
  });

  it.each(['messages', 'tools', 'add_generation_prompt', 'bos_token', 'raise_exception', 'range', 'chat_template'])(
    'can not be given another %s by variables',
    (name) => {
      const render = () => templates('{{ x }}').render(user('a'), { variables: { [name]: 'y' } });
      expect(render).toThrow(`the variable "${name}" cannot be given`);
    },
  );

  it('keeps no template that a caller brings, and makes no endless ranges', () => {
    const given = templates('own');
    given.render([]);
    for (let i = 0; i < 20; i += 1) expect(given.render([], { chatTemplate: `{{ ${i} }}` })).toBe(String(i));
    expect((given as unknown as { compiled: Map<string, unknown> }).compiled.size).toBe(1);
    expect(() => templates('{{ range(1000000000) | length }}').render([])).toThrow(/range/);
  });

  it('writes JSON as Python does', () => {
    const value = { a: [1, 2.5, true, null], b: 'é<"\n' };
    expect(templates('{{ v | tojson }}').render([], { variables: { v: value } })).toBe(
      '{"a": [1, 2.5, true, null], "b": "é<\\"\\n"}',
    );
    expect(templates('{{ v | tojson(indent=2) }}').render([], { variables: { v: { a: [1] } } })).toBe(
      '{\n  "a": [\n    1\n  ]\n}',
    );
  });

  it('strips what it is told to', () => {
    const strip = (expression: string): string =>
      templates(`[{{ ${expression} }}]`).render([], { variables: { v: '\n a-b \n' } });
    expect(strip('v.strip("\\n")')).toBe('[ a-b ]');
    expect(strip('v.lstrip("\\n ")')).toBe('[a-b \n]');
    expect(strip('v.rstrip("\\n")')).toBe('[\n a-b ]');
    expect(strip('v.strip()')).toBe('[a-b]');
    expect(strip('v.split("-")[-1].rstrip("\\n") | trim')).toBe('[b]');
    expect(strip('missing | trim')).toBe('[]');
  });

  it('reads all line ends as one', () => {
    expect(templates('{% if true %}\r\na\r\n{% endif %}\r\nb').render([])).toBe('a\nb');
  });

  it('makes parts of text the lines of one string, and keeps other parts', () => {
    const template = templates('{{ messages[0].content is string }}:{{ messages[0].content | length }}');
    expect(
      template.render(
        user([
          { type: 'text', text: 'ab' },
          { type: 'text', text: 'c' },
        ]),
      ),
    ).toBe('True:4');
    expect(template.render(user([{ type: 'image_url', image_url: { url: 'x' } }]))).toBe('False:1');
  });

  it('gives an empty text for no content only where the template fails on it', () => {
    expect(templates('{{ messages[0].content is none }}').render(user(null))).toBe('True');
    expect(templates('{{ "a" + messages[0].content }}').render(user(null))).toBe('a');
  });

  it('chooses by name', () => {
    const named = new ChatTemplates(
      new Map([
        ['default', 'd'],
        ['tool_use', 't'],
        ['rag', 'r'],
      ]),
      {},
    );
    expect(named.render([])).toBe('d');
    expect(named.render([], { tools: [] })).toBe('d');
    expect(named.render([], { tools: [{}] })).toBe('t');
    expect(named.render([], { chatTemplate: 'rag' })).toBe('r');
    expect(named.render([], { chatTemplate: '{{ 1 + 1 }}' })).toBe('2');
    expect(() => named.render([], { chatTemplate: 'none' })).toThrow(
      '"none" is not among the model\'s: default, tool_use, rag',
    );
    expect(() => new ChatTemplates(new Map(), {}).render([])).toThrow('the model has no chat template');
    expect(() => new ChatTemplates(new Map([['rag', 'r']]), {}).render([])).toThrow('choose one of rag');
  });

  it('fails in one sentence', () => {
    const failing =
      (source: string): (() => string) =>
      () =>
        templates(source).render(user('a'));
    expect(failing('{{ raise_exception("Roles must alternate") }}')).toThrow(
      new TemplateError('chat template: Roles must alternate'),
    );
    expect(failing('{% if %}')).toThrow(TemplateError);
    expect(failing('{{ "a" + nothing }}')).toThrow(TemplateError);
    expect(failing('{{ range(1, 2, 0) }}')).toThrow(TemplateError);
    const deep: unknown[] = [];
    let inner = deep;
    for (let level = 0; level < 20_000; level += 1) {
      const next: unknown[] = [];
      inner.push(next);
      inner = next;
    }
    expect(() => templates('{{ deep | tojson }}').render([], { variables: { deep } })).toThrow(TemplateError);
  });
});

describe('strftime', () => {
  it("writes Python's codes in the C locale", () => {
    const date = new Date(2026, 0, 5, 14, 3, 9);
    expect(strftime(date, '%d %b %Y, %A %B %-d %y %m %a %e')).toBe('05 Jan 2026, Monday January 5 26 01 Mon  5');
    expect(strftime(date, '%H:%M:%S %I %p %j %% %Q')).toBe('14:03:09 02 PM 005 % %Q');
    expect(strftime(new Date(2024, 11, 31, 0, 0), '%j %I %-I %-m')).toBe('366 12 12 12');
  });
});
