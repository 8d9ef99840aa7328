// BERT: learned positions and types of tokens, a norm of the embedding, norms behind both branches, biases everywhere. A
// GGUF file of this name may hold an XLM-RoBERTa, whose unused first positions it lacks.
import { z } from 'zod';
import { linearLayer } from '../../../parts/linear.js';
import { activationNames, plainMlp } from '../../../parts/mlp.js';
import { separate } from '../../../parts/projections.js';
import { vectorLinear } from '../../../parts/text-head.js';
import { architecture, only, optional, size } from '../../architecture.js';
import {
  classifierPlaces,
  encoderOf,
  encoderSchema,
  encoderSizes,
  normedSums,
  rankerOf,
  readingAttention,
} from '../../encoder.js';

const bertSchema = z.looseObject({
  ...encoderSchema.shape,
  hidden_act: optional(z.enum(activationNames)),
  type_vocab_size: optional(size),
  position_embedding_type: optional(z.string()),
});

interface BertNames {
  /** The model's name in a checkpoint. */
  base: string;
  /** The first position's row in the table. */
  first: number;
  /** The modules of a classifier. */
  dense: string;
  output: string;
}

/** BERT under a family's names. @throws Error that names the file and the field. */
export function bertOf(file: string, json: z.output<typeof bertSchema>, names: BertNames) {
  const { base, first } = names;
  const sized = encoderSizes(file, json);
  const { hiddenSize } = sized;
  only(file, 'position_embedding_type', json.position_embedding_type, 'absolute');
  const kind = { eps: json.layer_norm_eps ?? 1e-12, layer: { bias: true } };
  const positions = json.max_position_embeddings;
  if (positions <= first) throw new Error(`${file}: max_position_embeddings must be above ${first}, got ${positions}`);
  const types = json.type_vocab_size ?? 2;
  const { dense, output } = classifierPlaces(names.dense, names.output);
  return encoderOf(json, {
    names: { embedding: `${base}.embeddings.word_embeddings`, layers: `${base}.encoder.layer` },
    embedding: {
      positions: { path: `${base}.embeddings.position_embeddings`, gguf: 'position_embd', count: positions, first },
      types: { path: `${base}.embeddings.token_type_embeddings`, gguf: 'token_types', count: types },
      norm: { path: `${base}.embeddings.LayerNorm`, gguf: 'token_embd_norm', ...kind },
    },
    contextLength: positions - first,
    tokenTypes: types,
    ranker: rankerOf(
      file,
      json,
      ['cls'],
      [
        vectorLinear(dense, { in: hiddenSize, out: hiddenSize, bias: true, activation: 'tanh' }),
        vectorLinear(output, { in: hiddenSize, out: 1, bias: true }),
      ],
    ),
    // What only the training needed: the pooler, the output that guesses masked tokens.
    unused: (name) => /(^|\.)pooler\.|^(cls\.|lm_head\.|qa_outputs\.)/.test(name),
    layer: (layer) =>
      normedSums(
        layer,
        { ...kind, size: hiddenSize },
        readingAttention(layer, {
          ...sized,
          rope: undefined,
          projections: separate(layer, {
            ...sized,
            bias: true,
            names: { q: 'attention.self.query', k: 'attention.self.key', v: 'attention.self.value' },
          }),
          output: linearLayer(layer('attention.output.dense', 'attn_output'), {
            out: hiddenSize,
            in: hiddenSize,
            bias: true,
          }),
        }),
        plainMlp(layer, {
          ...sized,
          bias: true,
          activation: json.hidden_act ?? 'gelu',
          names: { up: 'intermediate.dense', down: 'output.dense' },
        }),
        { attention: 'attention.output.LayerNorm', mlp: 'output.LayerNorm' },
      ),
  });
}

export const bert = architecture({
  types: ['bert'],
  encoder: true,
  gguf: {
    name: 'bert',
    config: ({ gguf, number }) => ({
      layer_norm_eps: number('attention.layer_norm_epsilon'),
      type_vocab_size: gguf.tensors.get('token_types.weight')?.shape[0],
      hidden_act: 'gelu',
    }),
  },
  schema: bertSchema,
  decoder: (file, json) =>
    bertOf(file, json, { base: 'bert', first: 0, dense: 'bert.pooler.dense', output: 'classifier' }),
});

/** RoBERTa's form of it: positions are counted from behind the padding token's id. */
export const robertaSchema = z.looseObject({ ...bertSchema.shape, pad_token_id: optional(z.number().int().min(0)) });
