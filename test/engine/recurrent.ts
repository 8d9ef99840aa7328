// A small recurrent part, for tests of states: s ← decay · s + x for each token, and x + s / 4 goes on.
//
// Written with matrices over the whole batch, so that it needs no kernel: M[t, i] = decay^(t - i) for tokens i ≤ t of one
// sequence, s = M x + decay^(t + 1 - start) · s before.

import { add, equal, greaterEqual, sub, where } from '../../lib/ops/binary.js';
import { cast } from '../../lib/ops/copy.js';
import { exp, mul } from '../../lib/ops/elementwise.js';
import { embedding } from '../../lib/ops/embedding.js';
import { matmul } from '../../lib/ops/matmul.js';
import { pagedAppend } from '../../lib/ops/paged.js';
import { sum } from '../../lib/ops/reduce.js';
import { reshape, slice } from '../../lib/ops/view.js';
import type { StateMemory } from '../../lib/parts/memory.js';
import type { Part } from '../../lib/parts/part.js';

const decay = 0.5;

export function recurrent(hidden: number, longest = 1024): Part {
  const memory: StateMemory = { kind: 'state', shapes: [[1, 1, hidden]], dtype: 'f32' };
  const numbers = Float32Array.from({ length: longest }, (_, i) => i);
  return {
    weights: [],
    memory: [memory],
    constants: [numbers],
    facts: { stateSize: hidden },
    flops: () => ({ products: 0, mixing: 0 }),
    // biome-ignore lint/correctness/useYield: nothing here is long.
    *run(x, pass, residual) {
      const tokens = x.dim(0);
      const kept = pass.kept(memory);
      const boundaries = cast(kept?.boundaries ?? pass.batch.boundaries, 'f32');
      const count = boundaries.size - 1;
      const at = slice(pass.constant(numbers), 0, 0, tokens);
      const [row, column] = [reshape(at, [tokens, 1]), reshape(at, [1, tokens])];
      // The number of each token's sequence: how many have ended before it.
      const ends = reshape(slice(boundaries, 0, 1), [1, count]);
      const own = sum(cast(greaterEqual(row, ends), 'f32'), 1);
      const same = equal(reshape(own, [tokens, 1]), reshape(own, [1, tokens]));
      const powers = exp(mul(sub(row, column), Math.log(decay)));
      const weights = where(same, where(greaterEqual(row, column), powers, 0), 0);
      let state = matmul(weights, x);
      if (kept) {
        const [places] = kept.states;
        const before = embedding(reshape(places!, [places!.dim(0), hidden]), kept.places);
        const starts = embedding(reshape(slice(boundaries, 0, 0, count), [count, 1]), cast(own, 'i32'));
        const carried = exp(mul(add(sub(row, starts), 1), Math.log(decay)));
        const mine = embedding(before, cast(own, 'i32'));
        state = add(state, mul(carried, mine));
        const last = cast(sub(slice(boundaries, 0, 1), 1), 'i32');
        const after = reshape(embedding(state, last), [count, 1, hidden]);
        pagedAppend(places!, places!, after, after, kept.places);
      }
      const out = add(x, mul(state, 0.25));
      return residual ? add(residual, out) : out;
    },
  };
}
