// Linear attentions with a state of fixed size that decays, over sequences laid end to end: the gated delta rule, which erases
// what it writes over, and the scan of Mamba-2, which does not.
import { recordJoint } from '../core/autograd.js';
import { type Handle, kernels } from '../core/native.js';
import { empty, type Tensor } from '../core/tensor.js';
import { describe, floats, sameDevice, sameShape } from './checks.js';
import { contiguous } from './copy.js';
import { checkSequences, handlesOf, type PackedOptions } from './sequences.js';

/** Channels of the widest heads: a GPU's block holds that many rows of a state. */
const mostChannels = 256;

/** What a scan is computed from. A value head `h` uses key head `⌊h · keyHeads / heads⌋`. */
export interface GatedScanInputs {
  /** `[tokens, keyHeads, dk]` */
  q: Tensor;
  /** `[tokens, keyHeads, dk]` */
  k: Tensor;
  /** `[tokens, heads, dv]` */
  v: Tensor;
  /** f32 `[tokens, heads]`: logarithms of the decays, at most 0 */
  g: Tensor;
}

/** What the gated delta rule is computed from. */
export interface GatedDeltaInputs extends GatedScanInputs {
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
export function gatedDelta({ strength, ...inputs }: GatedDeltaInputs, options: PackedOptions): Tensor {
  return recurrence('gatedDelta', inputs, strength, options);
}

/**
 * The same without erasing, `S ← e^g S + k ⊗ v; out = Sᵀ q`: the scan of Mamba-2, whose C is q, whose B is k, and whose x
 * times its step is v.
 *
 * From Dao and Gu, "Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State Space
 * Duality" (2024).
 *
 * @throws RangeError if the sizes do not fit.
 */
export function gatedScan(inputs: GatedScanInputs, options: PackedOptions): Tensor {
  return recurrence('gatedScan', inputs, undefined, options);
}

function recurrence(
  op: string,
  { q, k, v, g }: GatedScanInputs,
  strength: Tensor | undefined,
  { boundaries, kept }: PackedOptions,
): Tensor {
  floats(op, q, k, v);
  const [tokens, keyHeads, dk] = k.shape as [number, number, number];
  const [, heads, dv] = v.shape as [number, number, number];
  const fits = q.rank === 3 && k.rank === 3 && v.rank === 3 && sameShape(q.shape, k.shape);
  if (!fits || v.dim(0) !== tokens || heads % keyHeads !== 0) {
    throw new RangeError(
      `${op}: q and k must be [tokens, keyHeads, dk] and v [tokens, a multiple of keyHeads, dv], got ` +
        [q, k, v].map(({ shape }) => describe(shape)).join(', '),
    );
  }
  if (dk > mostChannels || dv > mostChannels || dk < 1 || dv < 1) {
    throw new RangeError(`${op}: heads must have 1 to ${mostChannels} channels, got ${dk} and ${dv}`);
  }
  for (const [name, x] of Object.entries({ g, ...(strength ? { strength } : {}) })) {
    if (x.dtype !== 'f32') throw new TypeError(`${op}: ${name} must be f32, got ${x.dtype}`);
    if (!sameShape(x.shape, [tokens, heads])) {
      throw new RangeError(`${op}: ${name} must be [${tokens},${heads}], got ${describe(x.shape)}`);
    }
  }
  checkSequences(op, tokens, boundaries, kept, [heads, dk, dv], [q, k, v, g, strength]);
  const device = sameDevice(op, q, k, v, g, strength, boundaries, kept?.states, kept?.places);
  const out = empty(v.shape, { dtype: v.dtype, device });
  const inputs = [q, k, v, g, ...(strength ? [strength] : [])].map(contiguous);
  const [queries, keys, values, decays, strengths = null] = inputs.map(({ handle }) => handle) as Handles;
  const ends = contiguous(boundaries);
  const [states, places] = handlesOf(kept);
  kernels.gatedDelta(out.handle, states, queries, keys, values, decays, strengths, ends.handle, places);
  if (kept) return out;
  return recordJoint(out, inputs, (grad) => {
    const gradients = inputs.map(({ shape, dtype }) => empty(shape, { dtype, device }));
    const [dq, dkeys, dvalues, dg, dstrength = null] = gradients.map(({ handle }) => handle) as Handles;
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

/** Of q, k, v, g, and perhaps the strength. */
type Handles = [Handle, Handle, Handle, Handle, Handle?];
