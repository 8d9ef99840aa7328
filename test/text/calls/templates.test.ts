// Calls through the chat templates of real models: which dialect each has, what its template is shown, and that what the
// template writes of a call is read as that call.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { recognised } from '../../../lib/text/calls/recognise.js';
import { planAnswer, type ToolDefinition } from '../../../lib/text/calls/tools.js';
import { hasShared, shared } from '../../shared.js';
import { read } from './calls.js';
import { withTemplate } from './models.js';

const tools: ToolDefinition[] = [
  {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'The weather in a city.',
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    },
  },
];

const template = (name: string): string => readFileSync(shared('chat-templates', 'llamacpp', `${name}.jinja`), 'utf8');

describe.skipIf(!hasShared('chat-templates'))('real templates', () => {
  it.each([
    ['Qwen-Qwen2.5-7B-Instruct', 'hermes'],
    ['Qwen-Qwen3-0.6B', 'hermes'],
    ['NousResearch-Hermes-3-Llama-3.1-8B-tool_use', 'hermes'],
    ['Qwen-QwQ-32B', 'hermes'],
    ['meta-llama-Llama-3.1-8B-Instruct', 'llama-json'],
    ['meta-llama-Llama-3.2-3B-Instruct', 'llama-json'],
    ['meta-llama-Llama-3.3-70B-Instruct', 'llama-json'],
    ['mistralai-Mistral-Nemo-Instruct-2407', 'mistral-list'],
    ['Mistral-Small-3.2-24B-Instruct-2506', 'mistral-named'],
    ['mistralai-Ministral-3-14B-Reasoning-2512', 'mistral-named'],
    ['unsloth-mistral-Devstral-Small-2507', 'mistral-named'],
    ['openai-gpt-oss-120b', 'harmony-calls'],
    ['google-gemma-4-31B-it', 'gemma-calls'],
    ['Qwen3-Coder', 'qwen-parameters'],
    ['Qwen3.5-4B', 'qwen-parameters'],
    ['NVIDIA-Nemotron-3-Nano-30B-A3B-BF16', 'qwen-parameters'],
    ['stepfun-ai-Step-3.5-Flash', 'qwen-parameters'],
    ['ByteDance-Seed-OSS', 'seed-parameters'],
    ['GLM-4.6', 'glm-arguments'],
    ['GLM-4.7-Flash', 'glm-arguments'],
    ['MiniMax-M2', 'minimax-invoke'],
    ['deepseek-ai-DeepSeek-V3.2', 'deepseek-markup'],
    ['moonshotai-Kimi-K2', 'kimi-sections'],
    ['NVIDIA-Nemotron-Nano-v2', 'nemotron-list'],
    ['unsloth-Apriel-1.5', 'tagged-list'],
    ['CohereForAI-c4ai-command-r7b-12-2024-tool_use', 'command-actions'],
    ['ibm-granite-granite-3.3-2B-Instruct', 'granite-list'],
    ['LFM2-8B-A1B', 'python-list'],
    ['LFM2.5-8B-A1B', 'python-list'],
  ])('%s: its own form, in and out', async (name, dialect) => {
    const tokenizer = withTemplate(template(name));
    expect(recognised(tokenizer).dialect.name).toBe(dialect);
    const plan = await planAnswer(tokenizer, [0], { tools });
    expect(plan.templateTools).toMatchObject(tools);
    const call = (id: string, city: string) => ({
      id,
      type: 'function',
      function: { name: 'get_weather', arguments: JSON.stringify({ city }) },
    });
    const messages = plan.messages([
      { role: 'user', content: 'Weather?' },
      {
        role: 'assistant',
        content: '',
        tool_calls: [call('call_aaaaaaaaaaaaaa1', 'Bern'), call('call_aaaaaaaaaaaaaa2', 'Chur')],
      },
      { role: 'tool', tool_call_id: 'call_aaaaaaaaaaaaaa1', content: 'sun' },
      { role: 'tool', tool_call_id: 'call_aaaaaaaaaaaaaa2', content: 'rain' },
    ]);
    const text = tokenizer.applyChatTemplate(messages, {
      tools: plan.templateTools ?? null,
      addGenerationPrompt: true,
    });
    for (const part of ['get_weather', 'The weather in a city.', 'Bern', 'Chur', 'sun', 'rain'])
      expect(text).toContain(part);
  });

  it.each([
    'openai-gpt-oss-120b',
    'google-gemma-4-31B-it',
    'Qwen3-Coder',
    'Qwen3.5-4B',
    'ByteDance-Seed-OSS',
    'GLM-4.6',
    'GLM-4.7-Flash',
    'MiniMax-M2',
    'deepseek-ai-DeepSeek-V3.1',
    'deepseek-ai-DeepSeek-V3.2',
    'deepseek-ai-DeepSeek-R1-Distill-Qwen-32B',
    'moonshotai-Kimi-K2',
    'NVIDIA-Nemotron-Nano-v2',
    'Qwen-Qwen3-0.6B',
    'unsloth-Apriel-1.5',
    'CohereForAI-c4ai-command-r7b-12-2024-tool_use',
    'ibm-granite-granite-3.3-2B-Instruct',
    'LFM2-8B-A1B',
    'LFM2.5-8B-A1B',
    'mistralai-Mistral-Nemo-Instruct-2407',
    'Mistral-Small-3.2-24B-Instruct-2506',
    'meta-llama-Llama-3.1-8B-Instruct',
  ])('%s: what its template writes of a call is read as that call', async (name) => {
    const tokenizer = withTemplate(template(name));
    const every = {
      type: 'object',
      properties: {
        text: { type: 'string' },
        lines: { type: 'string' },
        digits: { type: 'string' },
        count: { type: 'integer' },
        share: { type: 'number' },
        yes: { type: 'boolean' },
        tags: { type: 'array', items: { type: 'string' } },
        place: { type: 'object', properties: { city: { type: 'string' } } },
        none: { type: ['string', 'null'] },
      },
    };
    const given = {
      // LFM2.5's template does not escape quotes.
      text: name.startsWith('LFM') ? 'né: 1 < 2' : 'It\'s "so", <b>né</b>: 1 < 2',
      lines: 'one\ntwo\n\nthree',
      digits: '007',
      count: 3,
      share: 0.5,
      yes: true,
      tags: ['a', 'b, c'],
      place: { city: 'Zürich' },
      none: 'null and void',
    };
    const offered: ToolDefinition[] = [{ type: 'function', function: { name: 'do_all', parameters: every } }];
    const plan = await planAnswer(tokenizer, [0], { tools: offered });
    const call = { id: 'abcdefghi', type: 'function', function: { name: 'do_all', arguments: JSON.stringify(given) } };
    const question = { role: 'user', content: 'QUESTION' };
    const messages = plan.messages([question, { role: 'assistant', content: null, tool_calls: [call] }]);
    const whole = tokenizer.applyChatTemplate(messages, { tools: plan.templateTools ?? null });
    const answer = whole
      .slice(whole.indexOf('QUESTION') + 'QUESTION'.length)
      .replace(/^.*?assistant(<\|end_header_id\|>|(?=<\|channel| to=))/s, '');
    const reader = plan.reader();
    const { calls } = read([...reader.push(answer.trimStart()), ...reader.end()]);
    expect(calls.map((one) => one.name)).toEqual(['do_all']);
    expect(JSON.parse(calls[0]!.arguments)).toEqual(given);
  });

  it("gpt-oss's channels are reasoning, text and calls, in either order of a header", async () => {
    const marks = ['<|start|>', '<|channel|>', '<|constrain|>', '<|message|>', '<|call|>', '<|return|>'];
    const tokenizer = withTemplate(template('openai-gpt-oss-120b'), marks);
    const answered = async (text: string, offered: readonly ToolDefinition[] = []) => {
      const plan = await planAnswer(tokenizer, [0], { tools: offered });
      const reader = plan.reader({ prompt: '<|start|>assistant' });
      const stream = tokenizer.stream({ continues: true });
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      const events = [...ids.flatMap((id) => reader.push(stream.push(id), id)), ...reader.end()];
      const reasoning = events.flatMap((event) => (event.type === 'reasoning' ? [event.text] : [])).join('');
      return { ...read(events), reasoning, tokens: reader.reasoningTokens };
    };
    const thought = '<|channel|>analysis<|message|>Let me see.<|end|>';
    const final = await answered(`${thought}<|start|>assistant<|channel|>final<|message|>Yes.`);
    expect(final).toMatchObject({ reasoning: 'Let me see.', text: 'Yes.', calls: [] });
    expect(final.tokens).toBeGreaterThan(3);
    const calls = [{ name: 'get_weather', arguments: '{"city": "Bern"}' }];
    for (const header of [
      '<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>',
      '<|start|>assistant to=functions.get_weather<|channel|>commentary json<|message|>',
    ]) {
      const called = await answered(`${thought}${header}{"city": "Bern"}<|call|>`, tools);
      expect(called).toMatchObject({ reasoning: 'Let me see.', text: '', calls });
    }
    const first = ' to=functions.get_weather<|channel|>commentary json<|message|>{"city": "Bern"}<|call|>';
    expect(await answered(first, tools)).toMatchObject({ reasoning: '', text: '', calls });
    const preamble = `<|channel|>commentary<|message|>I look.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Bern"}<|call|>`;
    expect(await answered(preamble, tools)).toMatchObject({ reasoning: '', text: 'I look.', calls });
  });

  it.each(['google-gemma-2-2b-it', 'microsoft-Phi-3.5-mini-instruct', 'llama-cpp-rwkv-world'])(
    '%s: gets calls as plain text',
    async (name) => {
      const tokenizer = withTemplate(template(name));
      expect(recognised(tokenizer).dialect.name).toBe('tools-in-text');
      const plan = await planAnswer(tokenizer, [0], { tools });
      const messages = plan.messages([{ role: 'user', content: 'Weather?' }]);
      const text = tokenizer.applyChatTemplate(messages, {
        tools: plan.templateTools ?? null,
        addGenerationPrompt: true,
      });
      expect(text).toContain('get_weather');
      expect(text).toContain('Weather?');
    },
  );
});
