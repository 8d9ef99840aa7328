// A model as it is asked for vectors and scores of texts.
import type { DecoderConfig } from '../../models/config.js';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js';
import type { Engine } from '../engine.js';

export interface TextsModel {
  readonly engine: Engine;
  readonly config: DecoderConfig;
  /** @throws Error if the model came without one. */
  tokenizer(): Tokenizer;
}
