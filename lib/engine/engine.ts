// The engine: continuous batching of all that one model computes for requests.
//
// One loop plans a step, queues it, and reads the tokens of the step before it, so that the device never waits for
// JavaScript; only a request whose logits depend on its last token (a penalty, a mask) makes the loop wait for that.
// After a step that fails its requests run one by one, so that only the request that causes the failure is refused.
import { AsyncResource } from 'node:async_hooks';
import { nextTurn } from '../flow/pause.js';
import { QueueFull, Quota, retryAfter } from '../flow/quota.js';
import { embedderOf } from '../models/config.js';
import type { Decoder } from '../models/decoder.js';
import { refuseEncoder, refuseRanker } from '../models/kind.js';
import { blockSize } from '../models/memory.js';
import { normalized } from '../parts/pooling.js';
import type { Ranker, TextHead } from '../parts/text-head.js';
import { AdapterBuffers } from './adapter-buffers.js';
import { Pooling, type PoolingOptions } from './embed.js';
import { adapterKey, type Job, type JobOptions } from './job.js';
import type { Logprobs } from './logits.js';
import { type EngineOptions, type EngineSettings, engineSettings } from './options.js';
import { type EngineRequest, type EngineToken, Generating } from './request.js';
import { Scheduler } from './scheduler.js';
import { type ScoreOptions, Scoring } from './score.js';
import type { Part, SchedulerLimits } from './sequence.js';
import { type QueuedStep, StepRunner } from './step.js';
import { StepTimes } from './step-times.js';
import type { TokenStream } from './token-stream.js';
import { TrainingTurns } from './training-turns.js';
import type { EngineWatcher } from './watcher.js';

export type { EngineOptions } from './options.js';
export type { EngineRequest, EngineToken } from './request.js';

export interface EngineStats {
  running: number;
  waiting: number;
  blocksUsed: number;
  blocksTotal: number;
  /** Tokens in a block. */
  blockSize: number;
  /** Tokens of prompts that were found in the cache, and all that were looked for. */
  prefixHits: number;
  prefixQueries: number;
  preemptions: number;
  adapterSlots: number;
  /** Their names, or numbers where they have none. */
  adaptersRunning: string[];
  adaptersWaiting: string[];
}

export interface EmbedOptions extends PoolingOptions {
  /** Whether the vector is made of length 1. Default: as the model's files say. */
  normalize?: boolean | undefined;
}

type AnyJob = Generating | Pooling | Scoring;
type Step = QueuedStep<AnyJob> & { parts: readonly Part<AnyJob>[]; began: number };

// The loop serves all requests: it must not run in the asynchronous context, or the open scope, of the first one.
const outside = new AsyncResource('helvetia.Engine');

export class Engine {
  readonly settings: EngineSettings;
  readonly #scheduler: Scheduler<AnyJob>;
  readonly #limits: SchedulerLimits;
  readonly #quota: Quota;
  readonly #adapters: AdapterBuffers;
  readonly #loaded: (string | undefined)[];
  readonly #turns: TrainingTurns;
  readonly #times = new StepTimes();
  #runner: StepRunner<AnyJob> | undefined;
  #loop: Promise<void> | undefined;
  #disposed = false;
  /** When the last step was delivered. */
  #delivered = 0;
  /** Milliseconds that a request takes, averaged over the last ones. */
  #usual = 1000;

  /** @throws RangeError or TypeError that names the option that is wrong. */
  constructor(
    private readonly decoder: Decoder,
    options: EngineOptions = {},
    private readonly watchers: ReadonlySet<EngineWatcher> = new Set(),
  ) {
    this.settings = engineSettings(options, decoder);
    const { adapterSlots, maxLoraRank, maxBatch, maxQueued, maxQueuedTokens } = this.settings;
    this.#limits = { ...this.settings, blockSize, whole: decoder.config.bidirectional };
    this.#scheduler = new Scheduler(this.#limits);
    this.#quota = new Quota({ requests: maxBatch + maxQueued, tokens: maxQueuedTokens });
    this.#adapters = new AdapterBuffers(decoder, adapterSlots, maxLoraRank);
    this.#loaded = new Array<string | undefined>(adapterSlots);
    this.#turns = TrainingTurns.of(decoder.device);
  }

