// What LoRA may target: linear layers, and parameters that are not the weight of one, such as the stacked matrices of
// experts; and what PEFT calls the tensors of each.
import type { LowRank } from '../parts/low-rank.js';

export interface LoraTarget {
  /** A module's path, or a parameter's as transformers 5 has it. */
  readonly path: string;
  /** Its weight: the name, and `[out, in]`, or `[experts, out, in]`. */
  readonly weight: string;
  readonly shape: readonly number[];
  readonly parameter: boolean;
  /** The parameter's rows come from so many bands in turns, which the weight has one after the other. */
  readonly bands?: number | undefined;
  /** The modules that a stacked parameter was in transformers 4: for each band of its rows, one of each expert. */
  readonly each?: readonly (readonly string[])[] | undefined;
}

/** What PEFT writes in front of a module's path. */
export const prefix = 'base_model.model.';

/** The shapes of a pair of rank `r`: experts lie behind each other in the rows of A, and within each rank of B's columns. */
export function pairShapes({ shape }: LoraTarget, r: number): { a: [number, number]; b: [number, number] } {
  const [out, from] = shape.slice(-2) as [number, number];
  const rows = r * (shape.length === 3 ? shape[0]! : 1);
  return { a: [rows, from], b: [out, rows] };
}

/** What a pair says of the weight that it is for, where the path does not. */
export const parameterOf = ({ parameter, weight, shape, bands }: LoraTarget): Pick<LowRank, 'parameter'> =>
  parameter ? { parameter: { weight, experts: shape.length === 3 ? shape[0] : undefined, bands } } : {};

/**
 * The names of the pairs' holders in a file, in front of `.lora_A.weight`. PEFT wraps a module once for each of its
 * parameters that are targeted, the first one innermost, and names none of them.
 */
export function holdersOf(targets: readonly Pick<LoraTarget, 'path' | 'parameter'>[]): Map<string, string> {
  const holders = new Map<string, string>();
  const modules = new Map<string, string[]>();
  for (const { path, parameter } of targets) {
    if (!parameter) holders.set(path, `${prefix}${path}`);
    else {
      const module = path.slice(0, path.lastIndexOf('.'));
      modules.set(module, [...(modules.get(module) ?? []), path]);
    }
  }
  for (const [module, paths] of modules)
    paths.forEach((path, i) => holders.set(path, `${prefix}${module}${'.base_layer'.repeat(paths.length - 1 - i)}`));
  return holders;
}
