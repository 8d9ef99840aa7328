// What a training run reports of each optimizer step.
import type { MethodFigures } from './methods/index.js';

type EvalFigures = { [F in keyof MethodFigures as `eval${Capitalize<F>}`]: MethodFigures[F] };

/** One optimizer step; `EvalFigures` are the method's figures over `evalData`. */
export interface TrainStep extends MethodFigures, EvalFigures {
  /** From 1. */
  step: number;
  /** Steps in the whole run. */
  steps: number;
  /** Passes over the data so far, with their fraction where the data's length is known. */
  epoch: number;
  /** Mean loss of the step's targets or pairs in nats, before the step changed anything. */
  loss: number;
  /** Norm of all gradients, before they were scaled down to `maxGradNorm`. */
  gradNorm: number;
  learningRate: number;
  /** Tokens in the step, prompts included. */
  tokens: number;
  tokensPerSecond: number;
  /** The mean loss over `evalData` after the step, where it was measured. */
  evalLoss?: number;
}
