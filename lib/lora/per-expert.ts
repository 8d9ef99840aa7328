// Adapters of before transformers 5, which have a pair for each expert's gate, up and down projection. As PEFT does, they are
// fused on loading into pairs of the stacked parameters: A of gate and up one below the other, B on a block diagonal.
import { kernels } from '../core/native.js';
import { keep, scope } from '../core/scope.js';
import { type Tensor, viewOf } from '../core/tensor.js';
import type { Safetensors } from '../files/safetensors.js';
import { cast, concat, toDevice } from '../ops/copy.js';
import { zeros } from '../ops/random.js';
import type { LowRank } from '../parts/low-rank.js';
import { isAt, type LoraConfig, type LoraModules } from './modules.js';
import { type LoraTarget, parameterOf, prefix } from './targets.js';

/** The pair of a stacked parameter of which the file has each expert's; undefined where it has none. */
export function perExpertPair(
  file: Safetensors,
  target: LoraTarget,
  device: Tensor['device'],
  modules: LoraModules,
): LowRank | undefined {
  const { each, shape } = target;
  if (!each?.flat().some((path) => file.tensors.has(`${prefix}${path}.lora_A.weight`))) return undefined;
  const [experts, rows, cols] = shape as [number, number, number];
  const [bands, out] = [each.length, rows / each.length];
  const first = each[0]![0]!;
  const { r, scaling } = modules.rankAndScaling(first);
  for (const path of each.flat()) {
    const own = modules.rankAndScaling(path);
    if (!modules.isTarget(path) || own.r !== r || own.scaling !== scaling)
      throw new Error(
        `${file.path}: expert '${path}' must be targeted with the rank and scaling of '${first}', as experts are fused`,
      );
    for (const [which, wanted] of [
      ['A', [r, cols]],
      ['B', [out, r]],
    ] as const) {
      const name = `${prefix}${path}.lora_${which}.weight`;
      const info = file.tensors.get(name);
      if (!info) throw new Error(`${file.path}: tensor '${name}' is missing`);
      if (info.shape.join() !== wanted.join())
        throw new Error(`${file.path}: tensor '${name}' is [${info.shape}], expected [${wanted}] for rank ${r}`);
    }
  }
  const read = (path: string, which: 'A' | 'B'): Tensor =>
    cast(toDevice(file.tensor(`${prefix}${path}.lora_${which}.weight`), device), 'f32');
  const places = Array.from({ length: experts * bands }, (_, i) => [Math.floor(i / bands), i % bands] as const);
  const a = keep(scope(() => concat(places.map(([expert, band]) => read(each[band]![expert]!, 'A')))));
  const rank = bands * r;
  const b = keep(zeros([rows, rank * experts], { device }));
  for (const [expert, band] of places)
    scope(() => {
      const at = (band * out * rank + band * r) * experts + expert;
      kernels.copy(viewOf(b, [out, r], [rank * experts, experts], at).handle, read(each[band]![expert]!, 'B').handle);
    });
  return { a, b, scaling, ...parameterOf(target) };
}

/** The config of an adapter whose experts were fused, as PEFT writes it: parameters, with a rank that gate and up share. */
export function fusedConfig(
  config: LoraConfig,
  all: readonly LoraTarget[],
  fused: ReadonlyMap<LoraTarget, LowRank>,
): LoraConfig {
  if (fused.size === 0) return config;
  const { targetModules, r, loraAlpha, useRslora } = config;
  const others = all.filter((target) => !fused.has(target)).map(({ path }) => path.replace(/\.weight$/, ''));
  const names = new Set<string>();
  const [ranks, alphas]: Record<string, number>[] = [{}, {}];
  for (const [{ path, shape }, { a, scaling }] of fused) {
    const name = path.slice(path.lastIndexOf('.') + 1);
    const rank = a.dim(0) / shape[0]!;
    const alpha = scaling * (useRslora ? Math.sqrt(rank) : rank);
    names.add(name);
    if (rank !== r) ranks![`.*\\.${name}`] = rank;
    if (alpha !== loraAlpha) alphas![`.*\\.${name}`] = alpha;
  }
  return {
    ...config,
    targetModules:
      typeof targetModules === 'string'
        ? targetModules
        : targetModules.filter((name) => others.some((path) => isAt(name, path))),
    targetParameters: [...(config.targetParameters ?? []), ...names],
    rankPattern: { ...ranks, ...config.rankPattern },
    alphaPattern: { ...alphas, ...config.alphaPattern },
  };
}
