// Reads an adapter's folder in PEFT's format, and holds its config, its weights and the model against each other: what
// loads computes what PEFT computes, and all else is refused by name.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../core/device.js';
import { keep, scope } from '../core/scope.js';
import { computed, type Tensor } from '../core/tensor.js';
import { type JsonObject, readJson } from '../files/json.js';
import { openSafetensors, type Safetensors } from '../files/safetensors.js';
import { usualName } from '../files/wrapped.js';
import { TimeSlice } from '../flow/pause.js';
import { cast, toDevice } from '../ops/copy.js';
import type { LowRank } from '../parts/low-rank.js';
import { type LoraConfig, peftFault, readPeftConfig } from './config.js';
import { LoraModules } from './modules.js';
import { fusedConfig, perExpertPair } from './per-expert.js';
import { holdersOf, type LoraTarget, pairShapes, parameterOf, prefix } from './targets.js';

/** What an adapter must know of the model that it is for. */
export interface AdapterBase {
  readonly device: Device;
  readonly weights: ReadonlyMap<string, Tensor>;
  /** Checkpoints of the model store its matrices as `[in, out]`. */
  readonly fanInFanOut: boolean;
  loraTargets(): LoraTarget[];
}

export const configName = 'adapter_config.json';
export const weightsName = 'adapter_model.safetensors';

/** The ranks of a thousand layers, each by its path, take a tenth of it. */
export const maxConfigBytes = 1024 * 1024;

/**
 * The config and the pairs, by module path in the order of the model's layers.
 *
 * @throws Error that names the file and the tensor or field: missing, of a wrong shape, not finite, for a layer that the
 *   model does not have or the config does not target, or a feature that is not supported.
 */
export async function readAdapter(
  folder: string,
  base: AdapterBase,
): Promise<{ config: LoraConfig; pairs: Map<string, LowRank> }> {
  const configFile = join(folder, configName);
  const json = readJson(configFile, { maxBytes: maxConfigBytes });
  checkFormat(folder, json);
  const config = { ...readPeftConfig(configFile, json), ...(base.fanInFanOut ? { fanInFanOut: true } : {}) };
  const modules = new LoraModules(config, peftFault(configFile));
  const file = openSafetensors(join(folder, weightsName));
  const pairs = new Map<string, LowRank>();
  try {
    const slice = new TimeSlice();
    // A config without target_modules leaves the choice to the weights.
    const { targetModules, targetParameters = [] } = config;
    const hasTargets = targetModules.length + targetParameters.length > 0;
    const targets = base.loraTargets();
    const held = holdersIn(file, targets);
    // Patterns mean the names that the file has.
    const isChosen = (target: LoraTarget): boolean =>
      modules.isChosen({ ...target, path: held.stored.get(target.path) ?? target.path });
    const holders = holdersOf(hasTargets ? targets.filter(isChosen) : targets);
    const fused = new Map<LoraTarget, LowRank>();
    for (const target of targets) {
      const { path } = target;
      if (slice.over) await slice.pause();
      const pair = perExpertPair(file, target, base.device, modules);
      if (pair) {
        pairs.set(path, pair);
        fused.set(target, pair);
        continue;
      }
      const usual = holders.get(path) ?? `${prefix}${path}`;
      const holder = held.holders.get(usual);
      held.holders.delete(usual);
      const isTarget = hasTargets ? isChosen(target) : holder !== undefined;
      if (holder === undefined && isTarget) {
        throw new Error(
          `${file.path}: layer '${path}' has no LoRA weights, but ${configFile} targets it; if that is meant, leave it out of 'target_modules' or name it in 'exclude_modules'`,
        );
      }
      if (holder === undefined) continue;
      if (!isTarget) {
        throw new Error(
          `${file.path}: tensor '${holder}.lora_A.weight' is for a layer that ${configFile} does not target, by 'target_modules' and the fields beside it`,
        );
      }
      pairs.set(path, readPair(file, target, held, holder, base, modules));
    }
    const [other] = held.holders.values();
    if (other !== undefined)
      throw new Error(
        `${file.path}: tensor '${other}.lora_A.weight' is for a parameter that ${configFile} does not target by 'target_parameters'`,
      );
    await computed([...pairs.values()].flatMap(({ a, b }) => [a, b]));
    await checkFinite(file, pairs, holders);
    // Saved again, the config names what the weights chose.
    const own = hasTargets ? config : { ...config, targetModules: [...pairs.keys()] };
    return { config: fusedConfig(own, targets, fused), pairs };
  } catch (error) {
    for (const { a, b } of pairs.values()) [a, b].forEach((x) => x.dispose());
    throw error;
  } finally {
    file.close();
  }
}

