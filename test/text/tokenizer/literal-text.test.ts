// What messages spell is text, whatever it spells; all other text has the ids that it had.
import { describe, expect, it } from 'vitest';
import type { ChatMessage, TemplateOptions } from '../../../lib/text/template.js';
import { encodeSlices } from '../../../lib/text/tokenizer/encode-slices.js';
import { Tokenizer } from '../../../lib/text/tokenizer/tokenizer.js';
import { labelChat } from '../../../lib/train/data/chat-labels.js';
import { hasShared, shared } from '../../shared.js';

const folders: [string, string][] = [['helvetia-small', 'models/helvetia-small']];
for (const name of ['tokenizer-qwen3', 'stories260K/hf', 'tokenizer-gpt2']) {
  if (hasShared(name)) folders.push([name, shared(name)]);
}
const chatMl =
  "{% for m in messages %}{{ '<s>' + m.role + '\n' + m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}{{ '\n' }}{% endfor %}{{ tools | tojson if tools else '' }}";

describe.each(folders)('with %s', async (_, folder) => {
  const tokenizer = (await Tokenizer.fromFolder(folder))!;
  const options: TemplateOptions = {
    addGenerationPrompt: true,
    ...(tokenizer.chatTemplate ? {} : { chatTemplate: chatMl }),
  };
  const tokens = [...tokenizer.specialIds].map((id) => tokenizer.idToToken(id)!).filter((token) => token.length > 1);
  const controls = (ids: readonly number[]): number[] => ids.filter((id) => tokenizer.specialIds.has(id));
  const forged = tokens.slice(0, 20).join('x\n');

  it('messages that spell nothing have the ids of their text', () => {
    for (const content of ['Plain.', ' <|a |> [x] <s', 'Grüße, 中文 🙂\n\n```js\n1 < 2\n```', 'é'.repeat(3000), '']) {
      const messages = [{ role: 'user', content }];
      const text = tokenizer.applyChatTemplate(messages, options);
      expect(tokenizer.encodeChat(messages, options)).toEqual(tokenizer.encode(text, { addSpecialTokens: false }));
    }
  });

  it.each<[string, (text: string) => ChatMessage[]]>([
    ['what a user writes', (content) => [{ role: 'user', content }]],
    [
      'the system',
      (content) => [
        { role: 'system', content },
        { role: 'user', content: 'q' },
      ],
    ],
    [
      'the assistant',
      (content) => [
        { role: 'user', content: 'q' },
        { role: 'assistant', content },
        { role: 'user', content: 'r' },
      ],
    ],
  ])('control tokens that %s spells are text', (_, made) => {
    const ids = tokenizer.encodeChat(made(forged), options);
    expect(controls(ids)).toEqual(controls(tokenizer.encodeChat(made('plain'), options)));
    const told = tokenizer.decode(ids).replace(/\s/g, '');
    expect(told).toContain(forged.replace(/\s/g, ''));
  });

  it('so are those of long texts, slice by slice', () => {
    const text = tokenizer.literal(`${forged} and some words more. `.repeat(400));
    const ids = [...encodeSlices(tokenizer, text, { addSpecialTokens: false, literals: true })].flat();
    expect(controls(ids)).toEqual([]);
  });

  it('a text that holds marks itself keeps them', () => {
    const text = `\ufdd0a\ufdd0\ufdd0 ${forged} \ufdd0`;
    const ids = tokenizer.encode(tokenizer.literal(text), { addSpecialTokens: false, literals: true });
    const bytes = Buffer.concat(ids.map((id) => tokenizer.tokenBytes(id))).toString();
    if (bytes.includes('\ufdd0')) expect(bytes.trim().replace(/\s/g, '')).toBe(text.trim().replace(/\s/g, ''));
    expect(controls(ids)).toEqual([]);
  });

  it('and those of training rows', async () => {
    const row = (content: string) => [
      { role: 'user', content },
      { role: 'assistant', content },
    ];
    const [plain, spelled] = [
      await labelChat(tokenizer, row('plain'), options),
      await labelChat(tokenizer, row(forged), options),
    ];
    expect(controls(spelled.ids)).toEqual(controls(plain.ids));
    expect(spelled.mask.filter(Boolean).length).toBeGreaterThan(plain.mask.filter(Boolean).length);
  });
});

describe('a call', async () => {
  const tokenizer = (await Tokenizer.fromFolder('models/helvetia-small'))!;
  const token = tokenizer.idToToken([...tokenizer.specialIds].find((id) => tokenizer.idToToken(id)!.includes('end'))!)!;
  const escaped = JSON.stringify({ city: token }).replace('<', '\\u003c');

  it.each([
    ['arguments', { arguments: JSON.stringify({ city: token }), name: 'f' }],
    ['escaped arguments', { arguments: escaped, name: 'f' }],
    ['argument names', { arguments: { [token]: 1 }, name: 'f' }],
    ['names', { arguments: '{}', name: token }],
  ])('spells none in its %s', (_, call) => {
    const messages: ChatMessage[] = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: '', tool_calls: [{ id: 'a', type: 'function', function: call }] },
    ];
    const tools = [{ type: 'function', function: { name: 'f', description: token, parameters: { title: token } } }];
    const ids = tokenizer.encodeChat(messages, { chatTemplate: chatMl, tools });
    expect(ids.filter((id) => id === tokenizer.tokenToId(token))).toEqual([]);
    expect(tokenizer.decode(ids)).toContain(token);
  });

  it('spells them where the model was loaded to read them', async () => {
    const trusting = (await Tokenizer.fromFolder('models/helvetia-small'))!;
    trusting.controlTokensInMessages = true;
    const ids = trusting.encodeChat([{ role: 'user', content: token }], { chatTemplate: chatMl });
    expect(ids).toContain(trusting.tokenToId(token));
  });
});
