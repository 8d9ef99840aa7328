// A LoRA config, and which of a model's layers it is for, with what rank: PEFT's rules for target_modules,
// exclude_modules, layers_to_transform, layers_pattern, rank_pattern and alpha_pattern.
import { shown } from '../flow/fault.js';
import { Effort, Pattern, PatternError } from './pattern.js';
import type { LoraTarget } from './targets.js';

export interface LoraConfig {
  r: number;
  loraAlpha: number;
  loraDropout: number;
  targetModules: string | readonly string[];
  /** Endings of the paths of parameters, such as `mlp.experts.gate_up_proj`. */
  targetParameters?: readonly string[] | undefined;
  excludeModules: string | readonly string[] | undefined;
  /** The layers that get pairs, by number; undefined: all. */
  layersToTransform?: readonly number[] | undefined;
  /** Regular expressions for the names of the lists that hold the layers. */
  layersPattern?: readonly string[] | undefined;
  useRslora: boolean;
  rankPattern: Readonly<Record<string, number>>;
  alphaPattern: Readonly<Record<string, number>>;
  baseModel: string | undefined;
  /** The base stores its matrices as `[in, out]`, which PEFT must know; A and B are the same. */
  fanInFanOut?: boolean;
}

/** Makes the error about a field of the config; `words` go on behind its name. */
export type FieldFault = (field: keyof LoraConfig, words: string) => Error;

type Chosen = (path: string) => boolean;
/** Values, each with the layers that it is for; the first that fits counts. */
type Valued = readonly (readonly [fits: Chosen, value: number])[];

const asOption: FieldFault = (field, words) => new RangeError(`lora: option '${field}' ${words}`);

export class LoraModules {
  readonly #effort = new Effort();
  readonly #targets: Chosen;
  readonly #excluded: Chosen;
  readonly #inLayers: Chosen;
  readonly #ranks: Valued;
  readonly #alphas: Valued;

  /** @throws what `fault` makes, for an expression that is none; later also for one that takes too long. */
  constructor(
    private readonly config: LoraConfig,
    private readonly fault: FieldFault = asOption,
  ) {
    this.#targets = this.#chosen('targetModules', config.targetModules);
    this.#excluded = this.#chosen('excludeModules', config.excludeModules ?? []);
    this.#inLayers = this.#layers();
    this.#ranks = this.#patterns('rankPattern', config.rankPattern);
    this.#alphas = this.#patterns('alphaPattern', config.alphaPattern);
  }

  /** Whether the layer at this path gets a pair. */
  isTarget(path: string): boolean {
    return this.#targets(path) && this.#inLayers(path) && !this.#excluded(path);
  }

  /**
   * Whether a target gets a pair. Parameters are named by themselves; a matrix that was a linear layer's in transformers 4
   * may be named as that.
   */
  isChosen({ path, parameter, shape }: LoraTarget): boolean {
    const { targetModules, targetParameters = [] } = this.config;
    if (!parameter) return this.isTarget(path);
    if (targetParameters.some((name) => isAt(name, path))) return this.#inLayers(path);
    const module = path.replace(/\.weight$/, '');
    return module !== path && shape.length === 2 && targetModules !== 'all-linear' && this.isTarget(module);
  }

  /** The rank of one layer's pair and the factor of its product. */
  rankAndScaling(path: string): { r: number; scaling: number } {
    const { r: rank, loraAlpha, useRslora } = this.config;
    const first = (patterns: Valued): number | undefined => patterns.find(([fits]) => fits(path))?.[1];
    const r = first(this.#ranks) ?? rank;
    const alpha = first(this.#alphas) ?? loraAlpha;
    return { r, scaling: alpha / (useRslora ? Math.sqrt(r) : r) };
  }

  /** The names and patterns that are for none of these layers, with the field that holds each. */
  unused(paths: readonly string[]): { field: keyof LoraConfig; name: string }[] {
    const { targetModules, targetParameters = [], rankPattern, alphaPattern } = this.config;
    const names = (field: 'targetModules' | 'targetParameters', list: readonly string[]) =>
      list.filter((name) => !paths.some((path) => isAt(name, path))).map((name) => ({ field, name }));
    const keys = (field: 'rankPattern' | 'alphaPattern', patterns: Valued, values: object) =>
      Object.keys(values)
        .filter((_, i) => !paths.some(patterns[i]![0]))
        .map((name) => ({ field, name }));
    return [
      ...names('targetModules', typeof targetModules === 'string' ? [] : targetModules),
      ...names('targetParameters', targetParameters),
      ...keys('rankPattern', this.#ranks, rankPattern),
      ...keys('alphaPattern', this.#alphas, alphaPattern),
    ];
  }

  #chosen(field: keyof LoraConfig, modules: string | readonly string[]): Chosen {
    if (modules === 'all-linear') return () => true; // only linear layers are asked about
    if (typeof modules === 'string') return this.#fits(field, modules, 'nothing');
    const names = new Set(modules);
    return (path) => {
      for (let dot = -1; ; ) {
        if (names.has(path.slice(dot + 1))) return true;
        dot = path.indexOf('.', dot + 1);
        if (dot < 0) return false;
      }
    };
  }

  #patterns(field: 'rankPattern' | 'alphaPattern', values: Readonly<Record<string, number>>) {
    return Object.entries(values).map(([key, value]) => [this.#fits(field, key, 'dot'), value] as const);
  }

  #layers(): Chosen {
    const { targetModules, layersToTransform, layersPattern } = this.config;
    if (layersToTransform === undefined) return () => true;
    const holders = (layersPattern ?? ['[^.]*']).map((holder) =>
      this.#fits('layersPattern', `.*\\.(?:${holder})`, 'nothing'),
    );
    return (path) => {
      // PEFT takes a module that is named by its whole path whatever its layer.
      if (typeof targetModules !== 'string' && targetModules.includes(path)) return true;
      const parts = path.split('.');
      for (const fits of holders) {
        for (let at = parts.length - 2; at >= 2; at--) {
          if (/^\d+$/.test(parts[at]!) && fits(parts.slice(0, at).join('.')))
            return layersToTransform.includes(Number(parts[at]));
        }
      }
      return false;
    };
  }

  #fits(field: keyof LoraConfig, source: string, behind: 'nothing' | 'dot'): Chosen {
    const guarded = <T>(work: () => T): T => {
      try {
        return work();
      } catch (error) {
        if (!(error instanceof PatternError)) throw error;
        throw this.fault(field, `${error.message}, got ${shown(source)}`);
      }
    };
    const pattern = guarded(() => new Pattern(source, this.#effort, behind));
    return (path) => guarded(() => pattern.matches(path));
  }
}

/** Whether a name is the path's or its ending. */
export const isAt = (name: string, path: string): boolean => path === name || path.endsWith(`.${name}`);
