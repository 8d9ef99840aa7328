// gpt-oss: every message of an answer names its channel, and reasoning is that of analysis.

import type { ReasoningForm } from './form.js';

export const harmonyAnalysis: ReasoningForm = {
  name: 'harmony-analysis',
  open: '<|start|>assistant',
  close: '<|channel|>final<|message|>',
  closeBeforeCalls: '<|end|>',
  ending: '<|end|><|start|>assistant<|channel|>final<|message|>',
  inDialect: true,
  recognises: ({ template }) => template.includes('<|channel|>analysis<|message|>'),
};
