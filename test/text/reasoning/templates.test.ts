// Reasoning as the chat templates of real models have it: form, beginning of the answer, switches, earlier reasoning, and
// system messages behind the first turn.
import { expect, it } from 'vitest';
import { planAnswer } from '../../../lib/text/calls/tools.js';
import { withReasoning } from '../../../lib/text/reasoning/history.js';
import { reasoningOf } from '../../../lib/text/reasoning/recognise.js';
import type { ReasoningOptions } from '../../../lib/text/reasoning/switches.js';
import type { ChatMessage } from '../../../lib/text/template.js';
import { withTemplate } from '../calls/models.js';
import { dataText, describeWithData } from '../data.js';

const model = (path: string) => withTemplate(dataText(`chat-templates/${path}.jinja`));
const question: ChatMessage = { role: 'user', content: 'Hi.' };

async function rendered(path: string, messages: readonly ChatMessage[], reasoning: ReasoningOptions = {}) {
  const tokenizer = model(path);
  const plan = await planAnswer(tokenizer, [0], { reasoning });
  return tokenizer.applyChatTemplate(plan.messages(messages), { addGenerationPrompt: true, variables: plan.variables });
}

describeWithData('templates of real models', () => {
  // Where an answer begins by default, without and with reasoning.
  it.each([
    ['llamacpp/Qwen-Qwen3-0.6B', 'think-tags', 'undecided', 'behind', 'undecided'],
    ['llamacpp/Qwen3.5-4B', 'think-tags', 'inside', 'behind', 'inside'],
    ['trl/qwen3_5_nothink', 'think-tags', 'behind', 'behind', 'inside'],
    ['llamacpp/deepseek-ai-DeepSeek-V3.1', 'think-tags', 'behind', 'behind', 'inside'],
    ['llamacpp/deepseek-ai-DeepSeek-R1-Distill-Llama-8B', 'think-tags', 'inside', 'inside', 'inside'],
    ['llamacpp/GLM-4.6', 'think-tags', 'undecided', 'behind', 'undecided'],
    ['llamacpp/GLM-4.7-Flash', 'think-tags', 'inside', 'behind', 'inside'],
    ['llamacpp/MiniMax-M2', 'think-tags', 'inside', 'inside', 'inside'],
    ['llamacpp/HuggingFaceTB-SmolLM3-3B', 'think-tags', 'undecided', 'behind', 'undecided'],
    ['llamacpp/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16', 'think-tags', 'inside', 'behind', 'inside'],
    ['llamacpp/ByteDance-Seed-OSS', 'seed-think', 'undecided', 'behind', 'undecided'],
    ['llamacpp/google-gemma-4-31B-it', 'gemma-channel', 'behind', 'behind', 'undecided'],
    ['llamacpp/CohereForAI-c4ai-command-r7b-12-2024-tool_use', 'cohere-thinking', 'behind', 'behind', 'undecided'],
    ['llamacpp/mistralai-Ministral-3-14B-Reasoning-2512', 'mistral-think', 'undecided', 'undecided', 'undecided'],
    ['llamacpp/ibm-granite-granite-3.3-2B-Instruct', 'think-response', 'undecided', 'undecided', 'undecided'],
    ['llamacpp/openai-gpt-oss-120b', 'harmony-analysis', 'inside', 'inside', 'inside'],
    ['llamacpp/upstage-Solar-Open-100B', 'solar-message', 'undecided', 'undecided', 'undecided'],
    ['llamacpp/Apriel-1.6-15b-Thinker-fixed', 'final-response', 'inside', 'inside', 'inside'],
    ['llamacpp/Apertus-8B-Instruct', 'apertus-inner', 'undecided', 'undecided', 'undecided'],
  ])('%s reasons as %s', async (path, form, usual, off, on) => {
    const markup = reasoningOf(model(path))!;
    expect(markup.form.name).toBe(form);
    expect(markup.start(await rendered(path, [question]))).toBe(usual);
    expect(markup.start(await rendered(path, [question], { effort: 'none' }))).toBe(off);
    expect(markup.start(await rendered(path, [question], { effort: 'high' }))).toBe(on);
  });

  it.each(['llamacpp/Qwen-Qwen2.5-7B-Instruct', 'trl/qwen3_instruct_2507', 'trl/gemma3', 'trl/llama3_2', 'trl/phi3'])(
    '%s does not reason',
    (path) => expect(reasoningOf(model(path))).toBeUndefined(),
  );

  it('effort and budgets have the words of each template', async () => {
    const of = async (path: string, reasoning: ReasoningOptions) =>
      (await planAnswer(model(path), [0], { reasoning })).variables;
    expect(await of('llamacpp/openai-gpt-oss-120b', { effort: 'xhigh' })).toMatchObject({ reasoning_effort: 'high' });
    expect(await of('llamacpp/openai-gpt-oss-120b', { effort: 'none' })).toMatchObject({ reasoning_effort: 'low' });
    expect(await of('llamacpp/ByteDance-Seed-OSS', { budget: 3000 })).toMatchObject({ thinking_budget: 2048 });
    expect(await of('llamacpp/Qwen-Qwen3-0.6B', { enabled: false })).toEqual({ enable_thinking: false });
    expect(await of('llamacpp/Qwen-Qwen2.5-7B-Instruct', { effort: 'high', budget: 5 })).toEqual({});
    expect(await rendered('llamacpp/openai-gpt-oss-120b', [question], { effort: 'high' })).toContain('Reasoning: high');
  });

  it.each([
    ['llamacpp/Qwen-Qwen3-0.6B', 'reasoning_content'],
    ['llamacpp/GLM-4.6', 'reasoning_content'],
    ['llamacpp/MiniMax-M2', 'reasoning_content'],
    ['llamacpp/openai-gpt-oss-120b', 'thinking'],
    ['llamacpp/LFM2.5-8B-A1B', 'thinking'],
    ['llamacpp/upstage-Solar-Open-100B', 'reasoning'],
  ])('%s reads earlier reasoning as %s', (path, key) => {
    const [message] = withReasoning(model(path), [{ role: 'assistant', content: 'a', reasoning_content: 'why' }]);
    expect(message).toEqual({ role: 'assistant', content: 'a', [key]: 'why' });
  });

  it('a template without a key for reasoning has it as a part, in the text, or not at all', () => {
    const given: ChatMessage[] = [{ role: 'assistant', content: 'a', reasoning_content: 'why' }];
    const [parts] = withReasoning(model('llamacpp/mistralai-Ministral-3-14B-Reasoning-2512'), given);
    expect(parts!.content).toEqual([
      { type: 'thinking', thinking: 'why' },
      { type: 'text', text: 'a' },
    ]);
    const [text] = withReasoning(model('llamacpp/HuggingFaceTB-SmolLM3-3B'), given);
    expect(text!.content).toBe('<think>\nwhy\n</think>\na');
    const [dropped] = withReasoning(model('trl/llama3_2'), given);
    expect(dropped).toEqual({ role: 'assistant', content: 'a' });
  });

  it.each([
    'llamacpp/Qwen3.5-4B',
    'llamacpp/mistralai-Ministral-3-14B-Reasoning-2512',
    'llamacpp/mistralai-Mistral-Nemo-Instruct-2407',
    'llamacpp/openai-gpt-oss-120b',
    'llamacpp/MiniMax-M2',
    'llamacpp/HuggingFaceTB-SmolLM3-3B',
    'trl/cohere2',
    'trl/qwen3_vl',
    'trl/qwen2_5',
  ])('%s is shown every system message, wherever it stands', async (path) => {
    const system = (content: string): ChatMessage => ({ role: 'system', content });
    const text = await rendered(path, [
      system('first_rule'),
      system('second_rule'),
      question,
      system('third_rule'),
      { role: 'assistant', content: 'a' },
      system('fourth_rule'),
      question,
      system('fifth_rule'),
    ]);
    for (const rule of ['first', 'second', 'third', 'fourth', 'fifth']) expect(text).toContain(`${rule}_rule`);
  });
});
