// The reader of an answer that streams: what it is made of, and how its events come out.

export type ToolEvent =
  | { type: 'text'; text: string }
  | { type: 'reasoning'; text: string }
  | { type: 'call'; index: number; id: string; name: string }
  | { type: 'arguments'; index: number; text: string };

/** How an answer ended: the model's own way, or cut off by a limit or a stop string. */
export interface AnswerEnd {
  cut: boolean;
}

/** Reads one answer. */
export interface AnswerReader {
  push(text: string, token?: number): ToolEvent[];
  /** Without saying how, the model ended the answer itself. */
  end(how?: AnswerEnd): ToolEvent[];
  /** Whether the answer was calls, whole and with JSON objects as arguments. */
  readonly complete: boolean;
  /** Tokens of reasoning so far. */
  readonly reasoningTokens: number;
}
