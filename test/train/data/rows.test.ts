// Rows of every form as tokens and labels. The tokenizer here is a small one of whole words, so that the expected ids
// can be written down.
import { describe, expect, it, vi } from 'vitest';
import { Tokenizer } from '../../../lib/text/tokenizer/tokenizer.js';
import { type EncodeOptions, encodeRow, learned } from '../../../lib/train/data/rows.js';
import { processed } from '../../processor-time.js';

const words = ['<s>', '</s>', '<unk>', 'U', 'A', 'S', 'hi', 'hello', 'you', 'how', 'are', 'fine', 'T', 'ok'];
const template =
  "{{ bos_token }}{% if tools %}T {% endif %}{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}{{ {'user':'U','assistant':'A','system':'S'}[m.role] }} " +
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
/** How many characters the tokenizer reads while `work` runs. */
async function charactersRead(work: () => Promise<unknown>): Promise<number> {
  const spy = vi.spyOn(tokenizer, 'encode');
  await work();
  const read = spy.mock.calls.reduce((sum, [text]) => sum + text.length, 0);
  spy.mockRestore();
  return read;
}
const encode = async (row: unknown, more: Partial<EncodeOptions> = {}) => {
  const { example, truncated, warning } = await encodeRow(row, 'rows.jsonl:3', { ...options, ...more });
  return { ids: [...example.ids], labels: [...example.labels], truncated, warning };
};
const fails = (row: unknown, message: RegExp | string, more: Record<string, unknown> = {}) =>
  expect(encodeRow(row, 'rows.jsonl:3', { ...options, ...more })).rejects.toThrow(message);

