// Qwen3, dense, also Qwen3-Embedding and Qwen3-Reranker: RMSNorm of each head's queries and keys before rope. Some checkpoints have windows in their last layers.
import { z } from 'zod';
import { attention } from '../../parts/attention.js';
import { gatedMlp } from '../../parts/mlp.js';
import { difference, type RankPrompt, vectorLinear } from '../../parts/text-head.js';
import {
  architecture,
  decoderOf,
  denseSchema,
  lateWindowSchema,
  lateWindows,
  only,
  preNorm,
  ropeOf,
  sizes,
} from '../architecture.js';
import { classifierSchema, labelsOf, rankerOf } from '../encoder.js';

/** What Qwen3-Reranker is asked, which says yes or no. */
const rerankerPrompt: RankPrompt = {
  instruction: 'Given a web search query, retrieve relevant passages that answer the query',
  before:
    '<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. ' +
    'Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n',
  between: (query, text, instruction) => `<Instruct>: ${instruction}\n<Query>: ${query}\n<Document>: ${text}`,
  after: '<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n',
};

/** Its form with an output of its own, for one score or, in GGUF files, for the logits of yes and no. */
function classifier(file: string, json: z.output<typeof denseSchema> & z.output<typeof classifierSchema>) {
  const place = { path: 'score', gguf: 'cls.output' };
  const score = (out: number) => vectorLinear(place, { in: json.hidden_size, out });
  if (labelsOf(json)?.join() !== 'yes,no') return rankerOf(file, json, ['last'], [score(1)]);
  return rankerOf(file, { ...json, id2label: { 0: 'yes' } }, ['last'], [score(2), difference]);
}

export const qwen3 = architecture({
  types: ['qwen3'],
  gguf: { name: 'qwen3' },
  schema: z.looseObject({ ...denseSchema.shape, ...lateWindowSchema.shape, ...classifierSchema.shape }),
  decoder(file, json) {
    const sized = sizes(file, json, 128);
    only(file, 'hidden_act', json.hidden_act, 'silu');
    const rope = ropeOf(file, json, sized.headDim);
    const bias = json.attention_bias ?? false;
    const rms = { eps: json.rms_norm_eps ?? 1e-6 };
    const windows = lateWindows(file, json);
    const decoder = decoderOf(json, {
      norm: rms,
      tied: false,
      contextLength: 32768,
      layer: (layer, i) =>
        preNorm(
          layer,
          { ...rms, size: sized.hiddenSize },
          attention(layer, { ...sized, rope, bias, outputBias: bias, headNorm: rms, window: windows[i] }),
          gatedMlp(layer, { ...sized, activation: 'silu' }),
        ),
    });
    return { ...decoder, asks: rerankerPrompt, ranker: classifier(file, json) };
  },
});