/** Refuses the formats of other programs, and says what to do. */
function checkFormat(folder: string, json: JsonObject): void {
  if (json.peft_type === undefined && (json.fine_tune_type !== undefined || json.lora_parameters !== undefined)) {
    throw new Error(
      `${join(folder, configName)}: is an adapter of MLX, which is not read: convert it to PEFT's format, or fuse it into its model with mlx_lm.fuse and load that`,
    );
  }
  const pickled = join(folder, 'adapter_model.bin');
  if (!existsSync(join(folder, weightsName)) && existsSync(pickled)) {
    throw new Error(
      `${pickled}: pickled weights are not read, as they can run code: load the adapter with PEFT and save it again, which writes ${weightsName}`,
    );
  }
}

interface Held {
  /** What the file holds weights for, as `holdersOf` names it, and as the file does. */
  readonly holders: Map<string, string>;
  /** The paths of targets that the file calls otherwise. */
  readonly stored: ReadonlyMap<string, string>;
}

function holdersIn(file: Safetensors, targets: readonly LoraTarget[]): Held {
  const known = new Map<string, string[]>();
  for (const { path, parameter } of targets) {
    const module = parameter ? path.slice(0, path.lastIndexOf('.')) : path;
    known.set(module, [...(known.get(module) ?? []), path]);
  }
  // An adapter of what transformers calls the base model, as of embedding models, has names without its prefix.
  const ofBase = new Map([...known.keys()].map((path) => [path.slice(path.indexOf('.') + 1), path]));
  const holders = new Map<string, string>();
  const stored = new Map<string, string>();
  const ofExperts = new Set(targets.flatMap(({ each }) => each?.flat() ?? []));
  for (const name of file.tensors.keys()) {
    const [, path, wraps = ''] = /^base_model\.model\.(.+?)((?:\.base_layer)*)\.lora_[AB]\.weight$/.exec(name) ?? [];
    if (path === undefined) throw new Error(`${file.path}: tensor '${name}' is not a LoRA weight that is supported`);
    if (ofExperts.has(path)) continue;
    const usual = [path, usualName(path)].find((each) => known.has(each)) ?? ofBase.get(path) ?? path;
    const paths = known.get(usual);
    if (!paths) throw new Error(`${file.path}: tensor '${name}' is for a layer that this model does not have`);
    holders.set(`${prefix}${usual}${wraps}`, `${prefix}${path}${wraps}`);
    if (usual !== path) for (const each of paths) stored.set(each, path + each.slice(usual.length));
  }
  if (file.tensors.size === 0) throw new Error(`${file.path}: holds no LoRA weights`);
  return { holders, stored };
}

function readPair(
  file: Safetensors,
  target: LoraTarget,
  { stored }: Held,
  holder: string,
  base: AdapterBase,
  modules: LoraModules,
): LowRank {
  const { r, scaling } = modules.rankAndScaling(stored.get(target.path) ?? target.path);
  const names = { a: `${holder}.lora_A.weight`, b: `${holder}.lora_B.weight` };
  const shapes = pairShapes(target, r);
  for (const which of ['a', 'b'] as const) {
    const info = file.tensors.get(names[which]);
    if (!info) throw new Error(`${file.path}: tensor '${names[which]}' is missing`);
    if (info.shape.join() !== shapes[which].join()) {
      throw new Error(
        `${file.path}: tensor '${names[which]}' is [${info.shape}], expected [${shapes[which]}] for rank ${r}`,
      );
    }
  }
  // Copied, because training writes it, and because the file may be replaced while the adapter is in use.
  const read = (name: string): Tensor =>
    keep(scope(() => cast(toDevice(file.tensor(name), base.device), 'f32', { copy: true })));
  return { a: read(names.a), b: read(names.b), scaling, ...parameterOf(target) };
}

async function checkFinite(
  file: Safetensors,
  pairs: ReadonlyMap<string, LowRank>,
  holders: ReadonlyMap<string, string>,
): Promise<void> {
  const slice = new TimeSlice();
  for (const [path, { a, b }] of pairs) {
    for (const [which, tensor] of [
      ['A', a],
      ['B', b],
    ] as const) {
      const values = await tensor.data();
      const odd = values.findIndex((value) => !Number.isFinite(value));
      if (odd >= 0)
        throw new Error(
          `${file.path}: tensor '${holders.get(path) ?? `${prefix}${path}`}.lora_${which}.weight' holds ${values[odd]}, not a finite number`,
        );
      if (slice.over) await slice.pause();
    }
  }
}
