// The training loop that adapters and whole models share.
//
// One step: the losses of all its micro-batches, each gradient divided by the weight of the whole step (its number of
// targets, or of pairs); the norm of the gradients; AdamW. JavaScript waits for the losses and the norm before the
// parameters move, so that a loss that is not a number never reaches them.
import { scope } from '../core/scope.js';
import { computed, type Tensor } from '../core/tensor.js';
import { TimeSlice } from '../flow/pause.js';
import type { Adapter } from '../lora/adapter.js';
import type { Decoder } from '../models/decoder.js';
import type { Tokenizer } from '../text/tokenizer/tokenizer.js';
import {
  checkpointPath,
  listCheckpoints,
  openCheckpoints,
  type RunState,
  resumeCheckpoint,
  saveCheckpoint,
} from './checkpoint.js';
import { Batches, type Position, stepsInEpoch } from './data/batches.js';
import { type Data, DataReport, dataName, isPath, LoadedSource, type Source, StreamedSource } from './data/dataset.js';
import type { EncodeOptions } from './data/rows.js';
import { evalName, meansOf } from './figures.js';
import type { Objective, Prepared, Totals } from './methods/method.js';
import { AdamW } from './optimizer.js';
import type { Settings } from './options.js';
import type { Turn } from './pace.js';
import { type Passes, passesOf } from './plan.js';
import { mix } from './random.js';
import { rateFactor, type Schedule, warmupLength } from './schedule.js';
import type { RunPlan, TrainStep } from './step.js';

// Rows are measured in batches of their own: those of a step may be one short row each.
const evalTokens = 2048;

/** What is trained. */
export interface Trainee {
  decoder: Decoder;
  adapter: Adapter | undefined;
  /** What a method with a reference compares with. Undefined: the model without any adapter. */
  reference: Adapter | undefined;
  /** By the names that they have in a checkpoint. */
  parameters: ReadonlyMap<string, Tensor>;
  /** The name of the parameters' file in a checkpoint. */
  weightsFile: string;
  /** Other files of a checkpoint, by name. */
  texts: Readonly<Record<string, string>>;
  /** Fingerprint of the frozen weights. */
  base: string;
  /** More options that a resumed run must share. */
  options: Readonly<Record<string, unknown>>;
}

/** Trains `trainee` in place. */
export async function* train(
  trainee: Trainee,
  tokenizer: Tokenizer | undefined,
  settings: Settings,
  signal: AbortSignal,
  turn?: Turn,
): AsyncGenerator<TrainStep, void, void> {
  const run = new Run(trainee, tokenizer, settings, signal, turn);
  try {
    yield* run.steps();
  } finally {
    await run.dispose();
  }
}

class Run {
  readonly #optimizer: AdamW;
  #objective: Objective | undefined;
  readonly #report = new DataReport();
  #source: Source | undefined;
  #evalSource: LoadedSource | undefined;
  #passes: Passes = { epochs: 0, size: {}, gradientAccumulation: 1, gradientCheckpointing: false };
  #schedule: Schedule;
  #done: Pick<RunState, 'step' | 'position' | 'untold'> = { step: 0, position: { epoch: 0, row: 0 } };
  #saved = 0;

  constructor(
    private readonly trainee: Trainee,
    private readonly tokenizer: Tokenizer | undefined,
    private readonly settings: Settings,
    private readonly signal: AbortSignal,
    private readonly turn: Turn | undefined,
  ) {
    this.#optimizer = new AdamW(trainee.parameters, settings);
    this.#schedule = { name: settings.schedule, warmupSteps: 0, totalSteps: 0 };
  }

