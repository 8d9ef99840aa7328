// Log probabilities on the wire: chat's form, and the older one of completions.
import type { Piece } from '../../text/generate.js';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js';

export interface ChatLogprob {
  token: string;
  logprob: number;
  bytes: number[] | null;
}

export interface ChatTokenLogprob extends ChatLogprob {
  top_logprobs: ChatLogprob[];
}

/** Undefined where the piece carries none. */
export function chatLogprob(tokenizer: Tokenizer, piece: Piece): ChatTokenLogprob | undefined {
  if (piece.logprob === undefined) return undefined;
  const entry = (token: number, logprob: number): ChatLogprob => ({
    token: tokenText(tokenizer, token),
    logprob: finite(logprob),
    bytes: [...tokenizer.tokenBytes(token)],
  });
  return {
    ...entry(piece.token, piece.logprob),
    top_logprobs: (piece.top ?? []).map(({ token, logprob }) => entry(token, logprob)),
  };
}

export interface CompletionLogprobs {
  tokens: string[];
  token_logprobs: (number | null)[];
  top_logprobs: (Record<string, number> | null)[];
  text_offset: number[];
}

/** `offset` is where the text of these pieces begins in the choice's whole text; before them comes what has none. */
export function completionLogprobs(
  tokenizer: Tokenizer | undefined,
  pieces: readonly Piece[],
  offset: number,
  first?: Piece,
): CompletionLogprobs {
  const result: CompletionLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  const name = (token: number): string => (tokenizer ? tokenText(tokenizer, token) : `token_id:${token}`);
  if (first) {
    result.tokens.push(name(first.token));
    result.token_logprobs.push(null);
    result.top_logprobs.push(null);
    result.text_offset.push(offset);
    offset += first.text.length;
  }
  for (const { text, token, logprob, top } of pieces) {
    if (logprob !== undefined) {
      result.tokens.push(name(token));
      result.token_logprobs.push(finite(logprob));
      result.top_logprobs.push(
        Object.fromEntries([{ token, logprob }, ...(top ?? [])].map((one) => [name(one.token), finite(one.logprob)])),
      );
      result.text_offset.push(offset);
    }
    offset += text.length;
  }
  return result;
}

/** Those of a text in parts, one after the other. */
export function joined(parts: readonly CompletionLogprobs[]): CompletionLogprobs {
  return {
    tokens: parts.flatMap(({ tokens }) => tokens),
    token_logprobs: parts.flatMap(({ token_logprobs }) => token_logprobs),
    top_logprobs: parts.flatMap(({ top_logprobs }) => top_logprobs),
    text_offset: parts.flatMap(({ text_offset }) => text_offset),
  };
}

/** A part of a character is shown as vLLM and OpenAI show it, by its bytes. */
function tokenText(tokenizer: Tokenizer, token: number): string {
  const bytes = tokenizer.tokenBytes(token);
  if (bytes.length === 0) return tokenizer.idToToken(token) ?? '';
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
  }
}

// JSON has no infinity. OpenAI writes this for what is out of the question.
const finite = (logprob: number): number => Math.max(logprob, -9999);
