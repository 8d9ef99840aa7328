// Which tokens of a chat are trained on: recorded labels, weights, and templates that rewrite what came before.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { ChatMessage } from '../../../lib/text/template.js';
import { Tokenizer } from '../../../lib/text/tokenizer/tokenizer.js';
import { labelChat, maskedIds, tokenPlaces } from '../../../lib/train/data/chat-labels.js';
import { dataPath, dataText, describeWithData, folderTokenizer, smollm2 } from '../../text/data.js';

const chat: ChatMessage[] = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'Hi' },
  { role: 'assistant', content: 'Hello 👩‍👩‍👧‍👦!' },
  { role: 'user', content: 'Why?' },
  { role: 'assistant', content: ' Because.\n' },
];

/** The trained tokens as text, one string per run. */
function trained(tokenizer: Tokenizer, { ids, mask }: { ids: number[]; mask: boolean[] }): string[] {
  const runs: number[][] = [];
  ids.forEach((id, index) => {
    if (!mask[index]) return;
    if (!mask[index - 1]) runs.push([]);
    runs.at(-1)!.push(id);
  });
  return runs.map((run) => tokenizer.decode(run, { skipSpecialTokens: false, continues: true }));
}

/** Int64 tensors of a safetensors file. */
function integers(path: string): Record<string, number[]> {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, { data_offsets?: number[] }>;
  const tensors: Record<string, number[]> = {};
  for (const [name, { data_offsets: offsets }] of Object.entries(header)) {
    if (!offsets) continue;
    const data = bytes.subarray(8 + length + offsets[0]!, 8 + length + offsets[1]!);
    tensors[name] = Array.from({ length: data.length / 8 }, (_, index) => Number(data.readBigInt64LE(index * 8)));
  }
  return tensors;
}

