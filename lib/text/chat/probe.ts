// What a model's chat template makes of a conversation, to learn what it takes: which forms it writes, and which it drops.

import { type ChatMessage, TemplateError, type TemplateOptions } from '../template.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';

/** The conversation as the template writes it; empty where it refuses the conversation, or there is no template. */
export function probed(tokenizer: Tokenizer, messages: readonly ChatMessage[], options: TemplateOptions = {}): string {
  try {
    return tokenizer.applyChatTemplate(messages, options);
  } catch (error) {
    if (error instanceof TemplateError) return '';
    throw error;
  }
}

/** `find` with its result kept for each tokenizer. */
export function perTokenizer<T>(find: (tokenizer: Tokenizer) => T): (tokenizer: Tokenizer) => T {
  const known = new WeakMap<Tokenizer, { found: T }>();
  return (tokenizer) => {
    const kept = known.get(tokenizer) ?? { found: find(tokenizer) };
    known.set(tokenizer, kept);
    return kept.found;
  };
}
