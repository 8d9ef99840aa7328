// Hunyuan's mixtures of experts: Hunyuan's attention, experts in every layer and beside them one that every token has.
import { z } from 'zod';
import { attention } from '../../../parts/attention.js';
import { expertNames, experts } from '../../../parts/experts.js';
import { architecture, decoderOf, denseSchema, only, optional, preNorm, size, sizes } from '../../architecture.js';
import { ggufMixture, mixtureSchema, mixtureSizes } from '../../mixture.js';
import { raisedRope, raisedSchema } from '../hunyuan.js';

const names = { ...expertNames, router: 'mlp.gate.wg.weight' };
const perLayer = optional(z.union([size, z.array(size)]));

export const hunyuanMoe = architecture({
  types: ['hunyuan_v1_moe'],
  gguf: {
    name: 'hunyuan-moe',
    experts: true,
    config(keys) {
      const { moe_intermediate_size, ...mixture } = ggufMixture(keys);
      return { ...mixture, intermediate_size: moe_intermediate_size, moe_topk: mixture.num_experts_per_tok };
    },
  },
  schema: z.looseObject({
    ...denseSchema.shape,
    ...mixtureSchema.shape,
    ...raisedSchema.shape,
    num_experts: perLayer,
    moe_topk: perLayer,
    num_shared_expert: perLayer,
  }),
  decoder(file, json) {
    const sized = sizes(file, json);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const rope = raisedRope(file, json, sized.headDim);
    const bias = json.attention_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-5 };
    const headNorm = { ...rms, rotated: true, names: { q: 'query_layernorm', k: 'key_layernorm' } };
    const at = (value: number | number[] | null | undefined, i: number): number | undefined =>
      (Array.isArray(value) ? value[i] : value) ?? undefined;
    return decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 2048,
      layer: (layer, i) => {
        const given = { num_experts: at(json.num_experts, i), num_experts_per_tok: at(json.moe_topk, i) };
        const { experts: count, chosen } = mixtureSizes(file, given, { experts: 1, chosen: 1 });
        return preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, bias, outputBias: bias, headNorm }),
          experts(layer, {
            ...sized,
            experts: count,
            routing: { chosen, score: 'softmax', normalize: {} },
            activation: 'silu',
            names,
            shared: { intermediateSize: sized.intermediateSize, path: 'mlp.shared_mlp' },
          }),
        );
      },
    });
  },
});