describeWithData('labelChat with real tokenizers', () => {
  it("gives the recorded ids and labels of SmolLM2's fine-tuning", async () => {
    const { tokenizer } = smollm2();
    const lora = 'smollm2-135m-instruct/lora';
    const { rows } = JSON.parse(dataText(`${lora}/expected.json`)) as { rows: number[] };
    const { input_ids: allIds, labels: allLabels } = integers(dataPath(`${lora}/batches.safetensors`));
    const lines = dataText('gsm8k/train.jsonl').split('\n');
    expect(rows).toHaveLength(48);
    for (const [index, row] of rows.entries()) {
      const { question, answer } = JSON.parse(lines[row]!) as { question: string; answer: string };
      const messages = [
        { role: 'user', content: question },
        { role: 'assistant', content: answer },
      ];
      const { ids, mask, warning } = await labelChat(tokenizer, messages);
      expect(warning).toBeUndefined();
      const expected = allIds!.slice(index * 128, index * 128 + 128);
      const labels = allLabels!.slice(index * 128, index * 128 + 128);
      const count = Math.min(ids.length, 128);
      expect(ids.slice(0, count)).toEqual(expected.slice(0, count));
      const own = ids.slice(0, count).map((id, at) => (mask[at] ? id : -100));
      expect(own).toEqual(labels.slice(0, count));
    }
  });

  it("marks the assistant's words and the ends of its turns", async () => {
    const { tokenizer } = smollm2();
    const rendered = await labelChat(tokenizer, chat);
    expect(rendered.warning).toBeUndefined();
    expect(rendered.ids).toEqual(tokenizer.encode(tokenizer.applyChatTemplate(chat), { addSpecialTokens: false }));
    expect(trained(tokenizer, rendered)).toEqual(['Hello 👩‍👩‍👧‍👦!<|im_end|>', ' Because.\n<|im_end|>']);
  });

  it('leaves out messages of weight 0', async () => {
    const { tokenizer } = smollm2();
    const weighted = chat.map((message, index) =>
      index === 2 ? { ...message, weight: 0 } : { ...message, weight: 1 },
    );
    expect(trained(tokenizer, await labelChat(tokenizer, weighted))).toEqual([' Because.\n<|im_end|>']);
    const none = weighted.map((message) => ({ ...message, weight: 0 }));
    expect((await labelChat(tokenizer, none)).mask).not.toContain(true);
    expect((await labelChat(tokenizer, chat.slice(0, 2))).mask).not.toContain(true);
  });

  it('unrolls a chat whose template drops the thinking of earlier turns', async () => {
    const tokenizer = await folderTokenizer('tokenizer-qwen3');
    const thinking = chat.map((message) =>
      message.role === 'assistant'
        ? { ...message, content: `<think>\nhm\n</think>\n\n${String(message.content)}` }
        : message,
    );
    const rendered = await labelChat(tokenizer, thinking);
    expect(rendered.warning).toBeUndefined();
    const pieces = [rendered, ...rendered.others!];
    expect(pieces.map((piece) => trained(tokenizer, piece))).toEqual([
      ['<think>\nhm\n</think>\n\nHello 👩‍👩‍👧‍👦!<|im_end|>'],
      ['<think>\nhm\n</think>\n\n Because.\n<|im_end|>'],
    ]);
  });

  it('trains on calls of tools, not on their results', async () => {
    const tokenizer = await folderTokenizer('tokenizer-qwen3');
    const call = { id: '1', type: 'function', function: { name: 'f', arguments: '{"a": 1}' } };
    const messages: ChatMessage[] = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: '', tool_calls: [call] },
      { role: 'tool', content: 'result', tool_call_id: '1' },
      { role: 'assistant', content: 'Done.' },
    ];
    const tools = [{ type: 'function', function: { name: 'f' } }];
    const { others, ...first } = await labelChat(tokenizer, messages, { tools });
    const runs = [first, ...others!].flatMap((piece) => trained(tokenizer, piece));
    expect(runs).toHaveLength(2);
    expect(runs[0]).toContain('{"name": "f", "arguments": {"a": 1}}\n</tool_call><|im_end|>');
    expect(runs.join('|')).toContain('Done.<|im_end|>');
    expect(runs.join('|')).not.toContain('result');
  });

  it('needs no more than the turn before in front of each of many', async () => {
    const tokenizer = await folderTokenizer('tokenizer-gpt2');
    const call = { id: '1', type: 'function', function: { name: 'f', arguments: '{"a": 1}' } };
    const agent: ChatMessage[] = [
      { role: 'user', content: 'Count.' },
      ...Array.from({ length: 40 }, (_, n): ChatMessage[] => [
        { role: 'assistant', content: `Step ${n}.`, tool_calls: [call] },
        { role: 'tool', content: `result ${n}`, tool_call_id: '1' },
      ]).flat(),
      { role: 'assistant', content: 'Done.' },
    ];
    const talk = Array.from({ length: 40 }, (_, n): ChatMessage[] => [
      { role: 'user', content: `Question ${n}?` },
      { role: 'assistant', content: `Answer ${n}.` },
    ]).flat();
    for (const [name, messages, turns] of [
      ['qwen2_5', agent, 41],
      ['qwen2_5', talk, 40],
      ['llama3_1', talk, 40],
      ['gemma', talk, 40],
    ] as const) {
      const chatTemplate = dataText(`chat-templates/trl/${name}.jinja`);
      const render = vi.spyOn(tokenizer, 'applyChatTemplate');
      const rendered = await labelChat(tokenizer, messages, { chatTemplate });
      const messagesWritten = render.mock.calls.reduce((sum, [part]) => sum + part.length, 0);
      render.mockRestore();
      expect(messagesWritten, name).toBeLessThan(30 * messages.length);
      const runs = trained(tokenizer, rendered);
      expect(runs).toHaveLength(turns);
      messages
        .filter(({ role }) => role === 'assistant')
        .forEach(({ content }, n) => expect(runs[n]).toContain(content));
      expect(runs.join('')).not.toMatch(/result|Question/);
    }
  });

  for (const name of ['llama3_1', 'gemma', 'phi3', 'deepseekv3', 'gptoss', 'qwen2_5', 'glm4moe', 'cohere']) {
    it(`finds both turns with the template ${name}`, async () => {
      const tokenizer = await folderTokenizer('tokenizer-gpt2');
      const chatTemplate = dataText(`chat-templates/trl/${name}.jinja`);
      const [, ...plain] = chat;
      const rendered = await labelChat(tokenizer, plain, { chatTemplate });
      expect(rendered.warning).toBeUndefined();
      const runs = [rendered, ...(rendered.others ?? [])].flatMap((piece) => trained(tokenizer, piece));
      expect(runs).toHaveLength(2);
      expect(runs[1]).toContain('Because.');
      expect(runs.join('')).not.toContain('Why?');
      expect(runs[0]).toContain('Hello 👩‍👩‍👧‍👦!');
    });
  }

  it('works where words run across the borders, with SentencePiece too', async () => {
    const chatTemplate =
      "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}" +
      '{% if add_generation_prompt %}assistant: {% endif %}';
    for (const path of ['tokenizer-gpt2', 'stories260K/hf', 'tokenizer-qwen3']) {
      const tokenizer = await folderTokenizer(path);
      const rendered = await labelChat(tokenizer, chat, { chatTemplate });
      expect(rendered.ids).toEqual(
        tokenizer.encode(tokenizer.applyChatTemplate(chat, { chatTemplate }), { addSpecialTokens: false }),
      );
      const runs = trained(tokenizer, rendered);
      expect(runs).toHaveLength(2);
      expect(runs[0]!.trimStart()).toMatch(/^Hello 👩‍👩‍👧‍👦!\n/u);
      expect(runs[1]).toMatch(/ Because\.\n/);
    }
  });

  it('finds the place of every token', async () => {
    const text = ' two  spaces, Zürich 😂\nend';
    for (const path of ['tokenizer-gpt2', 'stories260K/hf']) {
      const tokenizer = await folderTokenizer(path);
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      const places = tokenPlaces(tokenizer, text, ids)!;
      expect(places.at(-1)!.end).toBe(Buffer.byteLength(text));
      expect(places.map(({ start }) => start)).toEqual([0, ...places.slice(0, -1).map(({ end }) => end)]);
      expect(tokenPlaces(tokenizer, 'another text', ids)).toBeUndefined();
    }
  });
});

