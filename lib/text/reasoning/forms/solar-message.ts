// Solar Open: the reasoning is a message of its own before the answer's.

import type { ReasoningForm } from './form.js';

export const solarMessage: ReasoningForm = {
  name: 'solar-message',
  open: '<|think|>',
  close: '<|end|>',
  answer: { open: '<|begin|>assistant<|content|>', close: '<|end|>' },
  ending: '<|end|><|begin|>assistant<|content|>',
  recognises: ({ template }) => template.includes('<|begin|>assistant<|think|>'),
};
