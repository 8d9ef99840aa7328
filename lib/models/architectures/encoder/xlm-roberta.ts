// XLM-RoBERTa, and RoBERTa with another vocabulary: BERT whose first position is the row behind the padding token's, with a
// classifier of its own. (bge-m3, multilingual-e5, bge-reranker)
import { architecture } from '../../architecture.js';
import { bertOf, robertaSchema } from './bert.js';

export const xlmRoberta = architecture({
  types: ['xlm-roberta', 'roberta', 'camembert'],
  encoder: true,
  schema: robertaSchema,
  decoder: (file, json) =>
    bertOf(file, json, {
      base: 'roberta',
      first: (json.pad_token_id ?? 1) + 1,
      dense: 'classifier.dense',
      output: 'classifier.out_proj',
    }),
});
