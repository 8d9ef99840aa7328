// LFM2: a list of calls as Python writes them, in control tokens. The template of LFM2 writes no calls of earlier turns, so
// they become text of their message; that of LFM2.5 does.

import { callsAsText } from '../history.js';
import { listedObjects } from '../listed-objects.js';
import { pythonCall, pythonCalls, pythonText } from '../python-call.js';
import { type Dialect, writesCalls, writesCallsAs } from './dialect.js';

const open = '<|tool_call_start|>';
const close = '<|tool_call_end|>';

export const pythonList: Dialect = {
  name: 'python-list',
  ...listedObjects({ open, close, call: pythonCall, calls: pythonCalls }),
  recognises: (model) =>
    writesCallsAs(/<\|tool_call_start\|> ?\[probe_function\(/)(model) ||
    (model.shown && (model.writesTag('<|tool_list_start|>') || model.tokenizer.tokenToId(open) !== undefined)),
  messages: (messages, _, model) =>
    writesCalls(model)
      ? messages
      : callsAsText(messages, (calls) => `${open}[${calls.map(pythonText).join(', ')}]${close}`),
};