  async *steps(): AsyncGenerator<TrainStep, void, void> {
    const { settings, signal } = this;
    signal.throwIfAborted();
    if (settings.checkpointDir !== undefined) await openCheckpoints(settings.checkpointDir);
    this.#source = await this.#openData();
    this.#passes = passesOf(settings, this.#source);
    const total = await this.#totalSteps(this.#source);
    this.#schedule = { name: settings.schedule, warmupSteps: warmupLength(settings.warmup, total), totalSteps: total };
    if (settings.evalData !== undefined) await this.#openEvalData(settings.evalData);
    await this.#resume(total);
    this.#warnOfPlan(this.#source);
    settings.onStart?.(this.#plan(this.#source));
    const objective = this.#makeObjective();

    const evalEvery = settings.evalEvery ?? Math.max(1, Math.ceil(total / 10));
    const checkpointEvery = settings.checkpointEvery ?? Math.min(500, Math.max(1, Math.ceil(total / 10)));
    const batches = new Batches(this.#source, this.#passes.size, this.#done.position);
    const isDue = (step: number, every: number): boolean => step === total || (step > 0 && step % every === 0);
    const begun = this.#done.step;
    try {
      // A resumed run may begin between a step, the report of its figures and its checkpoint.
      for (let { step } = this.#done; ; ) {
        const { untold } = this.#done;
        if (untold) {
          const measured =
            this.#evalSource && isDue(step, evalEvery) ? await this.#evaluate(objective, this.#evalSource) : {};
          const told = { ...untold, ...measured };
          await settings.onStep?.(told);
          this.#done.untold = undefined;
          yield told;
        }
        if (isDue(step, checkpointEvery)) await this.#keep();
        else if (settings.checkpointFirst && step === begun + 1) await this.#save();
        if (step >= total) break;
        await this.#step(objective, ++step, batches);
      }
    } catch (error) {
      if (signal.aborted) await this.#save();
      throw error;
    }
    if (this.#source instanceof StreamedSource) this.#warn(settings.data, this.#report);
    await computed(this.trainee.parameters.values());
  }

  async dispose(): Promise<void> {
    this.#optimizer.dispose();
    if (this.#source instanceof StreamedSource) await this.#source.close();
    await this.#objective?.dispose?.();
  }

  #makeObjective(): Objective {
    const { settings, tokenizer, signal, turn } = this;
    const { decoder, adapter, reference } = this.trainee;
    const { method, methodOptions, tokenAccuracy } = settings;
    const checkpointing = this.#passes.gradientCheckpointing;
    const context = { decoder, tokenizer, adapter, reference, checkpointing, tokenAccuracy, signal, turn };
    this.#objective = method.objective(context, methodOptions);
    return this.#objective;
  }

  #plan({ size: rows }: Source): RunPlan {
    const { learningRate } = this.settings;
    const { size, gradientAccumulation, epochs } = this.#passes;
    const { name: schedule, warmupSteps, totalSteps: steps } = this.#schedule;
    const times = (most: number | undefined): number | undefined => most && most * gradientAccumulation;
    const lora = this.trainee.adapter && {
      r: this.trainee.adapter.config.r,
      alpha: this.trainee.adapter.config.loraAlpha,
    };
    const [batchSize, batchTokens] = [times(size.batchSize), times(size.batchTokens)];
    return { rows, epochs, steps, batchSize, batchTokens, learningRate, schedule, warmupSteps, lora };
  }

  /** Warns of options that cannot do what they say. */
  #warnOfPlan({ size: rows }: Source): void {
    const { onWarning, learningRate } = this.settings;
    const { size, gradientAccumulation } = this.#passes;
    const { warmupSteps, totalSteps } = this.#schedule;
    const batch = (size.batchSize ?? 0) * gradientAccumulation;
    if (rows !== undefined && batch > rows)
      onWarning(`a step has ${batch} rows, and the data has ${rows}: each step is an epoch`);
    if (warmupSteps > 0 && warmupSteps >= totalSteps)
      onWarning(
        `the warm-up has ${warmupSteps} steps and the run ${totalSteps}: the rate never reaches ${learningRate.toPrecision(2)}`,
      );
  }

  async #step(objective: Objective, step: number, batches: Batches): Promise<void> {
    const { settings, signal } = this;
    const began = performance.now();
    signal.throwIfAborted();
    const micro = await batches.step(this.#passes.gradientAccumulation);
    const prepared: Prepared[] = [];
    for (const [i, batch] of micro.entries()) {
      signal.throwIfAborted();
      prepared.push(await objective.prepare(batch, this.#seed(step, i)));
    }
    const weight = prepared.reduce((sum, part) => sum + part.weight, 0);
    const tokens = prepared.reduce((sum, part) => sum + part.tokens, 0);
    const learningRate = settings.learningRate * rateFactor(this.#schedule, step - 1);

    this.#optimizer.clear();
    const reads: Promise<Totals>[] = [];
    for (const part of prepared) {
      signal.throwIfAborted();
      const { totals } = await part.learn(1 / weight);
      reads.push(totals);
    }
    signal.throwIfAborted();
    const norm = scope(() => this.#optimizer.squaredNorm());
    try {
      const [totals, squares] = await Promise.all([Promise.all(reads), norm.data()]);
      const figures = meansOf(totals);
      const gradNorm = Math.sqrt(squares[0]!);
      this.#checkFinite(step, figures.loss, gradNorm, learningRate);
      this.#optimizer.step(step, learningRate, norm);
      if (this.trainee.adapter) this.trainee.adapter.version++;
      const { position } = batches;
      const seconds = (performance.now() - began) / 1000;
      const { totalSteps: steps } = this.#schedule;
      const untold: TrainStep = {
        step,
        steps,
        epoch: this.#epochs(position),
        ...figures,
        gradNorm,
        learningRate,
        tokens,
        tokensPerSecond: tokens / seconds,
      };
      this.#done = { step, position, untold };
    } finally {
      norm.dispose();
    }
  }

  /** The seed of a micro-batch; step 0 is the evaluation. Dropout adds a block's number, so seeds lie 65,536 apart. */
  #seed(step: number, microBatch: number): number {
    return mix(this.settings.seed, step, microBatch) * 2 ** 16;
  }

  async #evaluate(objective: Objective, source: Source): Promise<Partial<TrainStep>> {
    const totals: Totals[] = [];
    const batches = new Batches(source, { batchTokens: evalTokens });
    for (let batch = await batches.next(); batch.length > 0; batch = await batches.next()) {
      this.signal.throwIfAborted();
      const prepared = await objective.prepare(batch, this.#seed(0, totals.length));
      totals.push(await prepared.measure());
    }
    return Object.fromEntries(Object.entries(meansOf(totals)).map(([name, mean]) => [evalName(name), mean]));
  }

  #checkFinite(step: number, loss: number, gradNorm: number, learningRate: number): void {
    if (Number.isFinite(loss) && Number.isFinite(gradNorm)) return;
    const what = Number.isFinite(loss) ? `gradient norm is ${gradNorm}` : `loss is ${loss}`;
    const clip = this.settings.maxGradNorm > 0 ? '' : ' or set maxGradNorm: 1';
    const advice =
      step === 1
        ? 'the model gives it before anything was learned: check its weights and dtype'
        : `lower learningRate (${learningRate.toPrecision(3)} in this step)${clip}, or use a longer warm-up`;
    throw new Error(`the ${what} at step ${step}: ${advice}; the weights are as step ${step - 1} left them`);
  }

  async #openData(): Promise<Source> {
    const { settings, signal } = this;
    const { data, shuffle, steps, seed } = settings;
    if (!shuffle && steps !== undefined && !isPath(data) && !Array.isArray(data)) {
      return new StreamedSource(data, this.#encoding(), this.#report, signal);
    }
    const source = await LoadedSource.load(data, this.#encoding(), this.#report, signal, shuffle ? seed : undefined);
    this.#warn(data, this.#report);
    return source;
  }

  async #openEvalData(data: Data): Promise<void> {
    const report = new DataReport();
    this.#evalSource = await LoadedSource.load(data, this.#encoding(), report, this.signal, undefined);
    this.#warn(data, report);
  }

  #encoding(): EncodeOptions {
    return {
      tokenizer: this.tokenizer,
      vocabSize: this.trainee.decoder.config.vocabSize,
      seqLength: this.settings.seqLength,
      encode: this.settings.method.rows.encode,
    };
  }

  #warn(data: Data, report: DataReport): void {
    for (const warning of report.warnings(dataName(data), this.settings.seqLength)) this.settings.onWarning(warning);
  }

  async #totalSteps(source: Source): Promise<number> {
    const { steps } = this.settings;
    const { epochs, size, gradientAccumulation } = this.#passes;
    if (steps !== undefined) return steps;
    const slice = new TimeSlice();
    let total = 0;
    for (let epoch = 0; epoch < epochs!; epoch++) {
      total += await stepsInEpoch(source, size, gradientAccumulation, epoch, slice);
    }
    return total;
  }

