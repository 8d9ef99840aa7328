// Streams a generation to the terminal as it comes, and measures it.
import type { Generation } from '../model.js';
import type { Generated } from '../text/generate.js';
import { digits, plural } from './format.js';
import { type Context, styleFor } from './terminal.js';

export interface Measured extends Generated {
  /** New tokens per second after the first, which waits for the prompt; undefined below two tokens. */
  tokensPerSecond: number | undefined;
  /** Until the first token, if one came. */
  promptSeconds: number | undefined;
}

/** Reads a generation to its end; `write` gets each piece of text. */
export async function follow(generation: Generation, write: (text: string) => void): Promise<Measured> {
  const started = performance.now();
  let first: number | undefined;
  let pieces = 0;
  let last = started;
  for await (const piece of generation) {
    last = performance.now();
    first ??= last;
    pieces++;
    if (piece.text !== '') write(piece.text);
  }
  const result = await generation;
  const seconds = (last - (first ?? last)) / 1000;
  return {
    ...result,
    tokensPerSecond: seconds > 0 ? (pieces - 1) / seconds : undefined,
    promptSeconds: first === undefined ? undefined : (first - started) / 1000,
  };
}

/** The object that `--json` prints. */
export function asJson(model: string, result: Measured): string {
  const { text, tokens, finishReason, usage, tokensPerSecond, promptSeconds } = result;
  return JSON.stringify({
    model,
    text,
    tokens,
    finishReason,
    usage,
    tokensPerSecond: rounded(tokensPerSecond),
    promptSeconds: rounded(promptSeconds),
  });
}

const rounded = (value: number | undefined): number | null => (value === undefined ? null : Number(value.toFixed(4)));

/** One faint line under the text, for people only. */
export function summary(context: Context, result: Measured): void {
  const { stderr, env } = context.terminal;
  if (stderr.isTTY !== true) return;
  const { promptTokens, completionTokens } = result.usage;
  const words = [
    plural(promptTokens, 'prompt token'),
    plural(completionTokens, 'new token'),
    ...(result.tokensPerSecond !== undefined ? [`${digits(result.tokensPerSecond)} tokens/s`] : []),
    ...(result.finishReason === 'length' ? ['cut at the length limit'] : []),
  ];
  stderr.write(`${styleFor(stderr, env).dim(`[${words.join(', ')}]`)}\n`);
}
