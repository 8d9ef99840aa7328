// Qwen3-Coder, Qwen 3.5 and 3.6, Nemotron 3, Step 3.5: parameters in tags, values on lines of their own.

import { taggedParameters } from '../tagged-parameters.js';
import { type Dialect, writesCallsAs } from './dialect.js';

export const qwenParameters: Dialect = {
  name: 'qwen-parameters',
  ...taggedParameters({
    open: '<tool_call>',
    close: '</tool_call>',
    callOpen: '<function=',
    nameEnd: '>',
    callClose: '</function>',
    keyOpen: '<parameter=',
    keyEnd: '>',
    valueClose: '</parameter>',
    lines: true,
  }),
  recognises: writesCallsAs(/<tool_call>\s*<function=probe_function>\s*<parameter=probe_argument>/),
};
