// Embeddings of texts: the mean of the final hidden states, of length 1.
import { noGrad } from '../autograd.js';
import type { Adapter } from '../lora/adapter.js';
import { type Decoder, packed } from '../models/decoder.js';
import { mean } from '../ops/reduce.js';
import { slice } from '../ops/view.js';
import { scope } from '../scope.js';

/** A text that waits for its embedding. */
export interface Embedding {
  ids: readonly number[];
  adapter: Adapter | undefined;
  signal: AbortSignal | undefined;
  resolve: (embedding: Float32Array) => void;
  reject: (error: unknown) => void;
}

/** Embeds texts that share an adapter in one pass. Each is settled; this resolves after the last. */
export async function embedTogether(decoder: Decoder, texts: readonly Embedding[]): Promise<void> {
  const wanted = texts.filter(({ signal, reject }) => {
    if (signal?.aborted) reject(signal.reason);
    return !signal?.aborted;
  });
  if (wanted.length === 0) return;
  try {
    const batch = wanted.map(({ ids }) => ids);
    const { reads } = scope(() =>
      noGrad(() => {
        const hidden = decoder.hidden(packed(batch, decoder.device), { adapter: wanted[0]!.adapter });
        let end = 0;
        const reads = batch.map((ids) => {
          end += ids.length;
          return mean(slice(hidden, 0, end - ids.length, end), 0).data();
        });
        return { reads };
      }),
    );
    const settled = await Promise.allSettled(reads);
    for (const [i, result] of settled.entries()) {
      if (result.status === 'rejected') wanted[i]!.reject(result.reason);
      else wanted[i]!.resolve(normalized(result.value as Float32Array));
    }
  } catch (error) {
    for (const { reject } of wanted) reject(error);
  }
}

function normalized(x: Float32Array): Float32Array {
  let squares = 0;
  for (const value of x) squares += value * value;
  const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
  return x.map((value) => value * scale);
}
