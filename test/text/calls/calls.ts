// Calls as a client has them in the end.
import type { ToolEvent } from '../../../lib/text/calls/tools.js';

/** What a client puts together from the events. */
export function read(events: readonly ToolEvent[]): { text: string; calls: { name: string; arguments: string }[] } {
  const calls: { name: string; arguments: string }[] = [];
  let text = '';
  for (const event of events) {
    if (event.type === 'text') text += event.text;
    else if (event.type === 'call') calls[event.index] = { name: event.name, arguments: '' };
    else if (event.type === 'arguments') calls[event.index]!.arguments += event.text;
  }
  return { text, calls };
}
