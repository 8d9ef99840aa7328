// Gemma 4: a channel named thought, between control tokens.

import type { ReasoningForm } from './form.js';

export const gemmaChannel: ReasoningForm = {
  name: 'gemma-channel',
  open: '<|channel>thought\n',
  close: '<channel|>',
  recognises: ({ template }) => template.includes('<|channel>thought'),
};
