// Log probabilities of a prompt's own tokens, each after those before it: what `echo` with `logprobs` asks for, as
// evaluation harnesses do. One pass over the prompt beside the engine; logits are made and read a few rows at a time.
import { noGrad } from '../autograd.js';
import { readLogprobs } from '../engine/logits.js';
import { packed } from '../models/decoder.js';
import { logSoftmax } from '../ops/softmax.js';
import { slice } from '../ops/view.js';
import { scope } from '../scope.js';
import { tensor } from '../tensor.js';
import type { Piece } from '../text/generate.js';
import type { Resolved } from './context.js';
import { type CompletionLogprobs, completionLogprobs } from './logprobs.js';
import { nextTurn } from './turn.js';

// Logits that are there at a time: four megabytes.
const mostLogits = 2 ** 20;

/** Of the first token nothing is known: null. */
export async function promptLogprobs(
  { model, adapter }: Resolved,
  ids: readonly number[],
  top: number,
  signal: AbortSignal,
): Promise<CompletionLogprobs> {
  const { decoder, hasTokenizer } = model;
  const tokenizer = hasTokenizer ? model.tokenizer : undefined;
  const stream = tokenizer?.stream();
  const text = (id: number): string => stream?.push(id) ?? '';
  const first = { token: ids[0]!, text: text(ids[0]!) };
  const pieces: Piece[] = [];
  const rows = Math.max(1, Math.floor(mostLogits / decoder.config.vocabSize));
  const hidden = scope(() => noGrad(() => decoder.hidden(packed([ids], decoder.device), { adapter })));
  try {
    for (let from = 0; from < ids.length - 1; from += rows) {
      signal.throwIfAborted();
      const to = Math.min(from + rows, ids.length - 1);
      const next = ids.slice(from + 1, to + 1);
      const reads = scope(() =>
        noGrad(() => {
          const logprobs = logSoftmax(decoder.logits(slice(hidden, 0, from, to)));
          const own = tensor(Int32Array.from(next), { device: decoder.device });
          const counts = next.map(() => top);
          return { read: Promise.all(readLogprobs(logprobs, own, counts)) };
        }),
      );
      for (const [row, logprobs] of (await reads.read).entries()) {
        const token = next[row]!;
        pieces.push({ token, text: text(token), ...logprobs });
      }
      await nextTurn();
    }
  } finally {
    hidden.dispose();
  }
  return completionLogprobs(tokenizer, pieces, 0, first);
}
