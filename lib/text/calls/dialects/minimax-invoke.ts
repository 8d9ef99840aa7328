// MiniMax M2: calls as elements with attributes, several in one block.

import { taggedParameters } from '../tagged-parameters.js';
import { type Dialect, writesCallsAs } from './dialect.js';

export const minimaxInvoke: Dialect = {
  name: 'minimax-invoke',
  ...taggedParameters({
    open: '<minimax:tool_call>',
    close: '</minimax:tool_call>',
    callOpen: '<invoke name="',
    nameEnd: '">',
    callClose: '</invoke>',
    keyOpen: '<parameter name="',
    keyEnd: '">',
    valueClose: '</parameter>',
    listed: true,
  }),
  recognises: writesCallsAs(/<minimax:tool_call>\s*<invoke name="probe_function">/),
};
