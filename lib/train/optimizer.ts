// AdamW over a list of parameters, with its state: the running means of the gradients and of their squares.

import { keep } from '../core/scope.js';
import type { Tensor } from '../core/tensor.js';
import { adamw, squaredNorm } from '../ops/adamw.js';
import { zeros } from '../ops/random.js';

export interface AdamWOptions {
  betas: readonly [number, number];
  eps: number;
  weightDecay: number;
  /** Largest norm of all gradients; 0 turns clipping off. */
  maxGradNorm: number;
}

export class AdamW {
  readonly #parameters: readonly Tensor[];
  readonly #moments: readonly Tensor[];
  readonly #variances: readonly Tensor[];

  /** Turns the parameters' `requiresGrad` on, until `dispose`. */
  constructor(
    readonly parameters: ReadonlyMap<string, Tensor>,
    private readonly options: AdamWOptions,
  ) {
    this.#parameters = [...parameters.values()];
    const state = (): Tensor[] => this.#parameters.map(({ shape, device }) => keep(zeros(shape, { device })));
    this.#moments = state();
    this.#variances = state();
    for (const x of this.#parameters) x.requiresGrad = true;
  }

  /** The sum of the squares of all gradients: f32 `[1]`, in the open scope. */
  squaredNorm(): Tensor {
    return squaredNorm(this.#gradients());
  }

  /** Moves the parameters, as step number `step` (from 1), and drops the gradients. `norm` is of `squaredNorm`. */
  step(step: number, learningRate: number, norm: Tensor): void {
    const { betas, eps, weightDecay, maxGradNorm } = this.options;
    adamw(this.#parameters, this.#moments, this.#variances, this.#gradients(), {
      learningRate,
      betas,
      eps,
      weightDecay,
      step,
      ...(maxGradNorm > 0 ? { norm, maxNorm: maxGradNorm } : {}),
    });
    this.clear();
  }

  /** Drops the gradients. */
  clear(): void {
    for (const x of this.#parameters) {
      x.grad?.dispose();
      x.grad = undefined;
    }
  }

  /** What a checkpoint keeps besides the parameters. */
  state(): Map<string, Tensor> {
    const out = new Map<string, Tensor>();
    [...this.parameters.keys()].forEach((name, i) => {
      out.set(`moment.${name}`, this.#moments[i]!);
      out.set(`variance.${name}`, this.#variances[i]!);
    });
    return out;
  }

  dispose(): void {
    this.clear();
    for (const x of this.#parameters) x.requiresGrad = false;
    for (const x of [...this.#moments, ...this.#variances]) x.dispose();
  }

  #gradients(): Tensor[] {
    return this.#parameters.map((x, i) => {
      if (!x.grad) throw new Error(`no gradient reached ${[...this.parameters.keys()][i]}`);
      return x.grad;
    });
  }
}