  #epochs({ epoch, row }: Position): number {
    const size = this.#source?.size;
    return size === undefined ? epoch : epoch + row / size;
  }

  #state(): Pick<RunState, 'base' | 'data' | 'options'> {
    const { seqLength, seed, shuffle, learningRate, schedule, weightDecay, betas, eps, maxGradNorm } = this.settings;
    const { size, gradientAccumulation } = this.#passes;
    const { warmupSteps } = this.#schedule;
    const { method, methodOptions } = this.settings;
    return {
      base: this.trainee.base,
      data: this.#source instanceof LoadedSource ? this.#source.fingerprint : '',
      options: {
        ...size,
        seqLength,
        seed,
        shuffle,
        gradientAccumulation,
        learningRate,
        schedule,
        warmupSteps,
        weightDecay,
        betas,
        eps,
        maxGradNorm,
        ...method.resumeKey(methodOptions),
        ...this.trainee.options,
      },
    };
  }

  #tensors(): Parameters<typeof resumeCheckpoint>[2] {
    return {
      weightsFile: this.trainee.weightsFile,
      weights: this.trainee.parameters,
      optimizer: this.#optimizer.state(),
    };
  }

  async #resume(total: number): Promise<void> {
    const { checkpointDir, resume, onWarning, schedule } = this.settings;
    if (checkpointDir === undefined) return;
    if (!resume) {
      const [newest] = await listCheckpoints(checkpointDir);
      if (newest)
        throw new Error(
          `${newest.path}: is there already; resume: true goes on from it, or choose another checkpointDir`,
        );
      return;
    }
    const state = await resumeCheckpoint(checkpointDir, this.#state(), this.#tensors(), onWarning);
    if (!state) return;
    if (state.steps !== total && schedule !== 'constant') {
      onWarning(
        `the run had ${state.steps} steps in all and now has ${total}: the ${schedule} schedule goes on as of the new length`,
      );
    }
    this.#done = { step: state.step, position: state.position, untold: state.untold };
    this.#saved = state.step;
  }

  /** Saves a due checkpoint and calls `onCheckpoint`, also where a killed run had saved it but not called back. */
  async #keep(): Promise<void> {
    const { checkpointDir, onCheckpoint } = this.settings;
    if (checkpointDir === undefined) return;
    await this.#save();
    const { step } = this.#done;
    await onCheckpoint?.({ step, path: checkpointPath(checkpointDir, step) });
  }

  async #save(): Promise<void> {
    const { checkpointDir, beforeCheckpoint, afterCheckpoint } = this.settings;
    if (checkpointDir === undefined || this.#saved === this.#done.step) return;
    const { step } = this.#done;
    await beforeCheckpoint?.();
    await saveCheckpoint(
      checkpointDir,
      { ...this.#done, steps: this.#schedule.totalSteps, ...this.#state() },
      { ...this.#tensors(), texts: this.trainee.texts },
    );
    await afterCheckpoint?.({ step, path: checkpointPath(checkpointDir, step) });
    this.#saved = step;
  }
}
