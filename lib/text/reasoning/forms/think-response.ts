// Granite 3.3 and ERNIE 4.5 Thinking: <think> tags, and the answer in <response> tags.

import type { ReasoningForm } from './form.js';

export const thinkResponse: ReasoningForm = {
  name: 'think-response',
  open: '<think>',
  close: '</think>',
  answer: { open: '<response>', close: '</response>' },
  recognises: ({ template, hasToken }) =>
    template.includes('<response></response>') || (hasToken('<response>') && hasToken('</think>')),
};
