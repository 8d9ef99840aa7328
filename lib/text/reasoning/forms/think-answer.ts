// Hunyuan: <think> tags, and the answer in <answer> tags.

import type { ReasoningForm } from './form.js';

export const thinkAnswer: ReasoningForm = {
  name: 'think-answer',
  open: '<think>',
  close: '</think>',
  answer: { open: '<answer>', close: '</answer>' },
  recognises: ({ template }) => template.includes('</think>') && template.includes('<answer>'),
};
