// How the tokens of one sequence are chosen: what the engine asks of a request's settings.
export interface Sampling {
  /** Divides the logits; 0 takes the likeliest token. */
  temperature: number;
  /** Draws among this many likeliest tokens only; 0 is off. */
  topK: number;
  /** Draws among the likeliest tokens that together reach this probability; 1 is off. */
  topP: number;
  /** Drops tokens less likely than this share of the likeliest; 0 is off. */
  minP: number;
  /** A whole number from 0 to `Number.MAX_SAFE_INTEGER`. */
  seed: number;
  /** Divides the logits of tokens of the sequence, the prompt included; 1 is off. */
  repetitionPenalty: number;
  /** Taken off the logits of produced tokens, once; 0 is off. */
  presencePenalty: number;
  /** Taken off the logits of produced tokens, once for each time; 0 is off. */
  frequencyPenalty: number;
  /** Added to the logits, by token. */
  logitBias: ReadonlyMap<number, number>;
}
