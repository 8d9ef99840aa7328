// Adapter: the trainable low-rank pairs of a LoRA fine-tune, made, loaded and saved in PEFT's format.
import { join } from 'node:path';
import { keep } from '../core/scope.js';
import type { Tensor } from '../core/tensor.js';
import { settleFolder, writeAtomic, writeFolderAtomic } from '../files/atomic.js';
import { type SavedTensor, saveSafetensors } from '../files/safetensors.js';
import { suggestion } from '../flow/options.js';
import { uniform, zeros } from '../ops/random.js';
import type { LowRank } from '../parts/low-rank.js';
import { type LoraConfig, type LoraOptions, loraConfig, peftConfig } from './config.js';
import { LoraModules } from './modules.js';
import { type AdapterBase, readAdapter } from './read.js';
import { holdersOf, type LoraTarget, pairShapes, parameterOf } from './targets.js';

export class Adapter {
  /** Grows whenever training moves the pairs, so that holders of a copy see that theirs is old. */
  version = 0;
  /** Its name in figures, set by code that names adapters. */
  name: string | undefined;
  #users = 0;
  #retired = false;

  /** @internal Made by `create` and `load`. */
  constructor(
    readonly config: LoraConfig,
    /** By module path, in the order of the model's layers. */
    readonly pairs: ReadonlyMap<string, LowRank>,
  ) {}

  /**
   * A fresh adapter, which changes nothing yet: A is uniform in ±1/√in as PEFT draws it, B is zero.
   *
   * @throws Error if no layer is targeted, or naming the option that is wrong or fits no layer.
   */
  static create(base: AdapterBase, options: LoraOptions, seed: number, baseModel?: string): Adapter {
    const config = loraConfig(options, baseModel);
    const { device } = base;
    const modules = new LoraModules(config);
    const all = base.loraTargets();
    const chosen = all.filter((target) => modules.isChosen(target));
    const [paths, targets] = [namesOf(all), namesOf(chosen)];
    if (config.loraDropout > 0 && chosen.some(({ parameter }) => parameter))
      throw new RangeError("lora: option 'dropout' must be 0 where 'targetParameters' are trained, as in PEFT");
    if (targets.length === 0) {
      throw new Error(
        `lora: targetModules ${JSON.stringify(config.targetModules)} fits none of the model's linear layers, such as '${paths[0]}'`,
      );
    }
    const [unused] = [...modules.unused(paths), ...modules.unused(targets)];
    if (unused) {
      const known = endings(unused.field === 'rankPattern' || unused.field === 'alphaPattern' ? targets : paths);
      throw new Error(
        `lora: '${unused.name}' in option '${unused.field}' fits none of the layers${suggestion(unused.name, known)}`,
      );
    }
    const pairs = new Map<string, LowRank>();
    chosen.forEach((target, i) => {
      const { r, scaling } = modules.rankAndScaling(target.path);
      const shapes = pairShapes(target, r);
      const bound = 1 / Math.sqrt(shapes.a[1]);
      const a = keep(uniform(shapes.a, { low: -bound, high: bound, seed: seed + 7919 * (i + 1), device }));
      const b = keep(zeros(shapes.b, { device }));
      pairs.set(target.path, { a, b, scaling, ...parameterOf(target) });
    });
    return new Adapter(
      {
        ...config,
        ...(base.fanInFanOut ? { fanInFanOut: true } : {}),
        targetModules:
          config.targetModules === 'all-linear'
            ? endings(chosen.filter(({ parameter }) => !parameter).map(({ path }) => path))
            : config.targetModules,
      },
      pairs,
    );
  }

  /**
   * Loads a folder in PEFT's format: adapter_config.json and adapter_model.safetensors.
   *
   * @throws Error that names the file and the tensor or field: missing, of a wrong shape, for a layer that the model
   *   does not have, or a feature that is not supported.
   */
  static async load(folder: string, base: AdapterBase): Promise<Adapter> {
    await settleFolder(folder);
    const { config, pairs } = await readAdapter(folder, base);
    return new Adapter(config, pairs);
  }

  /** Writes the folder in PEFT's format, or replaces it, in one step: a reader sees the old or the new one. */
  async save(folder: string): Promise<void> {
    const tensors = await this.tensors();
    await writeFolderAtomic(folder, async (inside) => {
      await writeAtomic(join(inside, 'adapter_config.json'), `${JSON.stringify(peftConfig(this.config), null, 2)}\n`);
      await saveSafetensors(join(inside, 'adapter_model.safetensors'), tensors, { format: 'pt' });
    });
  }

  /** Each pair's A and B by PEFT's names. */
  namedParameters(): Map<string, Tensor> {
    const targets = [...this.pairs].map(([path, { parameter }]) => ({ path, parameter: parameter !== undefined }));
    const holders = holdersOf(targets);
    const out = new Map<string, Tensor>();
    for (const [path, { a, b }] of this.pairs) {
      out.set(`${holders.get(path)}.lora_A.weight`, a);
      out.set(`${holders.get(path)}.lora_B.weight`, b);
    }
    return out;
  }

  /** The weights by PEFT's names, copied from the device. */
  async tensors(): Promise<Map<string, SavedTensor>> {
    const out = new Map<string, SavedTensor>();
    for (const [name, x] of this.namedParameters())
      out.set(name, { dtype: 'F32', shape: x.shape, bytes: await x.bytes() });
    return out;
  }

  /** Each pair's A and B, in the order of the model's layers. */
  parameters(): Tensor[] {
    return [...this.pairs.values()].flatMap(({ a, b }) => [a, b]);
  }

  /** One more user, who releases it: `retire` waits for that. */
  hold(): this {
    this.#users++;
    return this;
  }

  release(): void {
    this.#users--;
    if (this.#retired && this.#users === 0) this.dispose();
  }

  /** Disposes of it once its last holder has released it. */
  retire(): void {
    this.#retired = true;
    if (this.#users === 0) this.dispose();
  }

  dispose(): void {
    for (const x of this.parameters()) x.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The paths of targets. A parameter may be named as the module that it was in transformers 4, too. */
const namesOf = (targets: readonly LoraTarget[]): string[] =>
  targets.flatMap(({ path, parameter }) => (parameter ? [path, path.replace(/\.weight$/, '')] : [path]));

// Spelled out, because not every reader of the format knows 'all-linear'.
const endings = (paths: Iterable<string>): string[] => [
  ...new Set([...paths].map((path) => path.slice(path.lastIndexOf('.') + 1))),
];
