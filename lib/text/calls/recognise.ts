// Which dialect a model writes its calls in: seen from what its chat template makes of a call, and from its vocabulary.

import { perTokenizer, probed } from '../chat/probe.js';
import type { ChatMessage } from '../template.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import { type Dialect, type ModelFacts, probe } from './dialects/dialect.js';
import { dialects } from './dialects/index.js';

export interface Recognised {
  dialect: Dialect;
  model: ModelFacts;
  /** For each of the dialect's marks its control token, where the vocabulary has one. */
  controls: readonly (number | undefined)[];
}

export const recognised = perTokenizer((tokenizer): Recognised => {
  const model = factsOf(tokenizer);
  // The catalogue's last takes every model.
  const dialect = dialects.find((one) => one.recognises(model))!;
  return { dialect, model, controls: controlsOf(tokenizer, dialect.marks) };
});

function controlsOf(tokenizer: Tokenizer, marks: readonly string[]): (number | undefined)[] {
  return marks.map((mark) => {
    const id = tokenizer.tokenToId(mark);
    return id !== undefined && tokenizer.specialIds.has(id) ? id : undefined;
  });
}

/** The dialect's marks by their control tokens. */
export function marksOf({ dialect, controls }: Recognised): Map<number, string> {
  const marks = new Map<number, string>();
  for (const [index, token] of controls.entries()) if (token !== undefined) marks.set(token, dialect.marks[index]!);
  return marks;
}

const question: ChatMessage = { role: 'user', content: 'q' };
const call: ChatMessage = {
  role: 'assistant',
  content: '',
  tool_calls: [
    { id: 'abcdefghi', type: 'function', function: { name: probe.function.name, arguments: { probe_argument: 'x' } } },
  ],
};

function factsOf(tokenizer: Tokenizer): ModelFacts {
  const tools = [probe];
  return {
    called: probed(tokenizer, [question, call], { tools }),
    shown: probed(tokenizer, [question], { tools, addGenerationPrompt: true }).includes(probe.function.name),
    system: probed(tokenizer, [{ role: 'system', content: 'probe_system' }, question]).includes('probe_system'),
    writesTag: (text) => tokenizer.templateTexts.some((template) => template.includes(text)),
    tokenizer,
  };
}
