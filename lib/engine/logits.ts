// What happens to a row of logits before a token is chosen from it: penalties, biases, a mask; and its log
// probabilities, which are those of the model itself.
import type { Device } from '../core/device.js';
import { kernels } from '../core/native.js';
import { type Tensor, tensor, viewOf } from '../core/tensor.js';
import { maximum } from '../ops/binary.js';
import { gather } from '../ops/copy.js';
import { embedding } from '../ops/embedding.js';
import { topk } from '../ops/reduce.js';
import { logSoftmax } from '../ops/softmax.js';
import type { Sampling } from './sampling.js';

export interface TokenProbability {
  token: number;
  logprob: number;
}

/** A token's log probability, and the likeliest tokens in its place. */
export interface Logprobs {
  logprob: number;
  /** The likeliest tokens in its place, the likeliest first. */
  top: TokenProbability[];
}

/** A sequence as far as its logits are concerned. */
export interface LogitRules {
  readonly tokens: readonly number[];
  readonly promptLength: number;
  readonly sampling: Pick<Sampling, 'repetitionPenalty' | 'presencePenalty' | 'frequencyPenalty' | 'logitBias'>;
  /** 1 where a token may come next, for a sequence that has a mask. */
  readonly allowed: Uint8Array | undefined;
  readonly tally: Tally;
}

/** Whether the next step's logits depend on the last token, so that it must be known before the step is queued. */
export const penalizes = ({ repetitionPenalty, presencePenalty, frequencyPenalty }: LogitRules['sampling']): boolean =>
  repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;

/** Whether `adjust` would change anything. */
export const adjusts = ({ sampling, allowed }: LogitRules): boolean =>
  penalizes(sampling) || sampling.logitBias.size > 0 || allowed !== undefined;

/** Row `row` of `logits [rows, vocab]`, as `[1, vocab]`. */
export const rowOf = (logits: Tensor, row: number): Tensor =>
  viewOf(logits, [1, logits.dim(1)], logits.strides, row * logits.strides[0]!);

/** What the rules say of a sequence's tokens, kept up as they come: a step costs what its new token does. */
export class Tally {
  /** Every token of the sequence, once. */
  readonly seen: number[] = [];
  /** Tokens whose logits something is added to, and what. */
  readonly biased: number[] = [];
  readonly biases: number[] = [];
  readonly #known = new Set<number>();
  readonly #places = new Map<number, number>();
  readonly #counts: number[] = [];
  #length = 0;

  update({ tokens, promptLength, sampling }: LogitRules): this {
    const { presencePenalty, frequencyPenalty, logitBias } = sampling;
    if (this.#length === 0) for (const [token, bias] of logitBias) this.biases[this.#place(token)] = bias;
    for (; this.#length < tokens.length; this.#length++) {
      const token = tokens[this.#length]!;
      if (!this.#known.has(token)) this.seen.push(token);
      this.#known.add(token);
      // Presence and frequency count what was produced, as in OpenAI's API: not the prompt.
      if (this.#length < promptLength || (presencePenalty === 0 && frequencyPenalty === 0)) continue;
      const place = this.#place(token);
      const count = ++this.#counts[place]!;
      this.biases[place] = (logitBias.get(token) ?? 0) - presencePenalty - frequencyPenalty * count;
    }
    return this;
  }

  #place(token: number): number {
    const known = this.#places.get(token);
    if (known !== undefined) return known;
    const place = this.biased.push(token) - 1;
    this.#places.set(token, place);
    this.#counts.push(0);
    return place;
  }
}

/** Applies the rules of each row of `logits [rows, vocab]`, in place. */
export function adjust(logits: Tensor, rows: readonly LogitRules[]): void {
  if (!rows.some(adjusts)) return;
  const { device } = logits;
  const tallies = rows.map((rules) => (adjusts(rules) ? rules.tally.update(rules) : undefined));
  const penalties = rows.map(({ sampling }) => sampling.repetitionPenalty);
  const seen = rows.map((_, i) => (penalties[i] === 1 ? [] : tallies[i]!.seen));
  if (seen.some(({ length }) => length > 0))
    kernels.penalize(logits.handle, beside(Int32Array, seen, -1, device).handle, tensor(penalties, { device }).handle);
  const biased = tallies.map((tally) => tally?.biased ?? []);
  if (biased.some(({ length }) => length > 0)) {
    const biases = tallies.map((tally) => tally?.biases ?? []);
    // Padding adds 0 to the first logit.
    const [index, values] = [beside(Int32Array, biased, 0, device), beside(Float32Array, biases, 0, device)];
    kernels.scatterAdd(logits.handle, values.handle, index.handle, 1);
  }
  for (const [i, { allowed }] of rows.entries()) {
    if (!allowed) continue;
    const row = rowOf(logits, i);
    const condition = tensor(allowed, { dtype: 'bool', shape: row.shape, device });
    const never = viewOf(tensor([Number.NEGATIVE_INFINITY], { device }), row.shape, [0, 0]);
    kernels.where(row.handle, condition.handle, row.handle, never.handle);
  }
}

/** Lists as the rows of one tensor, the shorter ones filled up. */
function beside(
  Kind: typeof Int32Array | typeof Float32Array,
  lists: readonly (readonly number[])[],
  filling: number,
  device: Device,
): Tensor {
  const width = Math.max(...lists.map(({ length }) => length));
  const all = new Kind(lists.length * width).fill(filling);
  for (const [i, list] of lists.entries()) all.set(list, i * width);
  return tensor(all, { shape: [lists.length, width], device });
}

/** The log probabilities of some rows of `logits`. Call it before `adjust`. */
export function logprobsOf(logits: Tensor, rows: readonly number[]): Tensor {
  const { device } = logits;
  const all = rows.length === logits.dim(0);
  return logSoftmax(all ? logits : embedding(logits, tensor(Int32Array.from(rows), { device })));
}

/**
 * Reads of each row of `logprobs` that of its token in `chosen` i32 `[rows]`, and those of the `counts[row]` likeliest
 * tokens, of equals the smaller token first.
 */
export function readLogprobs(logprobs: Tensor, chosen: Tensor, counts: readonly number[]): Promise<Logprobs>[] {
  const [rows, vocab] = logprobs.shape as [number, number];
  const most = Math.min(vocab, Math.max(...counts));
  // A row without a token has a negative number in its place; its log probability is never read.
  const own = gather(logprobs, 1, viewOf(maximum(chosen, 0), [rows, 1], [1, 1]));
  const { values, places } = topk(logprobs, most);
  const reads = Promise.all([own, values, places].map((x) => x.data()));
  return counts.map((count, row) => {
    const read = reads.then(([logprob, values, places]) => ({
      logprob: logprob![row]!,
      top: Array.from({ length: Math.min(count, most) }, (_, n) => {
        return { token: places![row * most + n]!, logprob: values![row * most + n]! };
      }),
    }));
    read.catch(() => {}); // looked at with the token, unless the sequence ends before
    return read;
  });
}
