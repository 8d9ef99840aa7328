// Hermes 2 and 3, Qwen 2.5 and 3, QwQ, Granite 4 and others: a JSON object in tags for each call.

import { taggedObjects } from '../tagged-objects.js';
import { type Dialect, writesCallsAs } from './dialect.js';

export const hermes: Dialect = {
  name: 'hermes',
  ...taggedObjects('<tool_call>', '</tool_call>'),
  recognises: writesCallsAs(/<tool_call>\s*\{\s*"name": ?"probe_function"/),
};
