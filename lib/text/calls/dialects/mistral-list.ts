// Mistral until 2024 (v3 and v7 of its tokenizer, and Nemo): one JSON list of calls.

import { withShortIds } from '../history.js';
import { listedObjects } from '../listed-objects.js';
import { type Dialect, writesCallsAs } from './dialect.js';

export const mistralList: Dialect = {
  name: 'mistral-list',
  ...listedObjects({ open: '[TOOL_CALLS]' }),
  recognises: writesCallsAs(/\[TOOL_CALLS\] ?\[\{[^[]*"probe_function"/),
  messages: withShortIds,
};
