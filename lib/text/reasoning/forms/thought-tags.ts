// EXAONE Deep: <thought> tags.

import type { ReasoningForm } from './form.js';

export const thoughtTags: ReasoningForm = {
  name: 'thought-tags',
  open: '<thought>',
  close: '</thought>',
  recognises: ({ template }) => template.includes('</thought>'),
};
