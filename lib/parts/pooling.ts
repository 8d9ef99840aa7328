// Pooling: one vector of the final hidden states of a text's tokens. States are added in double, token by token, so that a
// text has the same vector however its tokens are spread over steps.

interface Rule {
  /** What sentence-transformers calls it, and its older flag in a pooling module's config. */
  readonly name: string;
  readonly flag: string;
  /** `pooling_type` in a GGUF file. */
  readonly gguf?: number;
  /** The one token whose state it is. Default: all. */
  readonly only?: 'first' | 'last';
  /** Takes the largest value of each channel, instead of a sum. */
  readonly largest?: boolean;
  /** The weight in the sum of the token at a place of the text, counted from 0. Default 1. */
  weight?(at: number): number;
  /** What the sum is divided by. Default 1. */
  divisor?(weights: number): number;
}

/** The kinds, in the order in which sentence-transformers joins the vectors of several. */
const rules = {
  cls: { name: 'cls', flag: 'pooling_mode_cls_token', gguf: 2, only: 'first' },
  max: { name: 'max', flag: 'pooling_mode_max_tokens', largest: true },
  mean: { name: 'mean', flag: 'pooling_mode_mean_tokens', gguf: 1, divisor: (count) => count },
  meanSqrtLength: { name: 'mean_sqrt_len_tokens', flag: 'pooling_mode_mean_sqrt_len_tokens', divisor: Math.sqrt },
  weightedMean: {
    name: 'weightedmean',
    flag: 'pooling_mode_weightedmean_tokens',
    weight: (at) => at + 1,
    divisor: (weights) => weights,
  },
  last: { name: 'lasttoken', flag: 'pooling_mode_lasttoken', gguf: 3, only: 'last' },
} satisfies Readonly<Record<string, Rule>>;

export type PoolingKind = keyof typeof rules;
export const poolingKinds = Object.keys(rules) as PoolingKind[];
const ruleOf = (kind: PoolingKind): Rule => rules[kind];

/** The names that sentence-transformers has for the kinds. */
export const poolingNames: readonly string[] = poolingKinds.map((kind) => ruleOf(kind).name);
export const poolingByName = (name: string): PoolingKind | undefined =>
  poolingKinds.find((kind) => ruleOf(kind).name === name);
/** The kinds whose flag in a pooling module's config is set. */
export const poolingByFlags = (config: Readonly<Record<string, unknown>>): PoolingKind[] =>
  poolingKinds.filter((kind) => config[ruleOf(kind).flag] === true);
export const poolingFlags: readonly string[] = poolingKinds.map((kind) => ruleOf(kind).flag);
export const poolingByGguf = (type: number): PoolingKind | undefined =>
  poolingKinds.find((kind) => ruleOf(kind).gguf === type);

/** Pools one text's states, which come in order, chunk by chunk; several kinds are joined to one vector. */
export class Pool {
  readonly #sums: readonly Float64Array[];
  readonly #weights: number[];
  readonly #rules: readonly Rule[];

  /** `length` tokens, the first `skipped` of which do not count. */
  constructor(
    kinds: readonly PoolingKind[],
    private readonly width: number,
    private readonly length: number,
    private readonly skipped = 0,
  ) {
    this.#rules = kinds.map(ruleOf);
    this.#sums = this.#rules.map(({ largest }) => new Float64Array(width).fill(largest ? -Infinity : 0));
    this.#weights = this.#rules.map(() => 0);
  }

  /** The rows among `count` from token `from` on that `add` has to see, as `[first, end)`; empty where none is. */
  static rows(kinds: readonly PoolingKind[], length: number, skipped: number, from: number, count: number) {
    const only = [...new Set(kinds.map((kind) => ruleOf(kind).only))];
    const first = only[0] === 'last' && only.length === 1 ? length - 1 : skipped;
    const end = only[0] === 'first' && only.length === 1 ? skipped + 1 : length;
    const clamp = (at: number): number => Math.min(Math.max(at, from), from + count);
    return [clamp(first), clamp(end)] as const;
  }

  /** Takes in `states [rows, width]` of the tokens from `from` on. */
  add(states: ArrayLike<number>, from: number): void {
    const { width, length, skipped } = this;
    for (let row = 0; row * width < states.length; row++) {
      const at = from + row;
      if (at < skipped) continue;
      for (const [k, rule] of this.#rules.entries()) {
        if ((rule.only === 'first' && at !== skipped) || (rule.only === 'last' && at !== length - 1)) continue;
        const sum = this.#sums[k]!;
        const weight = rule.weight?.(at) ?? 1;
        this.#weights[k]! += weight;
        for (let i = 0; i < width; i++) {
          const x = states[row * width + i]!;
          if (rule.largest) sum[i] = Math.max(sum[i]!, x);
          else sum[i]! += weight * x;
        }
      }
    }
  }

  /** The vector, `[kinds · width]`. */
  result(): Float64Array {
    const out = new Float64Array(this.#sums.length * this.width);
    for (const [k, sum] of this.#sums.entries()) {
      const divisor = this.#rules[k]!.divisor?.(this.#weights[k]!) ?? 1;
      out.set(
        sum.map((x) => x / divisor),
        k * this.width,
      );
    }
    return out;
  }
}

/** `x` divided by its length; zeros stay zeros. */
export function normalized(x: Float64Array): Float64Array {
  const norm = Math.sqrt(x.reduce((squares, value) => squares + value * value, 0));
  return x.map((value) => (norm > 0 ? value / norm : 0));
}
