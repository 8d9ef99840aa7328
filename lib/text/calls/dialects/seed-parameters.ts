// Seed-OSS: parameters in tags, values within the line.

import { taggedParameters } from '../tagged-parameters.js';
import { type Dialect, writesCallsAs } from './dialect.js';

export const seedParameters: Dialect = {
  name: 'seed-parameters',
  ...taggedParameters({
    open: '<seed:tool_call>',
    close: '</seed:tool_call>',
    callOpen: '<function=',
    nameEnd: '>',
    callClose: '</function>',
    keyOpen: '<parameter=',
    keyEnd: '>',
    valueClose: '</parameter>',
  }),
  recognises: writesCallsAs(/<seed:tool_call>\s*<function=probe_function>/),
};
