// What happens to a row of logits before a token is chosen from it: penalties, biases, a mask; and its log
// probabilities, which are those of the model itself.
import { kernels } from '../native.js';
import { logSoftmax } from '../ops/softmax.js';
import { type Tensor, tensor, viewOf } from '../tensor.js';
import type { Settings } from '../text/options.js';

export interface TokenProbability {
  token: number;
  logprob: number;
}

/** A sequence as far as its logits are concerned. */
export interface LogitRules {
  readonly tokens: readonly number[];
  readonly promptLength: number;
  readonly settings: Pick<Settings, 'repetitionPenalty' | 'presencePenalty' | 'frequencyPenalty' | 'logitBias'>;
  /** 1 where a token may come next, for a sequence that has a mask. */
  readonly allowed: Uint8Array | undefined;
}

/** Whether the next step's logits depend on the last token, so that it must be known before the step is queued. */
export const penalizes = ({ repetitionPenalty, presencePenalty, frequencyPenalty }: LogitRules['settings']): boolean =>
  repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;

/** Whether `adjust` would change anything. */
export const adjusts = ({ settings, allowed }: LogitRules): boolean =>
  penalizes(settings) || settings.logitBias.size > 0 || allowed !== undefined;

/** Row `row` of `logits [rows, vocab]`, as `[1, vocab]`. */
export const rowOf = (logits: Tensor, row: number): Tensor =>
  viewOf(logits, [1, logits.dim(1)], logits.strides, row * logits.strides[0]!);

/** Applies the rules to one row `[1, vocab]`, in place. */
export function adjust(row: Tensor, rules: LogitRules): void {
  const { tokens, settings, allowed } = rules;
  const { device } = row;
  if (settings.repetitionPenalty !== 1) {
    const seen = Int32Array.from(new Set(tokens));
    const penalty = tensor([settings.repetitionPenalty], { device });
    kernels.penalize(row.handle, tensor(seen, { shape: [1, seen.length], device }).handle, penalty.handle);
  }
  const biases = biasesOf(rules);
  if (biases.size > 0) {
    const shape = [1, biases.size];
    const index = tensor(Int32Array.from(biases.keys()), { shape, device });
    const values = tensor(Float32Array.from(biases.values()), { shape, device });
    kernels.scatterAdd(row.handle, values.handle, index.handle, 1);
  }
  if (allowed) {
    const condition = tensor(allowed, { dtype: 'bool', shape: row.shape, device });
    const never = viewOf(tensor([Number.NEGATIVE_INFINITY], { device }), row.shape, [0, 0]);
    kernels.where(row.handle, condition.handle, row.handle, never.handle);
  }
}

// Presence and frequency count what was produced, as in OpenAI's API: not the prompt.
function biasesOf({ tokens, promptLength, settings }: LogitRules): Map<number, number> {
  const { presencePenalty, frequencyPenalty, logitBias } = settings;
  const biases = new Map(logitBias);
  if (presencePenalty === 0 && frequencyPenalty === 0) return biases;
  const counts = new Map<number, number>();
  for (let i = promptLength; i < tokens.length; i++) counts.set(tokens[i]!, (counts.get(tokens[i]!) ?? 0) + 1);
  for (const [token, count] of counts) {
    biases.set(token, (biases.get(token) ?? 0) - presencePenalty - frequencyPenalty * count);
  }
  return biases;
}

/** Reads the log probabilities of one row `[1, vocab]`. Call it before `adjust`. */
export function readLogprobs(row: Tensor): Promise<Float32Array> {
  const read = logSoftmax(row).data() as Promise<Float32Array>;
  read.catch(() => {}); // looked at with the token, unless the sequence ends before
  return read;
}

/** The `count` likeliest tokens, the likeliest first; of equals the smaller token. */
export function likeliest(logprobs: Float32Array, count: number): TokenProbability[] {
  const best: TokenProbability[] = [];
  for (let token = 0; token < logprobs.length && count > 0; token++) {
    const logprob = logprobs[token]!;
    if (best.length === count && logprob <= best[count - 1]!.logprob) continue;
    let at = best.length === count ? count - 1 : best.length;
    while (at > 0 && best[at - 1]!.logprob < logprob) at--;
    best.splice(at, 0, { token, logprob });
    if (best.length > count) best.pop();
  }
  return best;
}
