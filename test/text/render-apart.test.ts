// Long conversations are written on another thread: the same text, a free event loop, and an end to what takes too long.
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { renderChat } from '../../lib/text/render-apart.js';
import { type ChatMessage, ChatTemplates } from '../../lib/text/template.js';

const templatesOf = (source: string): ChatTemplates =>
  new ChatTemplates(new Map([['default', source]]), { bos_token: '<s>' });
const plain = templatesOf(
  '{{ bos_token }}{% for message in messages %}{{ message.role }}: {{ message.content | trim }}\n{% endfor %}{{ tone }}',
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

describe('a long conversation', () => {
  it('gives the text that it gives at once, whatever came before', async () => {
    const options = { variables: { tone: 'kind' }, addGenerationPrompt: true };
    for (const length of [3, 33, 500]) {
      const messages = conversation(length);
      const texts = await Promise.all(
        [plain, squared, plain].map((templates) => renderChat(templates, messages, options)),
      );
      expect(texts[0]).toBe(plain.render(messages, options));
      expect(texts).toEqual([texts[0], 'done', texts[0]]);
    }
  });

  it('leaves the event loop to others', async () => {
    let worst = 0;
    let last = performance.now();
    const timer = setInterval(() => {
      worst = Math.max(worst, performance.now() - last);
      last = performance.now();
    }, 2);
    const started = performance.now();
    expect(await renderChat(squared, conversation(400), {})).toBe('done');
    const took = performance.now() - started;
    clearInterval(timer);
    expect(took).toBeGreaterThan(300);
    expect(worst).toBeLessThan(took / 2);
  });

  it('tells what the template says, and goes on with the next', async () => {
    const refusing = templatesOf("{{ raise_exception('roles must alternate') }}");
    await expect(renderChat(refusing, conversation(40), {})).rejects.toThrow('chat template: roles must alternate');
    await expect(renderChat(templatesOf('{% for %}'), conversation(40), {})).rejects.toThrow('chat template: ');
    await expect(renderChat(plain, conversation(40), { variables: { messages: [] } })).rejects.toThrow(
      'the variable "messages" cannot be given',
    );
    expect(await renderChat(plain, conversation(40), {})).toContain('message 39');
  });

  it('is given up with its signal, and those behind it are not', async () => {
    const stop = new AbortController();
    const given = renderChat(endless, conversation(2000), {}, stop.signal);
    const waiting = renderChat(plain, conversation(40), {}, stop.signal);
    const next = renderChat(plain, conversation(40), {});
    await pause(100);
    stop.abort(new Error('gone'));
    await expect(given).rejects.toThrow('gone');
    await expect(waiting).rejects.toThrow('gone');
    expect(await next).toContain('message 39');
  });

  it('that takes too long or too much memory is refused, and those behind it are not', async () => {
    const huge = templatesOf(
      '{% set ns = namespace(x="xxxxxxxx") %}{% for a in messages %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}',
    );
    const late = renderChat(endless, conversation(2000), {});
    const large = renderChat(huge, conversation(60), {});
    const next = renderChat(plain, conversation(40), {});
    await expect(late).rejects.toThrow('chat template: takes more than 5 seconds');
    await expect(large).rejects.toThrow(/^chat template: /);
    expect(await next).toContain('message 39');
  });
});
