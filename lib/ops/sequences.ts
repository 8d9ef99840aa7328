// Sequences laid end to end, for ops that carry a state from token to token.
import { willRecord } from '../core/autograd.js';
import type { Handle } from '../core/native.js';
import type { Tensor } from '../core/tensor.js';
import { describe, floats, integers, sameShape } from './checks.js';
import { contiguous } from './copy.js';

/** The states of sequences, kept from one call to the next. */
export interface KeptStates {
  /** `[places, …]`; read and replaced. */
  states: Tensor;
  /** i32 `[sequences]`: the place of each sequence's state. */
  places: Tensor;
}

export interface PackedOptions {
  /** i32 `[sequences + 1]`: where each sequence starts, and the end of the last. Tokens outside give zeros. */
  boundaries: Tensor;
  /** Where the sequences go on from. Without them they begin with zeros. Calls with states have no gradients. */
  kept?: KeptStates | undefined;
}

/** @throws RangeError if boundaries, places or states do not fit; Error if a call with states is to be differentiated. */
export function checkSequences(
  op: string,
  tokens: number,
  boundaries: Tensor,
  kept: KeptStates | undefined,
  state: readonly number[],
  inputs: readonly (Tensor | undefined)[],
): void {
  integers(op, 'boundaries', boundaries);
  if (boundaries.rank !== 1 || boundaries.size < (tokens > 0 ? 2 : 1)) {
    throw new RangeError(`${op}: boundaries must be [sequences + 1], got ${describe(boundaries.shape)}`);
  }
  if (!kept) return;
  if (willRecord(...inputs)) throw new Error(`${op}: a call with kept states has no gradients`);
  integers(op, 'places', kept.places);
  floats(op, kept.states);
  if (kept.places.rank !== 1 || kept.places.size !== boundaries.size - 1) {
    throw new RangeError(`${op}: places must be [${boundaries.size - 1}], got ${describe(kept.places.shape)}`);
  }
  if (kept.states.dtype !== 'f32') throw new TypeError(`${op}: states must be f32, got ${kept.states.dtype}`);
  if (!sameShape(kept.states.shape.slice(1), state)) {
    throw new RangeError(`${op}: states must be [places,${state}], got ${describe(kept.states.shape)}`);
  }
}

/** The states and the places as arguments of a kernel. */
export const handlesOf = (kept: KeptStates | undefined): [Handle | null, Handle | null] =>
  kept ? [kept.states.handle, contiguous(kept.places).handle] : [null, null];
