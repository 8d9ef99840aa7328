// GLM-4.5 to 4.7: a call's name, then keys and values in tags, with line feeds between them until 4.6.

import { taggedParameters } from '../tagged-parameters.js';
import { type Dialect, probe, writesCallsAs } from './dialect.js';

export const glmArguments: Dialect = {
  name: 'glm-arguments',
  ...taggedParameters(
    {
      open: '<tool_call>',
      close: '</tool_call>',
      callOpen: '',
      nameEnd: '',
      callClose: '</tool_call>',
      keyOpen: '<arg_key>',
      keyEnd: '</arg_key>',
      valueOpen: '<arg_value>',
      valueClose: '</arg_value>',
    },
    ({ called }) => (called.includes(`<tool_call>${probe.function.name}<arg_key>`) ? '' : '\n'),
  ),
  recognises: writesCallsAs(/<tool_call>probe_function\s*<arg_key>/),
};
