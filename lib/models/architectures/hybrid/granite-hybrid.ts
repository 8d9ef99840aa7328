// Granite 4: layers of Mamba-2 and of attention, or of attention alone, with Granite's multipliers; an MLP whose projection
// for gate and up is one, in mixtures beside experts. GGUF files of models without Mamba say that they are Granite.
import { z } from 'zod';
import { experts } from '../../../parts/experts.js';
import { gatedMlp } from '../../../parts/mlp.js';
import { mamba } from '../../../parts/recurrent/mamba.js';
import { architecture, denseSchema, type GgufKeys, layerKinds, optional, size } from '../../architecture.js';
import { ggufMixture, mixtureSchema, mixtureSizes } from '../../mixture.js';
import { ggufMamba, mambaSchema, mambaSizes } from '../../state-space.js';
import { ggufMultipliers, graniteDecoder, multiplierSchema } from '../granite.js';
import { graniteExperts, graniteShared } from '../mixture/granite-moe.js';

const ggufKeys = (keys: GgufKeys): Record<string, unknown> => {
  const { gguf, number, size } = keys;
  return {
    ...ggufMultipliers(keys),
    ...ggufMamba(keys),
    num_local_experts: 0,
    shared_intermediate_size: number('expert_shared_feed_forward_length') ?? size('feed_forward_length'),
    position_embedding_type: gguf.metadata.get('granitehybrid.rope.scaling.finetuned') === true ? 'rope' : 'nope',
  };
};

/** By both spellings of transformers. */
const kindNames: Readonly<Record<string, string>> = { mamba: 'linear_attention', attention: 'full_attention' };

export const graniteHybrid = architecture({
  types: ['granitemoehybrid'],
  gguf: [
    { name: 'granitehybrid', config: ggufKeys },
    {
      name: 'granitehybrid',
      experts: true,
      config(keys) {
        const { num_experts, num_experts_per_tok, moe_intermediate_size } = ggufMixture(keys);
        return {
          ...ggufKeys(keys),
          num_local_experts: num_experts,
          num_experts_per_tok,
          intermediate_size: moe_intermediate_size,
        };
      },
    },
  ],
  schema: z.looseObject({
    ...denseSchema.shape,
    ...mixtureSchema.shape,
    ...multiplierSchema.shape,
    ...mambaSchema.shape,
    num_local_experts: optional(z.number().int().min(0)),
    num_experts_per_tok: optional(z.number().int().min(0)),
    shared_intermediate_size: optional(size),
    position_embedding_type: optional(z.enum(['rope', 'nope'])),
    layer_types: optional(z.array(z.string())),
  }),
  decoder(file, json) {
    const types = json.layer_types?.map((type) => kindNames[type] ?? type);
    const kinds = layerKinds(file, { ...json, layer_types: types }, () => 'linear_attention', [
      'full_attention',
      'linear_attention',
    ]);
    const inner = json.shared_intermediate_size ?? 1024;
    const count = json.num_local_experts ?? 8;
    const sizes = kinds.includes('linear_attention') ? mambaSizes(file, json) : undefined;
    const norm = { eps: json.rms_norm_eps ?? 1e-6, grouped: false };
    return graniteDecoder(file, json, {
      rotates: json.position_embedding_type === 'rope',
      mixer: (layer, i) => (sizes && kinds[i] === 'linear_attention' ? mamba(layer, { ...sizes, norm }) : undefined),
      mlp(layer, sized) {
        if (count > 0) {
          const { chosen } = mixtureSizes(file, { ...json, num_experts: count }, { experts: count, chosen: 2 });
          return experts(layer, { ...sized, experts: count, ...graniteExperts(chosen, inner) });
        }
        const named = (path: string, gguf: string) => layer(path.replace(/^mlp\b/, 'shared_mlp'), gguf);
        return gatedMlp(named, { ...sized, intermediateSize: inner, activation: 'silu', fused: graniteShared });
      },
    });
  },
});
