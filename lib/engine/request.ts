// A request for tokens, and the stream that takes them back to the caller.
import type { TokenMask } from '../text/mask.js';
import { Job, type JobOptions } from './job.js';
import { type Logprobs, penalizes, type TokenProbability } from './logits.js';
import type { Sampling } from './sampling.js';
import { TokenStream } from './token-stream.js';

export interface EngineRequest extends JobOptions {
  /** Token ids, at least one. */
  prompt: readonly number[];
  sampling: Sampling;
  /** Generation also ends where the cache has no room for more. */
  maxNewTokens: number;
  /** Tokens that end the text; they are not given out. */
  endIds: readonly number[];
  /** How many of the likeliest tokens to give with each token's own log probability; undefined gives neither. */
  topLogprobs?: number | undefined;
  /** Allows only some tokens; the request owns it. */
  mask?: TokenMask | undefined;
}

export interface EngineToken {
  token: number;
  /** Natural logarithm of the model's own probability, before penalties, biases and temperature. */
  logprob?: number;
  /** The likeliest tokens, the likeliest first. */
  top?: TokenProbability[];
}

/** What `sample` gives where it gives no token. */
const reasons: Record<number, string> = {
  [-1]: 'the logits hold NaN, as those of a model or an adapter that has diverged do',
  [-2]: 'every logit is -infinity',
};

export class Generating extends Job {
  readonly chooses = true;
  readonly named = true;
  readonly sampling: Sampling;
  readonly topLogprobs: number | undefined;
  readonly stream: TokenStream<EngineToken>;
  readonly #ends: ReadonlySet<number>;

  /** `onFew` is called when few of its tokens are unread: a parked one is resumed. */
  constructor(
    private readonly request: EngineRequest,
    capacity: number,
    private readonly vocabSize: number,
    onEnd: (job: Job) => void,
    onFew: (job: Generating) => void,
  ) {
    const { prompt, sampling, maxNewTokens, endIds, topLogprobs } = request;
    super(prompt, Math.min(prompt.length + maxNewTokens, capacity), request, onEnd);
    this.sampling = sampling;
    this.topLogprobs = topLogprobs;
    this.#ends = new Set(endIds);
    this.stream = new TokenStream(
      () => this.end(),
      () => onFew(this),
    );
  }

  get waits(): boolean {
    return this.request.mask !== undefined || penalizes(this.sampling);
  }

  /** Asks the mask what the next token may be. @throws what the mask throws, or Error if it allows nothing. */
  override prepare(): void {
    const allowed = this.request.mask?.allowed();
    if (!allowed) return;
    if (!allowed.includes(1)) throw new Error('generate: the mask allows no token');
    this.allowed = allowed;
    if (allowed.length !== this.vocabSize) {
      this.allowed = new Uint8Array(this.vocabSize);
      this.allowed.set(allowed.subarray(0, this.vocabSize));
    }
  }

  /** Takes the token that was chosen: true if the text ends with it. @throws what the mask throws, or if there is none. */
  accept(token: number, logprobs: Logprobs | undefined): boolean {
    if (token < 0) throw new Error(`generate: no token can be chosen: ${reasons[token]}`);
    if (this.tokens.length === this.promptLength) this.stream.cachedTokens = this.cached;
    this.tokens.push(token);
    if (this.#ends.has(token)) {
      this.finish('stop');
      return true;
    }
    const { mask } = this.request;
    mask?.accept(token);
    this.stream.push({ token, ...logprobs });
    if (mask?.done) this.finish('stop');
    else if (this.tokens.length >= this.most) this.finish('length');
    return this.ended;
  }

  finish(finish: 'stop' | 'length'): void {
    this.stream.finish(finish);
    this.end();
  }

  protected override tell(error: unknown): void {
    this.stream.fail(error);
  }
}
