// Log probabilities on the wire: chat's form, and the older one of completions. Both are lists that are made while they are
// written: those of a long answer are many times as large as its text.
import type { Piece } from '../../text/generate.js';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js';
import { listOf } from '../http/json-pieces.js';

interface ChatLogprob {
  token: string;
  logprob: number;
  bytes: number[] | null;
}

interface ChatTokenLogprob extends ChatLogprob {
  top_logprobs: ChatLogprob[];
}

/** Those of the pieces that carry one. */
export function chatLogprobs(tokenizer: Tokenizer, pieces: readonly Piece[]): Iterable<ChatTokenLogprob> {
  const entry = (token: number, logprob: number): ChatLogprob => ({
    token: tokenText(tokenizer, token),
    logprob: finite(logprob),
    bytes: [...tokenizer.tokenBytes(token)],
  });
  return listOf(function* () {
    for (const { token, logprob, top = [] } of pieces) {
      if (logprob === undefined) continue;
      yield { ...entry(token, logprob), top_logprobs: top.map((one) => entry(one.token, one.logprob)) };
    }
  });
}

export interface CompletionLogprobs {
  tokens: Iterable<string>;
  token_logprobs: Iterable<number | null>;
  top_logprobs: Iterable<Record<string, number> | null>;
  text_offset: Iterable<number>;
}

/** A text's pieces. `first` begins it, where a prompt is echoed: of its token nothing is known. */
export interface ScoredText {
  first?: Piece | undefined;
  pieces: readonly Piece[];
}

/** `offset` is where the text begins in the choice's whole text. */
export function completionLogprobs(
  tokenizer: Tokenizer | undefined,
  { first, pieces }: ScoredText,
  offset: number,
): CompletionLogprobs {
  const name = (token: number): string => (tokenizer ? tokenText(tokenizer, token) : `token_id:${token}`);
  const listed = <T>(unknown: (first: Piece) => T, known: (piece: Known, offset: number) => T): Iterable<T> =>
    listOf(function* () {
      let at = offset + (first?.text.length ?? 0);
      if (first) yield unknown(first);
      for (const piece of pieces) {
        if (isKnown(piece)) yield known(piece, at);
        at += piece.text.length;
      }
    });
  const none = (): null => null;
  return {
    tokens: listed(
      ({ token }) => name(token),
      ({ token }) => name(token),
    ),
    token_logprobs: listed<number | null>(none, ({ logprob }) => finite(logprob)),
    top_logprobs: listed<Record<string, number> | null>(none, ({ token, logprob, top = [] }) =>
      Object.fromEntries([{ token, logprob }, ...top].map((one) => [name(one.token), finite(one.logprob)])),
    ),
    text_offset: listed(
      () => offset,
      (_, at) => at,
    ),
  };
}

type Known = Piece & { logprob: number };
const isKnown = (piece: Piece): piece is Known => piece.logprob !== undefined;

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A part of a character is shown as vLLM and OpenAI show it, by its bytes. */
function tokenText(tokenizer: Tokenizer, token: number): string {
  const bytes = tokenizer.tokenBytes(token);
  if (bytes.length === 0) return tokenizer.idToToken(token) ?? '';
  try {
    return strict.decode(bytes);
  } catch {
    return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
  }
}

// JSON has no infinity. OpenAI writes this for what is out of the question.
const finite = (logprob: number): number => Math.max(logprob, -9999);