describe('encodeRow', () => {
  it('learns the assistant of a chat only, the end of its turn included', async () => {
    const messages = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'hello' },
      { role: 'user', content: 'how are you' },
      { role: 'assistant', content: 'fine' },
    ];
    const { ids, labels } = await encode({ messages });
    expect(ids).toEqual([0, 3, 6, 4, 7, 1, 3, 9, 10, 8, 4, 11, 1]);
    expect(labels).toEqual([-100, -100, -100, -100, 7, 1, -100, -100, -100, -100, -100, 11, 1]);
  });

  it('leaves messages of weight 0 out, and hands tools to the template', async () => {
    const messages = [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'hello', weight: 0 },
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'ok', weight: 1 },
    ];
    const { ids, labels } = await encode({ messages, tools: [{ type: 'function', function: { name: 'f' } }] });
    expect(ids.slice(0, 2)).toEqual([0, 12]);
    expect(labels.filter((label) => label >= 0)).toEqual([13, 1]);
  });

  it('learns the completion of a prompt, and how to end', async () => {
    expect(await encode({ prompt: 'how are you', completion: ' fine' })).toMatchObject({
      ids: [0, 9, 10, 8, 11, 1],
      labels: [-100, -100, -100, -100, 11, 1],
    });
    // Where the border is inside a word, prompt and completion are encoded apart.
    expect((await encode({ prompt: 'how are y', completion: 'ou fine' })).labels.slice(0, 4)).toEqual([
      -100, -100, -100, -100,
    ]);
  });

  it('learns the completion of a list of messages, not the assistant in its prompt', async () => {
    const row = {
      prompt: [
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'hello' },
        { role: 'user', content: 'how' },
      ],
      completion: [{ role: 'assistant', content: 'fine' }],
    };
    expect((await encode(row)).labels.filter((label) => label >= 0)).toEqual([11, 1]);
  });

  it('learns all of a text, with the special tokens once', async () => {
    expect(await encode({ text: 'hi you' })).toMatchObject({ ids: [0, 6, 8, 1], labels: [0, 6, 8, 1] });
    expect((await encode({ text: '<s> hi you </s>' })).ids).toEqual([0, 6, 8, 1]);
    expect((await encode({ text: 'hi you' }, { tokenizer: wordTokenizer(false) })).ids).toEqual([6, 8, 1]);
  });

  it('reads only as much of a very long text as it needs', async () => {
    const text = 'hi how are you '.repeat(200_000);
    expect(await charactersRead(() => encode({ text }))).toBeLessThan(10_000);
    const { ids, truncated } = await encode({ text });
    expect(ids).toHaveLength(64);
    expect(truncated).toBe(true);
    expect(ids).toEqual((await encode({ text: text.slice(0, 400) })).ids);
  });

  it('reads a long conversation, or a long message, in short stretches and no further than it needs', async () => {
    const turn = (n: number) => [
      { role: 'user', content: n % 2 === 0 ? 'how are you' : 'hi' },
      { role: 'assistant', content: n % 3 === 0 ? 'fine' : 'ok', ...(n === 5 ? { weight: 0 } : {}) },
    ];
    const messages = [{ role: 'system', content: 'you' }, ...Array.from({ length: 500 }, (_, n) => turn(n)).flat()];
    let [latest, worst] = [processed(), 0];
    let pauses = 0;
    const pause = async () => {
      pauses++;
      worst = Math.max(worst, processed() - latest);
      await new Promise((resolve) => setImmediate(resolve));
      latest = processed();
    };
    const began = processed();
    const whole = await encode({ messages }, { seqLength: 10_000, pause });
    expect(pauses).toBeGreaterThan(messages.length);
    // The longest is the template's, which writes the whole text.
    expect(worst).toBeLessThan((processed() - began) / 2);
    const text = tokenizer.applyChatTemplate(messages);
    const read = await charactersRead(() => encode({ messages }, { seqLength: 10_000 }));
    expect(read).toBeLessThan(4 * text.length);
    const expected = Array.from({ length: 500 }, (_, n) => (n === 5 ? [] : [n % 3 === 0 ? 11 : 13, 1])).flat();
    expect(whole.labels.filter((label) => label >= 0)).toEqual(expected);
    const start = await encode({ messages });
    expect(start).toMatchObject({ truncated: true, ids: whole.ids.slice(0, 64), labels: whole.labels.slice(0, 64) });

    const long = { messages: [{ role: 'user', content: 'hi how are you '.repeat(200_000) }, ...turn(0)] };
    expect(await charactersRead(() => encode(long))).toBeLessThan(10_000);
    expect((await encode(long)).ids.slice(0, 4)).toEqual([0, 3, 6, 9]);
    const stopped = new Error('stopped');
    await expect(encode({ messages }, { pause: () => Promise.reject(stopped) })).rejects.toBe(stopped);
  });

  it('takes tokens as they are, and drops padding', async () => {
    expect(await encode({ input_ids: [3, 4, 5], labels: [-100, 4, 5] })).toMatchObject({
      ids: [3, 4, 5],
      labels: [-100, 4, 5],
    });
    expect((await encode({ input_ids: Int32Array.of(3, 4) })).labels).toEqual([3, 4]);
    const padded = { input_ids: [0, 0, 3, 4], labels: [-100, -100, 3, 4], attention_mask: [0, 0, 1, 1] };
    expect(await encode(padded, { tokenizer: undefined as never })).toMatchObject({ ids: [3, 4], labels: [3, 4] });
  });

  it('cuts long rows, and counts what is left to learn', async () => {
    const { example, truncated } = await encodeRow({ input_ids: [3, 4, 5, 6] }, 'x', { ...options, seqLength: 3 });
    expect([...example.ids]).toEqual([3, 4, 5]);
    expect(truncated).toBe(true);
    expect(learned(example)).toBe(2);
    expect(learned({ ids: Int32Array.of(1, 2), labels: Int32Array.of(1, -100) })).toBe(0);
    expect(learned({ ids: Int32Array.of(1), labels: Int32Array.of(1) })).toBe(0);
  });

  it('leaves out a row that is well-formed and cannot be learned, and says why', async () => {
    const answer = (more: object) => [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'ok', ...more },
    ];
    const call = { type: 'function', function: { name: 'how', arguments: '{}' } };
    for (const [row, warning] of [
      [{ messages: [{ role: 'tool', content: 'none' }] }, 'chat template: no tools'],
      [
        { messages: answer({ content: '', tool_calls: [call] }) },
        /template: it does not write the call of the tool 'how'/,
      ],
      [{ messages: answer({ content: 'ok \ud83c' }) }, /'messages' holds half of a surrogate pair/],
      [{ prompt: 'hi', completion: '\udf00 ok' }, /'completion' holds half of a surrogate pair/],
      [{ text: 'hi \ud83c hi' }, /'text' holds half of a surrogate pair/],
    ] as const) {
      expect(await encode(row)).toEqual({
        ids: [],
        labels: [],
        truncated: false,
        warning: expect.stringMatching(warning),
      });
    }
    expect((await encode({ text: 'hi \ud83c\udf00' })).ids).toHaveLength(4);
  });

  it('names the line and the field of a mistake', async () => {
    await fails([], /^rows\.jsonl:3: a row must be an object, got an empty list$/);
    await fails('text', /a row must be an object, got "text"/);
    await fails({ question: 'a', answer: 'b' }, /must have 'messages'.*got 'question', 'answer'$/);
    await fails({}, /got no fields$/);
    await fails({ messages: [] }, /'messages' must be a list of messages, got an empty list/);
    await fails({ messages: [{ content: 'a' }] }, /'messages\[0\]\.role' must be a string, got nothing/);
    await fails({ messages: ['a'] }, /'messages\[0\]' must be an object/);
    await fails({ messages: [{ role: 'user', content: 5 }] }, /'messages\[0\]\.content' must be a string/);
    await fails({ messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }, /only text can be trained on/);
    await fails(
      { messages: [{ role: 'assistant', content: 'a', weight: 0.5 }] },
      /'messages\[0\]\.weight' must be 0 or 1, got 0\.5/,
    );
    await fails({ messages: [{ role: 'user', content: 'a' }], tools: {} }, /'tools' must be a list/);
    await fails({ prompt: 'a' }, /must have a 'prompt'|must have a 'completion'/);
    await fails({ completion: 'a' }, /must have a 'prompt'/);
    await fails({ prompt: 'a', completion: [{ role: 'assistant', content: 'b' }] }, /both be strings or both lists/);
    await fails({ text: null }, /'text' must be a string, got null/);
    await fails({ input_ids: 'abc' }, /'input_ids' must be a list of integers/);
    await fails({ input_ids: [1, 2.5] }, /'input_ids\[1\]' must be an integer, got 2\.5/);
    await fails({ input_ids: [1, 2], labels: [1] }, /of one length, got 2 and 1/);
    await fails({ input_ids: [1, 99] }, /token 1 is 99, outside the model's vocabulary of 14/);
    await fails({ input_ids: [1, 2], labels: [1, -1] }, /label 1 is -1, neither -100/);
    await fails({ text: 'hi' }, /this model has no tokenizer/, { tokenizer: undefined });
    const assistant = (more: object) => ({
      messages: [
        { role: 'user', content: 'a' },
        { role: 'assistant', ...more },
      ],
    });
    await fails(assistant({}), /'messages\[1\]' must have 'content' or 'tool_calls'/);
    await fails(assistant({ content: null, tool_calls: [] }), /'messages\[1\]' must have 'content' or 'tool_calls'/);
    await fails(
      assistant({ tool_calls: ['f'] }),
      /'messages\[1\]\.tool_calls\[0\]' must be an object with a 'function'/,
    );
    await fails(
      assistant({ tool_calls: [{ function: { name: 5 } }] }),
      /tool_calls\[0\]\.function\.name' must be a string/,
    );
    await fails(
      assistant({ tool_calls: [{ function: { name: 'f', arguments: 5 } }] }),
      /tool_calls\[0\]\.function\.arguments' must be JSON in a string, got 5/,
    );
    await fails(
      { ...assistant({ content: 'b' }), tools: [{ type: 'function' }] },
      /'tools\[0\]' must be an object with/,
    );
    await fails({ messages: Array(2000).fill({ role: 'user', content: 'a' }) }, /at most 1024 messages, got 2000/);
    await fails(
      { messages: [{ role: 'wizard', content: 'a' }] },
      /^rows\.jsonl:3: 'messages\[0\]\.role' must be one of system, .*, got "wizard"/,
    );
  });
});
