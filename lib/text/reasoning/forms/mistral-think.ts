// Magistral and Ministral 3 Reasoning: control tokens.

import type { ReasoningForm } from './form.js';

export const mistralThink: ReasoningForm = {
  name: 'mistral-think',
  open: '[THINK]',
  close: '[/THINK]',
  recognises: ({ template, hasToken }) => template.includes('[THINK]') || hasToken('[THINK]'),
};
