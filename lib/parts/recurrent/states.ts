// The states that a recurrent part keeps of sequences, as the options of ops that read and replace them.
import type { PackedOptions } from '../../ops/sequences.js';
import type { StateMemory } from '../memory.js';
import type { Pass } from '../part.js';

/** By the index of a state in the memory's `shapes`. Without a cache all sequences begin with zeros. */
export function statesOf(memory: StateMemory, pass: Pass): (index: number) => PackedOptions {
  const kept = pass.kept(memory);
  if (!kept) return () => ({ boundaries: pass.batch.boundaries });
  const { boundaries, places, states } = kept;
  return (index) => ({ boundaries, kept: { states: states[index]!, places } });
}
