// Command R7B and Command A: one JSON list of actions in control tokens.

import { sequence, text } from '../../grammar/expression.js';
import { oneOf } from '../call-grammar.js';
import { jsonCall } from '../json-call.js';
import { listedObjects } from '../listed-objects.js';
import { type Dialect, writesCallsAs } from './dialect.js';

export const commandActions: Dialect = {
  name: 'command-actions',
  ...listedObjects({
    open: '<|START_ACTION|>',
    close: '<|END_ACTION|>',
    call: (input) => jsonCall(input, undefined, { name: 'tool_name', arguments: ['parameters'] }),
    calls: (tools) =>
      oneOf(tools, (name, given) =>
        sequence(text(`{"tool_call_id": "0", "tool_name": ${JSON.stringify(name)}, "parameters": `), given, text('}')),
      ),
  }),
  recognises: writesCallsAs(/<\|START_ACTION\|>\s*\[\s*\{"tool_call_id": ?"0", "tool_name": ?"probe_function"/),
};
