// Phi-4-mini: one JSON list of calls behind a word or in control tokens. Its template writes no calls of earlier turns, so
// they become text of their message.

import { callObject, callsAsText } from '../history.js';
import { listedObjects } from '../listed-objects.js';
import { type Dialect, writesCalls, writesCallsAs } from './dialect.js';

const open = '<|tool_call|>';
const close = '<|/tool_call|>';

export const phiList: Dialect = {
  name: 'phi-list',
  ...listedObjects({ open, close, also: ['functools'] }),
  recognises: (model) =>
    writesCallsAs(/<\|tool_call\|> ?\[\{"name": ?"probe_function".*<\|\/tool_call\|>/)(model) ||
    (model.shown && model.writesTag('<|/tool|>')),
  messages: (messages, _, model) =>
    writesCalls(model)
      ? messages
      : callsAsText(messages, (calls) => `${open}[${calls.map(callObject).join(', ')}]${close}`),
};
