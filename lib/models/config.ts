// What the parametric decoder needs to know of a model. Each architecture's file makes one from its config.json.

/** How the angles of rotary embeddings come from positions. */
export interface RopeConfig {
  /** Inverse frequencies, one per rotated pair. */
  frequencies: Float32Array;
  /** Cosine and sine are multiplied by this. */
  factor: number;
  interleaved: boolean;
}

export interface DecoderConfig {
  modelType: string;
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  /** Positions that the model was made for. */
  contextLength: number;
  normEps: number;
  rope: RopeConfig;
  attentionScale: number;
  qkvBias: boolean;
  outputBias: boolean;
  mlpBias: boolean;
  /** Whether the output projection is the embedding. */
  tied: boolean;
  bosId: number | undefined;
  eosIds: readonly number[];
}