  /** Tokens that one sequence may have, its prompt included. */
  get capacity(): number {
    return Math.min(this.decoder.config.contextLength, this.#scheduler.memory.capacity);
  }

  /**
   * Generates one sequence. It waits for a place in the batch, and again while its tokens are unread (backpressure);
   * leaving the generator, or the signal, takes it out at once.
   *
   * @throws QueueFull if too many wait, RangeError if the prompt does not fit into the cache, WrongKind for an encoder.
   */
  submit(request: EngineRequest): TokenStream<EngineToken> {
    refuseEncoder('generate', this.decoder.config);
    this.#check(request.prompt.length);
    if (request.maxNewTokens > 0) this.#checkQueue(request.prompt.length, request.client);
    const { vocabSize } = this.decoder.config;
    const job = new Generating(request, this.capacity, vocabSize, this.#forget, (read) => {
      if (this.#scheduler.resume(read)) this.#wake();
    });
    this.#add(job, request);
    return job.stream;
  }

  /**
   * The text `ids` as a vector, as the model makes it: `[dimensions]`. Where its files do not say how, the mean of the
   * final hidden states, of length 1.
   *
   * @throws QueueFull (as a rejection) if too many wait, RangeError if there are too many ids, or none.
   */
  async embed(ids: readonly number[], options: EmbedOptions = {}): Promise<Float32Array> {
    const { config } = this.decoder;
    refuseRanker('embed', config);
    const head = embedderOf(config);
    const vector = await this.#pooled('embed', ids, head, options);
    return Float32Array.from((options.normalize ?? head.normalizes) ? normalized(vector) : vector);
  }

  /**
   * The logit of `ids`, a query and a text as `ranker` takes them.
   *
   * @throws QueueFull (as a rejection) if too many wait, RangeError if there are too many ids, or none.
   */
  async rate(ids: readonly number[], ranker: Ranker, options: JobOptions = {}): Promise<number> {
    return (await this.#pooled('rank', ids, ranker, options))[0]!;
  }

  async #pooled(op: string, ids: readonly number[], head: TextHead, options: PoolingOptions): Promise<Float64Array> {
    this.#check(ids.length);
    this.#checkQueue(ids.length, options.client);
    const job = new Pooling(ids, head.pooling, options, this.#forget);
    this.#add(job, options);
    const vector = await this.decoder.vector(head, await job.result);
    if (vector.some((x) => !Number.isFinite(x)))
      throw new Error(`${op}: the states hold NaN or infinity, as those of a model or an adapter that has diverged do`);
    return vector;
  }

  /**
   * The log probability of each of `ids` after those before it: one less than there are ids, as nothing comes before the
   * first. They are natural logarithms.
   *
   * @throws QueueFull (as a rejection) if too many wait, RangeError if there are too many ids, or none.
   */
  async score(ids: readonly number[], options: ScoreOptions = {}): Promise<Logprobs[]> {
    refuseEncoder('score', this.decoder.config);
    this.#check(ids.length);
    if (ids.length === 1) return [];
    this.#checkQueue(ids.length - 1, options.client);
    const job = new Scoring(ids, options, this.#forget);
    this.#add(job, options);
    return job.result;
  }

  stats(): EngineStats {
    const { memory, running, waiting, parked, prefixHits, prefixQueries, preemptions } = this.#scheduler;
    const names = (of: Iterable<AnyJob>): string[] => [
      ...new Set([...of].flatMap(({ adapter }) => (adapter ? [adapter.name ?? adapterKey(adapter)] : []))),
    ];
    return {
      running: running.length,
      waiting: waiting.length + parked.size,
      blocksUsed: memory.used,
      blocksTotal: memory.total,
      blockSize,
      prefixHits,
      prefixQueries,
      preemptions,
      adapterSlots: this.settings.adapterSlots,
      adaptersRunning: names(running),
      adaptersWaiting: names(waiting),
    };
  }

  /** Resolves when training may queue its next stretch of device work; undefined if that is now. */
  trainingTurn(signal?: AbortSignal): Promise<void> | undefined {
    if (this.#disposed) throw new Error('the model was disposed of');
    return this.#turns.turn(this, signal);
  }

  /** Ends all requests and frees the cache. */
  dispose(): Promise<void> {
    if (this.#disposed) return Promise.resolve();
    this.#disposed = true;
    const error = new Error('generate: the model was disposed of');
    this.#failAll(error);
    this.#turns.refuse(this, error);
    return this.#loop ?? Promise.resolve();
  }

  #check(length: number): void {
    if (this.#disposed) throw new Error('generate: the model was disposed of');
    if (length === 0) throw new RangeError('generate: the prompt is empty');
    if (length > this.capacity)
      throw new RangeError(`generate: the prompt has ${length} tokens, more than the engine's ${this.capacity}`);
  }

  #checkQueue(length: number, client = ''): void {
    if (!this.#quota.refuses(client, length)) return;
    const waiting = this.#scheduler.waiting.length;
    throw new QueueFull(waiting, retryAfter((this.#usual * (waiting + 1)) / this.settings.maxBatch / 1000));
  }

  #add(job: AnyJob, { signal }: JobOptions): void {
    this.#quota.take(job.client, job.promptLength);
    if (signal?.aborted) job.fail(signal.reason);
    else if (job.chooses && job.most === job.length) job.finish('length');
    else {
      this.#scheduler.add(job);
      this.#wake();
    }
  }

  // Called by each job when it ends.
  readonly #forget = (job: Job): void => {
    this.#scheduler.remove(job as AnyJob);
    this.#quota.give(job.client, job.promptLength);
  };

  #wake(): void {
    this.#loop ??= outside.runInAsyncScope(() => this.#run());
  }

  async #run(): Promise<void> {
    this.#turns.enter(this.settings.trainingShare);
    try {
      await null; // whoever submits several at once has them in the first step
      await this.#steps();
    } catch (error) {
      this.#failAll(error);
    } finally {
      this.#runner?.rest();
      this.#loop = undefined;
      this.#turns.leave();
      if (this.#busy) this.#wake(); // it came while the loop was ending
    }
  }

  async #steps(): Promise<void> {
    const { trainingShare } = this.settings;
    let queued: Step | undefined;
    for (;;) {
      if (queued && (this.#turns.due(trainingShare) || queued.rows.some(({ waits }) => waits))) {
        await this.#deliver(queued);
        queued = undefined;
      }
      if (this.#disposed) return;
      if (!queued && this.#turns.due(trainingShare)) await this.#turns.grant();
      const next = this.#queue(queued !== undefined);
      if (queued) await this.#deliver(queued, next);
      // A device that is quicker than JavaScript would have the next step's results here before any timer or socket.
      await nextTurn();
      queued = this.#runner ? next : undefined;
      if (!queued && !this.#busy) return;
    }
  }

  get #busy(): boolean {
    return this.#scheduler.running.length + this.#scheduler.waiting.length > 0;
  }

  // Plans and queues the next step. A request that cannot be prepared is refused, and the others go without it.
  #queue(inFlight: boolean): Step | undefined {
    if (this.#disposed) return undefined;
    const plan = this.#scheduler.plan(this.#times.besideDecoding);
    if (plan.length === 0 && this.#busy && !inFlight) throw new Error('generate: what waits can never run');
    const attempt = (job: AnyJob, action: () => void): void => {
      try {
        action();
      } catch (error) {
        job.fail(error);
      }
    };
    for (const job of [...this.#scheduler.running]) attempt(job, () => this.#load(job));
    this.#noteAdmitted();
    for (const { sequence: job, samples } of plan) if (samples && !job.ended) attempt(job, () => job.prepare());
    const parts = plan.filter(({ sequence }) => !sequence.ended);
    if (parts.length === 0) return undefined;
    this.#runner ??= new StepRunner(this.decoder, this.#adapters, this.#limits, (job: AnyJob) =>
      job.adapterKey === undefined ? undefined : this.#scheduler.slots.slotOf(job.adapterKey),
    );
    const began = performance.now();
    try {
      this.#runner.copyStates(this.#scheduler.takeCopies());
      const step = this.#runner.run(parts);
      this.#runner.copyStates(this.#scheduler.commit(parts));
      return { ...step, parts, began };
    } catch (error) {
      const tokens = Promise.reject(error);
      tokens.catch(() => {}); // told when the step is delivered
      return { rows: [], tokens, logprobs: new Map(), states: [], parts, began };
    }
  }

  #noteAdmitted(): void {
    const now = performance.now();
    for (const job of this.#scheduler.running) {
      if (job.admitted !== undefined) continue;
      job.admitted = now;
      for (const watcher of this.watchers) watcher.admitted(now - job.began);
    }
  }

  // Copies the adapter into its slot, unless it is there: at once when the first of its requests is admitted, so that
  // the copy is of the state that its key names.
  #load({ adapter, adapterKey: key }: AnyJob): void {
    if (!adapter || key === undefined) return;
    const slot = this.#scheduler.slots.slotOf(key)!;
    if (this.#loaded[slot] === key) return;
    this.#loaded[slot] = undefined;
    this.#adapters.load(slot, adapter);
    this.#loaded[slot] = key;
  }

  // Waits for a step and gives its results out. `next` is the step that was queued after it.
  async #deliver(step: Step, next?: Step): Promise<void> {
    let tokens: ArrayLike<number>;
    const logprobs = new Map<AnyJob, Logprobs>();
    const states: [AnyJob, () => void][] = [];
    try {
      tokens = await step.tokens;
      for (const [job, read] of step.logprobs) if (!job.ended) logprobs.set(job, await read);
      for (const [job, read] of step.states) states.push([job, await read]);
    } catch (error) {
      await next?.tokens.catch(() => {}); // it failed with the first
      this.#recover(step, error);
      return;
    }
    const now = performance.now();
    this.#times.note(step.parts, now - Math.max(step.began, this.#delivered));
    this.#delivered = now;
    const prefilled = (job: AnyJob): void => {
      for (const watcher of this.watchers) watcher.prefilled(now - job.admitted!);
    };
    const computed = step.parts.reduce((sum, { count }) => sum + count, 0);
    for (const watcher of this.watchers) watcher.step(computed);
    for (const [job, take] of states) {
      if (job.ended) continue;
      try {
        take();
        if (job.ended) prefilled(job);
      } catch (error) {
        job.fail(error);
      }
    }
    for (const [i, job] of step.rows.entries()) {
      if (!job.chooses || job.ended) continue;
      this.#scheduler.trust(job);
      try {
        const first = job.tokens.length === job.promptLength;
        const ended = job.accept(tokens[i]!, logprobs.get(job));
        if (first) prefilled(job);
        if (ended) this.#usual += (now - job.began - this.#usual) / 16;
        else if (job.stream.full) this.#scheduler.park(job);
      } catch (error) {
        job.fail(error);
      }
    }
  }

  // A step failed: what the device holds is lost, and what runs is computed again, one request at a time.
  #recover(step: Step, error: unknown): void {
    this.#reset();
    const guilty = step.parts.filter(({ sequence }) => !sequence.ended);
    if (guilty.length === 1) guilty[0]!.sequence.fail(error);
    this.#scheduler.restart();
    for (const job of this.#scheduler.all) job.length = job.tokens.length;
  }

  // What broke is not one request's.
  #failAll(error: unknown): void {
    this.#reset();
    for (const job of this.#scheduler.all) job.fail(error);
    this.#scheduler.memory.forget();
  }

  // Frees what is on the device.
  #reset(): void {
    this.#runner?.dispose();
    this.#runner = undefined;
    this.#adapters.dispose();
    this.#loaded.fill(undefined);
  }
}
