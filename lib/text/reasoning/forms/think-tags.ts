// Qwen 3, DeepSeek R1 and V3.1, GLM-4.5, Nemotron, MiniMax M2, Kimi K2 Thinking, SmolLM3 and most others: <think> tags.

import type { ReasoningForm } from './form.js';

const open = '<think>';
const close = '</think>';

export const thinkTags: ReasoningForm = {
  name: 'think-tags',
  open,
  close,
  recognises: ({ template, hasToken }) => template.includes(close) || (hasToken(open) && hasToken(close)),
};
