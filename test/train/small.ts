// What the tests of training share: a very small model of random weights, and rows that it can learn.
import { device } from '../../lib/core/device.js';
import { decoderConfig } from '../../lib/models/architectures/index.js';
import type { Decoder } from '../../lib/models/decoder.js';
import { randomDecoder } from '../../lib/models/load.js';
import type { TokenRow } from '../../lib/train/data/rows.js';
import { mix } from '../../lib/train/random.js';
import { testDevice } from '../device.js';

export const vocabSize = 64;

/** Two layers, 32 wide, f32. The same seed gives the same weights. */
export function smallDecoder(sizes: { hidden?: number; layers?: number; seed?: number } = {}): Decoder {
  const config = decoderConfig('small', {
    model_type: 'llama',
    vocab_size: vocabSize,
    hidden_size: sizes.hidden ?? 32,
    intermediate_size: 2 * (sizes.hidden ?? 32),
    num_hidden_layers: sizes.layers ?? 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 256,
    tie_word_embeddings: true,
  });
  return randomDecoder(config, { device: device(testDevice), dtype: 'f32', seed: sizes.seed ?? 1, deviation: 0.1 });
}

/** Rows of various lengths whose tokens follow a rule: each is the last one plus a step of the row's own. */
export function ruleRows(count: number, longest = 24): TokenRow[] {
  return Array.from({ length: count }, (_, i) => {
    const length = 4 + (mix(i, 1) % (longest - 3));
    const step = 1 + (mix(i, 2) % 3);
    const first = mix(i, 3) % vocabSize;
    return { input_ids: Array.from({ length }, (_, t) => (first + step * t) % vocabSize) };
  });
}
