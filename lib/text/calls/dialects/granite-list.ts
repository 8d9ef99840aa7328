// Granite 3: one JSON list of calls behind a control token. Its template writes no calls of earlier turns, so they become
// text of their message.

import { callObject, callsAsText } from '../history.js';
import { listedObjects } from '../listed-objects.js';
import { type Dialect, writesCalls, writesCallsAs } from './dialect.js';

const open = '<|tool_call|>';

export const graniteList: Dialect = {
  name: 'granite-list',
  ...listedObjects({ open, also: ['<tool_call>'] }),
  recognises: (model) =>
    writesCallsAs(/<\|tool_call\|> ?\[\{"name": ?"probe_function"/)(model) ||
    (model.shown && model.writesTag(open) && model.writesTag('<|start_of_role|>')),
  messages: (messages, _, model) =>
    writesCalls(model) ? messages : callsAsText(messages, (calls) => `${open}[${calls.map(callObject).join(', ')}]`),
};
