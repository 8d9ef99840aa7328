// Tensors of a file that no part of its model claims: a sign that the config says less than the file holds, such as biases
// or scales of quantised weights, without which every number would be wrong.
import type { Weights } from '../files/weights.js';
import { isBeside } from '../files/wrapped.js';
import type { DecoderConfig } from './config.js';

/** Buffers that older versions of transformers saved, and divisors that a GGUF file's config is made from. */
const everywhere =
  /(^|\.)(rotary_emb\.inv_freq|masked_bias|position_ids)$|^rope_(freqs|factors_long|factors_short)\.weight$/;

/** @throws Error that names the file and the first tensor that is neither `claimed` nor known to be of no use. */
export function refuseUnclaimed(file: Weights, claimed: ReadonlySet<string>, config: DecoderConfig): void {
  const { modelType, unused } = config;
  const needless = (name: string): boolean => everywhere.test(name) || isBeside(name) || (unused?.(name) ?? false);
  const unknown = [...file.tensors.keys()].filter((name) => !claimed.has(name) && !needless(name));
  if (unknown.length === 0) return;
  const more = unknown.length === 1 ? '' : ` (and ${unknown.length - 1} more)`;
  throw new Error(`${file.path}: tensor '${unknown[0]}'${more} has no place in a ${modelType} model of this config`);
}
