// The gated delta rule, a linear attention with a state of fixed size, over sequences laid end to end.
import { recordJoint } from '../core/autograd.js';
import { type Handle, kernels } from '../core/native.js';
import { empty, type Tensor } from '../core/tensor.js';
import { describe, floats, sameDevice, sameShape } from './checks.js';
import { contiguous } from './copy.js';
import { checkSequences, handlesOf, type PackedOptions } from './sequences.js';

/** Channels of the widest heads: a GPU's block holds that many rows of a state. */
const mostChannels = 256;

/** What the gated delta rule is computed from. A value head `h` uses key head `⌊h · keyHeads / heads⌋`. */
export interface GatedDeltaInputs {
  /** `[tokens, keyHeads, dk]` */
  q: Tensor;
  /** `[tokens, keyHeads, dk]` */
  k: Tensor;
  /** `[tokens, heads, dv]` */
  v: Tensor;
  /** f32 `[tokens, heads]`: logarithms of the decays, at most 0 */
  g: Tensor;
  /** f32 `[tokens, heads]`: how much of each value is written */
  strength: Tensor;
}

/**
 * The gated delta rule, `[tokens, heads, dv]`: each head has a state `S [dk, dv]`, and for each token
 * `S ← e^g S; S ← S + k ⊗ β (v − Sᵀ k); out = Sᵀ q`. Prompts go through it in chunks, as products of matrices.
 * `kept.states` is f32 `[places, heads, dk, dv]`.
 *
 * From Yang et al., "Gated Delta Networks: Improving Mamba2 with Delta Rule" (2024).
 *
 * @throws RangeError if the sizes do not fit.
 */
export function gatedDelta({ q, k, v, g, strength }: GatedDeltaInputs, { boundaries, kept }: PackedOptions): Tensor {
  floats('gatedDelta', q, k, v);
  const [tokens, keyHeads, dk] = k.shape as [number, number, number];
  const [, heads, dv] = v.shape as [number, number, number];
  const fits = q.rank === 3 && k.rank === 3 && v.rank === 3 && sameShape(q.shape, k.shape);
  if (!fits || v.dim(0) !== tokens || heads % keyHeads !== 0) {
    throw new RangeError(
      `gatedDelta: q and k must be [tokens, keyHeads, dk] and v [tokens, a multiple of keyHeads, dv], got ` +
        [q, k, v].map(({ shape }) => describe(shape)).join(', '),
    );
  }
  if (dk > mostChannels || dv > mostChannels || dk < 1 || dv < 1) {
    throw new RangeError(`gatedDelta: heads must have 1 to ${mostChannels} channels, got ${dk} and ${dv}`);
  }
  for (const [name, x] of Object.entries({ g, strength })) {
    if (x.dtype !== 'f32') throw new TypeError(`gatedDelta: ${name} must be f32, got ${x.dtype}`);
    if (!sameShape(x.shape, [tokens, heads])) {
      throw new RangeError(`gatedDelta: ${name} must be [${tokens},${heads}], got ${describe(x.shape)}`);
    }
  }
  checkSequences('gatedDelta', tokens, boundaries, kept, [heads, dk, dv], [q, k, v, g, strength]);
  const device = sameDevice('gatedDelta', q, k, v, g, strength, boundaries, kept?.states, kept?.places);
  const out = empty(v.shape, { dtype: v.dtype, device });
  const inputs = [q, k, v, g, strength].map(contiguous);
  const [queries, keys, values, decays, strengths] = inputs.map(({ handle }) => handle) as [
    Handle,
    Handle,
    Handle,
    Handle,
    Handle,
  ];
  const ends = contiguous(boundaries);
  const [states, places] = handlesOf(kept);
  kernels.gatedDelta(out.handle, states, queries, keys, values, decays, strengths, ends.handle, places);
  if (kept) return out;
  return recordJoint(out, inputs, (grad) => {
    const gradients = inputs.map(({ shape, dtype }) => empty(shape, { dtype, device }));
    const [dq, dkeys, dvalues, dg, dstrength] = gradients.map(({ handle }) => handle) as [
      Handle,
      Handle,
      Handle,
      Handle,
      Handle,
    ];
    const dout = contiguous(grad).handle;
    kernels.gatedDeltaBackward(
      dq,
      dkeys,
      dvalues,
      dg,
      dstrength,
      dout,
      queries,
      keys,
      values,
      decays,
      strengths,
      ends.handle,
    );
    return gradients;
  });
}
