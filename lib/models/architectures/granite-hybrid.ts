// Granite 4 without Mamba and without experts (Granite 4.0 Micro, 1B, 350M): Granite whose MLP has one projection for gate
// and up. GGUF files of such models say that they are Granite.
import { z } from 'zod';
import { gatedMlp } from '../../parts/mlp.js';
import { architecture, denseSchema, layerKinds, optional, size } from '../architecture.js';
import { graniteDecoder, multiplierSchema } from './granite.js';

export const graniteHybrid = architecture({
  types: ['granitemoehybrid'],
  gguf: {
    name: 'granitehybrid',
    config({ gguf }) {
      throw new Error(`${gguf.path}: general.architecture granitehybrid has layers of Mamba, which are not supported`);
    },
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    ...multiplierSchema.shape,
    num_local_experts: optional(z.number().int().min(0)),
    shared_intermediate_size: optional(size),
    position_embedding_type: optional(z.enum(['rope', 'nope'])),
    layer_types: optional(z.array(z.string())),
  }),
  decoder(file, json) {
    const experts = json.num_local_experts ?? 8;
    if (experts > 0)
      throw new Error(`${file}: num_local_experts must be 0, as experts are not supported, got ${experts}`);
    const types = json.layer_types?.map((type) => (type === 'attention' ? 'full_attention' : type));
    if (!types) throw new Error(`${file}: layer_types must be given, as without it all layers are of Mamba`);
    const kinds = layerKinds(file, { ...json, layer_types: types }, () => 'full_attention');
    const window = kinds.indexOf('sliding_attention');
    if (window >= 0) throw new Error(`${file}: layer_types[${window}] must be 'attention', got '${types[window]}'`);
    const fused = { into: 'shared_mlp.input_linear', down: 'shared_mlp.output_linear' };
    const intermediateSize = json.shared_intermediate_size ?? 1024;
    return graniteDecoder(
      file,
      json,
      (layer, sized) => gatedMlp(layer, { ...sized, intermediateSize, activation: 'silu', fused }),
      json.position_embedding_type === 'rope',
    );
  },
});
