// Seed-OSS: tags of its own; notes on the budget that is left stand within the reasoning.

import type { ReasoningForm } from './form.js';

export const seedThink: ReasoningForm = {
  name: 'seed-think',
  open: '<seed:think>',
  close: '</seed:think>',
  recognises: ({ template, hasToken }) => template.includes('seed:think') || hasToken('<seed:think>'),
};
