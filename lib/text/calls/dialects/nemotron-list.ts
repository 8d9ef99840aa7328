// Nemotron Nano v2: one JSON list of calls in tags.

import { listedObjects } from '../listed-objects.js';
import { type Dialect, writesCallsAs } from './dialect.js';

export const nemotronList: Dialect = {
  name: 'nemotron-list',
  ...listedObjects({ open: '<TOOLCALL>', close: '</TOOLCALL>' }),
  recognises: writesCallsAs(/<TOOLCALL>\s*\[\{"name": ?"probe_function"/),
};
