// Blocks: how parts stand together in a layer.
import type { Steps } from '../core/steps.js';
import type { Tensor } from '../core/tensor.js';
import { add, affine } from '../ops/elementwise.js';
import type { Part } from './part.js';

/** One part after the other; a residual is added by the last. */
export function chain(...parts: readonly Part[]): Part {
  return joined(parts, function* (x, pass, residual) {
    let y = x;
    for (const [i, part] of parts.entries()) {
      if (i > 0) yield;
      y = yield* part.run(y, pass, i === parts.length - 1 ? residual : undefined);
    }
    return y;
  });
}

/** `x + parts(x)`: a branch off the residual stream. */
export function branch(...parts: readonly Part[]): Part {
  const inner = chain(...parts);
  return joined([inner], function* (x, pass): Steps<Tensor> {
    return yield* inner.run(x, pass, x);
  });
}

/** The sum of what the parts make of one input. */
export function parallel(...parts: readonly Part[]): Part {
  return joined(parts, function* (x, pass, residual) {
    let sum = residual;
    for (const [i, part] of parts.entries()) {
      if (i > 0) yield;
      sum = yield* part.run(x, pass, sum);
    }
    return sum!;
  });
}

/** What a part makes, times `factor`. */
export function scaled(part: Part, factor: number): Part {
  if (factor === 1) return part;
  return joined([part], function* (x, pass, residual): Steps<Tensor> {
    const out = affine(yield* part.run(x, pass), factor, 0);
    return residual ? add(residual, out) : out;
  });
}

/** What a part makes of its input times `factor`. */
export function fed(part: Part, factor: number): Part {
  if (factor === 1) return part;
  return joined([part], (x, pass, residual) => part.run(affine(x, factor, 0), pass, residual));
}

function joined(parts: readonly Part[], run: Part['run']): Part {
  return {
    weights: parts.flatMap(({ weights }) => weights),
    memory: parts.flatMap(({ memory }) => memory),
    constants: parts.flatMap(({ constants }) => constants),
    gives: parts.flatMap(({ gives = [] }) => gives),
    takes: parts.flatMap(({ takes = [] }) => takes),
    facts: Object.assign({}, ...parts.map(({ facts }) => facts)) as Part['facts'],
    flops(tokens) {
      const all = parts.map((part) => part.flops(tokens));
      const sum = (key: 'products' | 'mixing'): number => all.reduce((total, flops) => total + flops[key], 0);
      return { products: sum('products'), mixing: sum('mixing') };
    },
    run,
  };
}
