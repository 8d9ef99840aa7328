// Rows of every form as tokens and labels. The tokenizer here is a small one of whole words, so that the expected ids
// can be written down.
import { describe, expect, it } from 'vitest';
import { Tokenizer } from '../../lib/text/tokenizer.js';
import { encodeRow, learned } from '../../lib/train/rows.js';

const words = ['<s>', '</s>', '<unk>', 'U', 'A', 'S', 'hi', 'hello', 'you', 'how', 'are', 'fine', 'T', 'ok'];
const template =
  "{{ bos_token }}{% if tools %}T {% endif %}{% for m in messages %}{% if m.role == 'wizard' %}{{ raise_exception('no wizards') }}{% endif %}{{ {'user':'U','assistant':'A','system':'S'}[m.role] }} " +
  "{{ m.content }} {% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}A {% endif %}";

function wordTokenizer(addBos = true): Tokenizer {
  return new Tokenizer({
    json: {
      model: { type: 'WordLevel', vocab: Object.fromEntries(words.map((word, id) => [word, id])), unk_token: '<unk>' },
      added_tokens: [0, 1].map((id) => ({ id, content: words[id]!, special: true })),
      pre_tokenizer: { type: 'WhitespaceSplit' } as never,
    },
    config: { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>', add_bos_token: addBos, add_eos_token: false },
    templates: new Map([['default', template]]),
    source: 'test',
  });
}

const tokenizer = wordTokenizer();
const options = { tokenizer, vocabSize: words.length, seqLength: 64 };
const encode = (row: unknown, more: Partial<typeof options> = {}) => {
  const { example, truncated, warning } = encodeRow(row, 'rows.jsonl:3', { ...options, ...more });
  return { ids: [...example.ids], labels: [...example.labels], truncated, warning };
};
const fails = (row: unknown, message: RegExp | string, more: Record<string, unknown> = {}) =>
  expect(() => encodeRow(row, 'rows.jsonl:3', { ...options, ...more })).toThrow(message);

describe('encodeRow', () => {
  it('learns the assistant of a chat only, the end of its turn included', () => {
    const messages = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'hello' },
      { role: 'user', content: 'how are you' },
      { role: 'assistant', content: 'fine' },
    ];
    const { ids, labels } = encode({ messages });
    expect(ids).toEqual([0, 3, 6, 4, 7, 1, 3, 9, 10, 8, 4, 11, 1]);
    expect(labels).toEqual([-100, -100, -100, -100, 7, 1, -100, -100, -100, -100, -100, 11, 1]);
  });

  it('leaves messages of weight 0 out, and hands tools to the template', () => {
    const messages = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'hello', weight: 0 },
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'ok', weight: 1 },
    ];
    const { ids, labels } = encode({ messages, tools: [{ type: 'function', function: { name: 'f' } }] });
    expect(ids.slice(0, 2)).toEqual([0, 12]);
    expect(labels.filter((label) => label >= 0)).toEqual([13, 1]);
  });

  it('learns the completion of a prompt, and how to end', () => {
    expect(encode({ prompt: 'how are you', completion: ' fine' })).toMatchObject({
      ids: [0, 9, 10, 8, 11, 1],
      labels: [-100, -100, -100, -100, 11, 1],
    });
    // Where the border is inside a word, prompt and completion are encoded apart.
    expect(encode({ prompt: 'how are y', completion: 'ou fine' }).labels.slice(0, 4)).toEqual([-100, -100, -100, -100]);
  });

  it('learns the completion of a list of messages, not the assistant in its prompt', () => {
    const row = {
      prompt: [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'hello' },
        { role: 'user', content: 'how' },
      ],
      completion: [{ role: 'assistant', content: 'fine' }],
    };
    expect(encode(row).labels.filter((label) => label >= 0)).toEqual([11, 1]);
  });

  it('learns all of a text, with the special tokens once', () => {
    expect(encode({ text: 'hi you' })).toMatchObject({ ids: [0, 6, 8, 1], labels: [0, 6, 8, 1] });
    expect(encode({ text: '<s> hi you </s>' }).ids).toEqual([0, 6, 8, 1]);
    expect(encode({ text: 'hi you' }, { tokenizer: wordTokenizer(false) }).ids).toEqual([6, 8, 1]);
  });

  it('reads only as much of a very long text as it needs', () => {
    const text = 'hi how are you '.repeat(200_000);
    const began = performance.now();
    const { ids, truncated } = encode({ text });
    expect(performance.now() - began).toBeLessThan(300);
    expect(ids).toHaveLength(64);
    expect(truncated).toBe(true);
    expect(ids).toEqual(encode({ text: text.slice(0, 400) }).ids);
  });

  it('takes tokens as they are, and drops padding', () => {
    expect(encode({ input_ids: [3, 4, 5], labels: [-100, 4, 5] })).toMatchObject({
      ids: [3, 4, 5],
      labels: [-100, 4, 5],
    });
    expect(encode({ input_ids: Int32Array.of(3, 4) }).labels).toEqual([3, 4]);
    const padded = { input_ids: [0, 0, 3, 4], labels: [-100, -100, 3, 4], attention_mask: [0, 0, 1, 1] };
    expect(encode(padded, { tokenizer: undefined as never })).toMatchObject({ ids: [3, 4], labels: [3, 4] });
  });

  it('cuts long rows, and counts what is left to learn', () => {
    const { example, truncated } = encodeRow({ input_ids: [3, 4, 5, 6] }, 'x', { ...options, seqLength: 3 });
    expect([...example.ids]).toEqual([3, 4, 5]);
    expect(truncated).toBe(true);
    expect(learned(example)).toBe(2);
    expect(learned({ ids: Int32Array.of(1, 2), labels: Int32Array.of(1, -100) })).toBe(0);
    expect(learned({ ids: Int32Array.of(1), labels: Int32Array.of(1) })).toBe(0);
  });

  it('names the line and the field of a mistake', () => {
    fails([], /^rows\.jsonl:3: a row must be an object, got an empty list$/);
    fails('text', /a row must be an object, got "text"/);
    fails({ question: 'a', answer: 'b' }, /must have 'messages'.*got 'question', 'answer'$/);
    fails({}, /got no fields$/);
    fails({ messages: [] }, /'messages' must be a list of messages, got an empty list/);
    fails({ messages: [{ content: 'a' }] }, /'messages\[0\]\.role' must be a string, got nothing/);
    fails({ messages: ['a'] }, /'messages\[0\]' must be an object/);
    fails({ messages: [{ role: 'user', content: 5 }] }, /'messages\[0\]\.content' must be a string/);
    fails({ messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }, /only text can be trained on/);
    fails(
      { messages: [{ role: 'assistant', content: 'a', weight: 0.5 }] },
      /'messages\[0\]\.weight' must be 0 or 1, got 0\.5/,
    );
    fails({ messages: [{ role: 'user', content: 'a' }], tools: {} }, /'tools' must be a list/);
    fails({ prompt: 'a' }, /must have a 'prompt'|must have a 'completion'/);
    fails({ completion: 'a' }, /must have a 'prompt'/);
    fails({ prompt: 'a', completion: [{ role: 'assistant', content: 'b' }] }, /both be strings or both lists/);
    fails({ text: null }, /'text' must be a string, got null/);
    fails({ input_ids: 'abc' }, /'input_ids' must be a list of integers/);
    fails({ input_ids: [1, 2.5] }, /'input_ids\[1\]' must be an integer, got 2\.5/);
    fails({ input_ids: [1, 2], labels: [1] }, /of one length, got 2 and 1/);
    fails({ input_ids: [1, 99] }, /token 1 is 99, outside the model's vocabulary of 14/);
    fails({ input_ids: [1, 2], labels: [1, -1] }, /label 1 is -1, neither -100/);
    fails({ text: 'hi' }, /this model has no tokenizer/, { tokenizer: undefined });
    fails({ messages: [{ role: 'wizard', content: 'a' }] }, /^rows\.jsonl:3: chat template: no wizards/);
  });
});
