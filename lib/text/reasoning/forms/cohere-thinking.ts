// Command R7B and Command A Reasoning: control tokens around the reasoning and around the answer.

import type { ReasoningForm } from './form.js';

export const cohereThinking: ReasoningForm = {
  name: 'cohere-thinking',
  open: '<|START_THINKING|>',
  close: '<|END_THINKING|>',
  answer: { open: '<|START_RESPONSE|>', close: '<|END_RESPONSE|>' },
  recognises: ({ template, hasToken }) => hasToken('<|START_THINKING|>') || template.includes('<|START_THINKING|>'),
};
