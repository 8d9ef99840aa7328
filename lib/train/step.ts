// What a training run reports: what it settled on, then each optimizer step.
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

/** What a run settled on. */
export interface RunPlan {
  /** Rows to learn from in an epoch; undefined where the data is read as the steps need it. */
  rows: number | undefined;
  epochs: number | undefined;
  /** In the whole run. */
  steps: number;
  /** Rows in a step; undefined where micro-batches are counted in tokens. */
  batchSize: number | undefined;
  /** Most tokens in a step; undefined where micro-batches are counted in rows. */
  batchTokens: number | undefined;
  learningRate: number;
  schedule: string;
  warmupSteps: number;
  /** Of the adapter; undefined where all weights are trained. */
  lora: { r: number; alpha: number } | undefined;
}
