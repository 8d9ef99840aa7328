// JSON of answers that may be large, written in pieces, each in a turn of the event loop of its own.
import type { Context } from 'hono';
import { ownTurn } from '../../flow/pause.js';

// Characters: about a millisecond where they are log probabilities.
const pieceLength = 1 << 15;

/** A list whose entries are made when they are written. */
export const listOf = <T>(entries: () => Generator<T, void, void>): Iterable<T> => ({ [Symbol.iterator]: entries });

/**
 * `JSON.stringify(value)` piece by piece. An iterable that is no array is a list of entries that are small: each is
 * written at once.
 */
export function* jsonPieces(value: unknown): Generator<string, void, void> {
  let text = '';
  for (const token of tokens(value)) {
    text += token;
    if (text.length < pieceLength) continue;
    yield text;
    text = '';
  }
  if (text !== '') yield text;
}

function* tokens(value: unknown): Generator<string, void, void> {
  if (typeof value !== 'object' || value === null) yield JSON.stringify(value) ?? 'null';
  else if (Symbol.iterator in value) {
    const isSmall = !Array.isArray(value);
    let before = '[';
    for (const entry of value as Iterable<unknown>) {
      if (isSmall) yield before + JSON.stringify(entry);
      else {
        yield before;
        yield* tokens(entry);
      }
      before = ',';
    }
    yield before === '[' ? '[]' : ']';
  } else {
    let before = '{';
    for (const [name, field] of Object.entries(value)) {
      if (field === undefined) continue;
      yield `${before}${JSON.stringify(name)}:`;
      yield* tokens(field);
      before = ',';
    }
    yield before === '{' ? '{}' : '}';
  }
}

/** An answer with `value` as JSON: of known length where it is one piece, else a stream. */
export function jsonAnswer(c: Context, value: object, headers: Readonly<Record<string, string>> = {}): Response {
  const pieces = jsonPieces(value);
  const first = pieces.next();
  const second = pieces.next();
  const all = { 'content-type': 'application/json', ...headers };
  if (first.done || second.done) return c.body(first.value ?? '', 200, all);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(first.value + second.value));
    },
    async pull(controller) {
      await ownTurn();
      const { done, value: piece } = pieces.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(piece));
    },
    cancel() {
      pieces.return();
    },
  });
  return c.body(body, 200, all);
}
