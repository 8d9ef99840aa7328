// EXAONE 4: norms behind each branch alone, RMSNorm of each head's queries and keys. Models with windows rotate only in the
// layers that have one.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { gatedMlp } from '../../parts/mlp.js';
import {
  architecture,
  decoderOf,
  denseSchema,
  layerKinds,
  only,
  optional,
  postNorm,
  ropeOf,
  size,
  sizes,
  windowsOf,
} from '../architecture.js';

const schema = z.looseObject({
  ...denseSchema.shape,
  sliding_window: optional(size),
  sliding_window_pattern: optional(z.union([z.number().int().min(0), z.string()])),
  layer_types: optional(z.array(z.string())),
});

/** Blocks of the 32B model, whose files need not mention its windows. */
const blocksOf32B = 64;

export const exaone4 = architecture({
  types: ['exaone4'],
  gguf: {
    name: 'exaone4',
    config({ number, size, kinds }) {
      const window = number('attention.sliding_window') ?? (size('block_count') === blocksOf32B ? 4096 : 0);
      return window === 0 ? { sliding_window: null } : { sliding_window: window, layer_types: kinds(4) };
    },
  },
  schema,
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const { sliding_window: window = 4096, sliding_window_pattern: pattern } = json;
    if (typeof pattern === 'string' && !json.layer_types)
      throw new Error(`${file}: layer_types must be given where sliding_window_pattern is a text, got '${pattern}'`);
    const period = Number(pattern ?? 4);
    const kinds = layerKinds(file, json, (i) =>
      window === null || (i + 1) % period === 0 ? 'full_attention' : 'sliding_attention',
    );
    const windows = windowsOf(file, kinds, window);
    const rope = ropeOf(file, json, sized.headDim);
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 2048,
      layer: (layer, i) =>
        postNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, {
            ...sized,
            rope: window === null || kinds[i] === 'sliding_attention' ? rope : undefined,
            window: windows[i],
            headNorm: rms,
          }),
          gatedMlp(layer, { ...sized, activation: 'silu' }),
        ),
    });
  },
});
