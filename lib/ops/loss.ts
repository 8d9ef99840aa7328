// Cross-entropy, from logits or straight from the last layer's input and weight.
import { recordJoint, willRecord } from '../core/autograd.js';
import { kernels } from '../core/native.js';
import { finish, rowsInCall, type Steps } from '../core/steps.js';
import { empty, type Tensor, viewOf } from '../core/tensor.js';
import { describe, floats, integers, sameDevice, sameShape } from './checks.js';
import { cast, contiguous, zerosLike } from './copy.js';
import { equal, neg, where } from './elementwise.js';
import { arange } from './random.js';
import { sum } from './reduce.js';
import { logSoftmax } from './softmax.js';
import { unsqueeze } from './view.js';

export interface LinearCrossEntropyOptions {
  /** Logits become `softcap · tanh(logits / softcap)`; 0, the default, leaves them as they are. */
  softcap?: number;
}

/** What a linear layer's logits say of their targets. */
export interface Scored {
  /** f32 `[tokens]` */
  losses: Tensor;
  /** i32 `[tokens]`: the first of the largest logits; -1 where there is no target. */
  likeliest: Tensor;
}

// The CPU takes so many tokens and words at a time, at most: their logits are 8 MiB.
const chunkTokens = 1024;
const blockWords = 2048;

/**
 * The cross-entropy of the logits `x W'` at each token: `x [tokens, hidden]`, `weight [vocab, hidden]`, `targets` i32
 * `[tokens]` → f32 `[tokens]`. A negative target gives loss 0 and no gradient. The logits are never stored whole.
 *
 * A target beyond the vocabulary makes the await reject.
 *
 * @throws RangeError if the sizes do not match.
 */
export const linearCrossEntropy = (
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  options: LinearCrossEntropyOptions = {},
): Tensor => {
  const { losses, likeliest } = finish(linearCrossEntropySteps(x, weight, targets, options));
  likeliest.dispose();
  return losses;
};

/** The same, and its gradients, in steps; and the likeliest tokens. */
export function* linearCrossEntropySteps(
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  options: LinearCrossEntropyOptions = {},
): Steps<Scored> {
  const { softcap = 0 } = options;
  const device = sameDevice('linearCrossEntropy', x, weight, targets);
  floats('linearCrossEntropy', x, weight);
  integers('linearCrossEntropy', 'targets', targets);
  if (x.rank !== 2 || weight.rank !== 2 || x.dim(1) !== weight.dim(1)) {
    throw new RangeError(
      `linearCrossEntropy: x [tokens,hidden] ${describe(x.shape)} does not fit a weight [vocab,hidden] of ${describe(weight.shape)}`,
    );
  }
  checkTargets('linearCrossEntropy', targets, x.dim(0));
  if (!(softcap >= 0 && softcap < Number.POSITIVE_INFINITY)) {
    throw new RangeError(`linearCrossEntropy: softcap must be 0 or positive, got ${softcap}`);
  }

  const rows = contiguous(x);
  const table = contiguous(weight);
  const wanted = contiguous(targets);
  const [tokens, hidden] = x.shape as [number, number];
  const losses = empty([tokens], { device });
  const lse = empty([tokens], { device });
  const likeliest = empty([tokens], { dtype: 'i32', device });
  // The gradient for x costs one product more here, and none later: the softmax is at hand now.
  const dx = willRecord(rows) ? empty(x.shape, { dtype: x.dtype, device }) : undefined;
  const whole = device.name !== 'cpu';
  const chunk = Math.max(1, whole ? tokens : Math.min(tokens, chunkTokens));
  const sums = whole ? undefined : empty([tokens], { device });
  const weighted = whole || !dx ? undefined : empty([chunk, hidden], { device });
  // Blocks do not depend on whether there is a gradient: a loss is the same with and without.
  const blocks = blocksOf(table, 2 * chunk);
  for (let token = 0; token === 0 || token < tokens; token += chunk) {
    for (const [first, words] of blocks) {
      if (token > 0 || first > 0) yield;
      kernels.linearCrossEntropy(
        losses.handle,
        lse.handle,
        likeliest.handle,
        dx?.handle ?? null,
        sums?.handle ?? null,
        weighted?.handle ?? null,
        rows.handle,
        table.handle,
        wanted.handle,
        softcap,
        token,
        chunk,
        first,
        words,
      );
    }
  }
  sums?.dispose();
  weighted?.dispose();
  if (!willRecord(rows, table)) {
    lse.dispose();
    return { losses, likeliest };
  }

  recordJoint(losses, [rows, table], function* (grad, [xNeeded, weightNeeded]) {
    const dlosses = contiguous(grad);
    let dweight: Tensor | undefined;
    if (weightNeeded) {
      dweight = zerosLike(table);
      for (const [first, words] of blocksOf(table, 2 * tokens)) {
        kernels.linearCrossEntropyBackward(
          dweight.handle,
          dlosses.handle,
          rows.handle,
          table.handle,
          wanted.handle,
          lse.handle,
          softcap,
          first,
          words,
        );
        yield;
      }
    }
    lse.dispose();
    if (dlosses !== grad) dlosses.dispose();
    if (!xNeeded || !dx) return [undefined, dweight];
    const scaled = scaledRows(dx, grad);
    dx.dispose();
    return [scaled, dweight];
  });
  return { losses, likeliest };
}

/** The vocabulary in parts, `[first, count]`: a call multiplies `rows` of the hidden size by each word of one. */
function blocksOf({ device, shape: [vocab, hidden] }: Tensor, rows: number): [first: number, words: number][] {
  const most = device.name === 'cpu' ? Math.min(blockWords, rowsInCall(device, vocab!, rows * hidden!, 128)) : vocab!;
  const words = Math.max(1, most);
  const blocks: [number, number][] = [];
  for (let first = 0; first === 0 || first < vocab!; first += words)
    blocks.push([first, Math.min(words, vocab! - first)]);
  return blocks;
}

/**
 * The cross-entropy of `logits [rows, classes]` and `targets` i32 `[rows]`: f32 `[rows]`. A negative target gives loss 0
 * and no gradient.
 *
 * @throws RangeError if the sizes do not match.
 */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  const device = sameDevice('crossEntropy', logits, targets);
  floats('crossEntropy', logits);
  integers('crossEntropy', 'targets', targets);
  if (logits.rank !== 2)
    throw new RangeError(`crossEntropy: takes logits [rows,classes], got ${describe(logits.shape)}`);
  checkTargets('crossEntropy', targets, logits.dim(0));
  // A negative target equals no class, so its row of the mask is empty.
  const classes = arange(logits.dim(1), { device });
  const wanted = equal(unsqueeze(targets, 1), classes);
  classes.dispose();
  return neg(sum(where(wanted, logSoftmax(cast(logits, 'f32')), 0), 1));
}

function checkTargets(op: string, targets: Tensor, rows: number): void {
  if (!sameShape(targets.shape, [rows]))
    throw new RangeError(`${op}: targets must be [${rows}], got ${describe(targets.shape)}`);
}

/** x [rows, cols] times one number for each row. */
function scaledRows(x: Tensor, factors: Tensor): Tensor {
  const out = empty(x.shape, { dtype: x.dtype, device: x.device });
  const repeated = viewOf(factors, x.shape, [factors.strides[0]!, 0]);
  kernels.mul(out.handle, x.handle, repeated.handle);
  repeated.dispose();
  return out;
}
