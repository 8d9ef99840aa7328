// Qwen3.5 and 3.6, dense (text): three layers of four are Gated DeltaNet, the fourth is attention with an output gate and
// a rope on a part of each head.
import { z } from 'zod';
import { gatedMlp } from '../../../parts/mlp.js';
import { architecture, denseSchema } from '../../architecture.js';
import { deltaDecoder, deltaSchema, ggufDelta } from '../../recurrent.js';

export const qwen35 = architecture({
  types: ['qwen3_5_text'],
  gguf: { name: 'qwen35', config: ggufDelta },
  schema: z.looseObject({ ...denseSchema.shape, ...deltaSchema.shape }),
  decoder: (file, json) =>
    deltaDecoder(file, json, {
      byHead: false,
      mlp: (layer) =>
        gatedMlp(layer, {
          hiddenSize: json.hidden_size,
          intermediateSize: json.intermediate_size,
          activation: 'silu',
        }),
    }),
});
