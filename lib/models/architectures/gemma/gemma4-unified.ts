// Gemma 4 12B (text): Gemma 4 with a wider window and without per-layer embeddings, inside a model that takes pictures and
// sound without encoders of their own.
import { architecture } from '../../architecture.js';
import { gemma4Decoder, gemma4Schema } from './gemma4.js';

export const gemma4Unified = architecture({
  types: ['gemma4_unified_text'],
  schema: gemma4Schema,
  decoder: (file, json) => gemma4Decoder(file, json, { window: 1024, contextLength: 262_144, perLayerSize: 0 }),
});
