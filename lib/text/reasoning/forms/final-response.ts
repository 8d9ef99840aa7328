// Apriel: an English sentence begins the reasoning, in the prompt, and a line in brackets begins the answer.

import type { ReasoningForm } from './form.js';

export const finalResponse: ReasoningForm = {
  name: 'final-response',
  open: 'Here are my reasoning steps:\n',
  close: '[BEGIN FINAL RESPONSE]',
  answer: { open: '', close: '[END FINAL RESPONSE]' },
  recognises: ({ template }) => template.includes('[BEGIN FINAL RESPONSE]'),
};
