// How much a chat template is given to write, by a count that ends where it is too much for the event loop.
import type { ChatMessage, TemplateOptions } from '../template.js';

// In values, which cost two microseconds each, the JSON of tools among them. A message costs fifty, and in a few
// templates as much for each message before it.
const mostAtOnce = 2048;
const perMessage = 60;
const charactersPerValue = 32;
// A call's arguments come as JSON, whose values are no strings of their own yet.
const jsonCharactersPerValue = 4;

/** Whether any template writes these in a few milliseconds. */
export function isShort(messages: readonly ChatMessage[], { tools, variables }: TemplateOptions): boolean {
  let work = messages.length * perMessage;
  const ahead: unknown[] = [messages, tools, variables];
  while (ahead.length > 0) {
    const value = ahead.pop();
    work += typeof value === 'string' ? 1 + value.length / charactersPerValue : 1;
    if (work + ahead.length > mostAtOnce) return false;
    if (Array.isArray(value)) {
      if (value.length > mostAtOnce) return false;
      for (const entry of value) ahead.push(entry);
    } else if (typeof value === 'object' && value !== null) {
      const fields = value as Record<string, unknown>;
      for (const key in fields) {
        const field = fields[key];
        work += key.length / charactersPerValue;
        if (key === 'arguments' && typeof field === 'string') work += field.length / jsonCharactersPerValue;
        if (ahead.push(field) > mostAtOnce) return false;
      }
    }
  }
  return true;
}