describe('labelChat with templates of its own', async () => {
  const tokenizer = (await Tokenizer.fromFolder(join(import.meta.dirname, '../../../models/helvetia-small')))!;
  const turns = (...weights: number[]): ChatMessage[] =>
    weights.flatMap((weight, n) => [
      { role: 'user', content: `Question ${n}` },
      { role: 'assistant', content: `Answer ${n}`, weight },
    ]);
  const learned = async (messages: ChatMessage[], chatTemplate: string): Promise<string[][]> => {
    const first = await labelChat(tokenizer, messages, { chatTemplate });
    expect(first.warning).toBeUndefined();
    return [first, ...(first.others ?? [])].map((piece) => trained(tokenizer, piece));
  };
  const message = "<|{{ m.role }}|>{{ m.content or '' }}<|end|>\n";
  const prompt = '{% if add_generation_prompt %}<|assistant|>{% endif %}';
  const each = (body: string, after = prompt): string => `{% for m in messages %}${body}{% endfor %}${after}`;

  it('leaves out the token that closes a finished chat', async () => {
    const closed = each(message, '{% if add_generation_prompt %}<|assistant|>{% else %}<|pad|>\n{% endif %}');
    expect(await learned(turns(1, 1, 1), closed)).toEqual([['Answer 0<|end|>', 'Answer 1<|end|>', 'Answer 2<|end|>']]);
    expect(await learned(turns(1), closed)).toEqual([['Answer 0<|end|>']]);
  });

  it('unrolls a chat whose last turn begins otherwise', async () => {
    const begun = each(
      `{% if m.role == 'assistant' and loop.last %}<|assistant|>(so){{ m.content }}<|end|>{% else %}${message}{% endif %}`,
    );
    expect(await learned(turns(1, 1), begun)).toEqual([['(so)Answer 0<|end|>'], ['(so)Answer 1<|end|>']]);
    expect(await learned(turns(1, 0), begun)).toEqual([['(so)Answer 0<|end|>']]);
    expect(await learned(turns(0, 1), begun)).toEqual([['(so)Answer 1<|end|>']]);
  });

  it('unrolls a chat whose last turn ends otherwise', async () => {
    const ended = each(
      `<|{{ m.role }}|>{{ m.content }}{% if loop.last and m.role == 'assistant' %}<|pad|>{% else %}<|end|>{% endif %}`,
    );
    expect(await learned(turns(1, 1), ended)).toEqual([['Answer 0<|pad|>'], ['Answer 1<|pad|>']]);
  });

  it('joins the turns that the template leaves as they are', async () => {
    const marked = each(
      `<|{{ m.role }}|>{% if loop.last and m.content in ['Answer 2', 'Answer 3'] %}!{% endif %}{{ m.content }}<|end|>`,
    );
    expect(await learned(turns(1, 1, 1, 1), marked)).toEqual([
      ['!Answer 2<|end|>'],
      ['Answer 0<|end|>', 'Answer 1<|end|>', '!Answer 3<|end|>'],
    ]);
  });

  it('finds an assistant that begins, behind a system message of the template', async () => {
    const greeted = each(`{% if loop.first and m.role != 'system' %}<|system|>Answer 7<|end|>\n{% endif %}${message}`);
    const chat = [{ role: 'assistant', content: 'Answer 7, please.' }, ...turns(1)];
    expect(await learned(chat, greeted)).toEqual([['Answer 7, please.<|end|>', 'Answer 0<|end|>']]);
  });

  it('refuses a call that the template does not write', async () => {
    const call = { type: 'function', function: { name: 'weigh', arguments: '{"grams": 5}' } };
    const calling = [
      { role: 'user', content: 'weigh it' },
      { role: 'assistant', content: null, tool_calls: [call] },
    ];
    await expect(labelChat(tokenizer, calling, { chatTemplate: each(message) })).rejects.toThrow(
      "chat template: it does not write the call of the tool 'weigh'",
    );
    const written = each(
      `{% for c in m.tool_calls or [] %}<|assistant|>{{ c.function.name }}<|end|>{% else %}${message}{% endfor %}`,
    );
    expect(await learned(calling, written)).toEqual([['weigh<|end|>']]);
  });
});

describe('maskedIds', () => {
  it("takes the parts' own tokens where normalization changes the text", async () => {
    const vocab = Object.fromEntries(['a', 'b', 'ab', 'é'].map((token, id) => [token, id]));
    const tokenizer = new Tokenizer({
      json: { model: { type: 'BPE', vocab, merges: ['a b'] }, normalizer: { type: 'NFC' }, decoder: { type: 'Fuse' } },
      config: {},
      templates: new Map(),
      source: 'test',
    });
    expect(await maskedIds(tokenizer, 'aab', [{ start: 1, end: 2 }])).toEqual({ ids: [0, 2], mask: [false, true] });
    expect(await maskedIds(tokenizer, 'e\u0301ab', [{ start: 3, end: 4 }])).toEqual({
      ids: [3, 0, 1],
      mask: [false, false, true],
    });
  });
});
