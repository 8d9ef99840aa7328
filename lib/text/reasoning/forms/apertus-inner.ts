// Apertus: inner text between control tokens.

import type { ReasoningForm } from './form.js';

export const apertusInner: ReasoningForm = {
  name: 'apertus-inner',
  open: '<|inner_prefix|>',
  close: '<|inner_suffix|>',
  recognises: ({ template }) => template.includes('<|inner_prefix|>'),
};
