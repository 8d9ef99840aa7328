// Hunyuan A13B and Apriel: one JSON list of calls in tags.

import { listedObjects } from '../listed-objects.js';
import { type Dialect, writesCallsAs } from './dialect.js';

export const taggedList: Dialect = {
  name: 'tagged-list',
  ...listedObjects({ open: '<tool_calls>', close: '</tool_calls>' }),
  recognises: writesCallsAs(/<tool_calls>\s*\[\{"name": ?"probe_function"/),
};
