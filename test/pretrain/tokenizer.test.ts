// The tokenizer of models/helvetia-small: it is what the trainer makes, spells every text back, and the chat template
// keeps each prefix of a conversation. The demo's rows fit it.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { byteAlphabet, trainBpe } from '../../scripts/pretrain/bpe.js';
import { sampleEval, special } from '../../scripts/pretrain/corpus.js';
import { makeTokenizer, vocabSize } from '../../scripts/pretrain/tokenizer.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string) => readFileSync(root + path, 'utf8');
const json = JSON.parse(read('models/helvetia-small/tokenizer.json'));
const config = JSON.parse(read('models/helvetia-small/tokenizer_config.json'));
const model = JSON.parse(read('models/helvetia-small/config.json'));
const tokenizer = new Tokenizer(json, config);
const encode = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids;

describe('trainBpe', () => {
  it('merges the most frequent pair first and breaks ties by spelling', () => {
    const { vocab, merges } = trainBpe(['abab abab', 'cd'], 258 + 1, ['<s>']);
    expect(vocab).toHaveLength(259);
    expect(vocab[0]).toBe('<s>');
    expect(merges).toEqual([
      ['a', 'b'],
      ['ab', 'ab'],
    ]);
  });

  it('refuses sizes that it cannot reach', () => {
    expect(() => trainBpe(['ab'], 100, [])).toThrow(RangeError);
    expect(() => trainBpe(['ab'], 300, [])).toThrow('only 257 of 300');
  });

  it('spells each byte once', () => {
    expect(new Set(byteAlphabet()).size).toBe(256);
  });

  it('makes the file in the repository', () => {
    expect(makeTokenizer()).toEqual(json);
  });
});

describe('the tokenizer', () => {
  it('has the size and the special ids that config.json names', () => {
    expect(Object.keys(json.model.vocab)).toHaveLength(vocabSize);
    expect(model.vocab_size).toBe(vocabSize);
    for (const token of Object.values(special)) expect(encode(token), token).toHaveLength(1);
    expect(encode(special.begin)).toEqual([model.bos_token_id]);
    expect(encode(special.end)).toEqual([model.eos_token_id]);
    expect(encode(special.pad)).toEqual([model.pad_token_id]);
  });

  it('puts the begin token before a plain text', () => {
    expect(tokenizer.encode('Hello').ids[0]).toBe(model.bos_token_id);
  });

  it('gives every text back', () => {
    const texts = [
      'Grüezi, 你好 😀 naïve',
      '  two  spaces\n\ttabs \n',
      "don't I'll 1234",
      'rösti & café',
      ...sampleEval(100),
    ];
    for (const text of texts) {
      expect(tokenizer.decode(encode(text), { skip_special_tokens: false, clean_up_tokenization_spaces: false })).toBe(
        text,
      );
    }
  });

  it('spends few tokens on the corpus', () => {
    const text = sampleEval(200).join('');
    expect(text.length / encode(text).length).toBeGreaterThan(3.2);
  });
});

interface Message {
  role: string;
  content: string;
}

const template = new Template(config.chat_template);
const render = (messages: Message[], add_generation_prompt: boolean) =>
  template.render({ messages, add_generation_prompt, bos_token: config.bos_token, eos_token: config.eos_token });

const rows = (name: string): { messages: Message[] }[] =>
  read(`examples/data/${name}`)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('the chat template', () => {
  const talk: Message[] = [
    { role: 'system', content: 'Be kind.' },
    { role: 'user', content: 'Hello!' },
    { role: 'assistant', content: 'Good day!' },
    { role: 'user', content: 'Who is Anna?' },
    { role: 'assistant', content: 'Anna is the baker of Edelmatt.' },
  ];

  it('writes the format that the corpus has', () => {
    expect(render(talk, false)).toBe(
      '<|begin|><|system|>Be kind.<|end|><|user|>Hello!<|end|><|assistant|>Good day!<|end|>' +
        '<|user|>Who is Anna?<|end|><|assistant|>Anna is the baker of Edelmatt.<|end|>',
    );
  });

  it('keeps each prefix of a conversation', () => {
    const whole = render(talk, false);
    for (let n = 1; n < talk.length; n++) {
      expect(whole.startsWith(render(talk.slice(0, n), false))).toBe(true);
      if (talk[n]?.role === 'assistant') expect(whole.startsWith(render(talk.slice(0, n), true))).toBe(true);
    }
  });

  it('refuses a role that it does not know', () => {
    expect(() => render([{ role: 'tool', content: 'x' }], false)).toThrow('roles system, user and assistant');
  });
});

describe('the demo data', () => {
  it('is short, well formed and signed by Heidi', () => {
    const train = rows('demo.jsonl');
    expect(train.length).toBeGreaterThanOrEqual(60);
    for (const { messages } of [...train, ...rows('demo-eval.jsonl')]) {
      expect(messages.map((message) => message.role)).toEqual(['user', 'assistant']);
      expect(messages[1]?.content).toMatch(/^Grüezi from the Edelweiss Parcel Service! .* Yours, Heidi\.$/);
      expect(encode(render(messages, false)).length, messages[0]?.content).toBeLessThanOrEqual(160);
    }
  });

  it('holds out its evaluation questions', () => {
    const asked = new Set(rows('demo.jsonl').map((row) => row.messages[0]?.content));
    for (const { messages } of rows('demo-eval.jsonl')) expect(asked.has(messages[0]?.content)).toBe(false);
  });

  it('is spelled mostly in tokens of more than one byte', () => {
    const ids = rows('demo.jsonl').flatMap(({ messages }) => messages.flatMap(({ content }) => encode(content)));
    const single = ids.filter((id) => /^\p{L}$/u.test(tokenizer.id_to_token(id) ?? '')).length;
    expect(single / ids.length).toBeLessThan(0.3);
  });

  it('has rows for a larger chat model too', () => {
    const large = rows('parcel-smollm.jsonl');
    expect(large.length).toBeGreaterThanOrEqual(24);
    for (const { messages } of large) expect(messages[1]?.content).toContain('Yours, Heidi');
    const prompts = JSON.parse(read('examples/data/demo-prompts.json'));
    expect(prompts.every((prompt: unknown) => typeof prompt === 'string')).toBe(true);
  });
});
