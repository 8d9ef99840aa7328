// One request in the engine: what the scheduler and the steps see of it, and its way back to whoever asked.
import type { Adapter } from '../lora/adapter.js';
import type { TokenMask } from '../text/mask.js';
import type { Settings } from '../text/options.js';
import { likeliest, penalizes, type TokenProbability } from './logits.js';
import type { StepSequence } from './step.js';
import { TokenStream } from './token-stream.js';

export interface EngineRequest {
  /** Token ids, at least one. */
  prompt: readonly number[];
  settings: Settings;
  /** Tokens that end the text; they are not given out. */
  endIds: readonly number[];
  adapter?: Adapter | undefined;
  /** Who asks: places in the batch go to the clients in turn. */
  client?: string | undefined;
  /** How many of the likeliest tokens to give with each token's own log probability; undefined gives neither. */
  topLogprobs?: number | undefined;
  /** Allows only some tokens; the request owns it. */
  mask?: TokenMask | undefined;
  signal?: AbortSignal | undefined;
}

export interface EngineToken {
  token: number;
  /** Natural logarithm of the model's own probability, before penalties, biases and temperature. */
  logprob?: number;
  /** The likeliest tokens, the likeliest first. */
  top?: TokenProbability[];
}

export class RunningRequest implements StepSequence {
  readonly tokens: number[];
  readonly promptLength: number;
  readonly most: number;
  readonly client: string;
  readonly settings: Settings;
  readonly wantsLogprobs: boolean;
  readonly stream: TokenStream<EngineToken>;
  /** When it came, in milliseconds. */
  readonly began = performance.now();
  allowed: Uint8Array | undefined;
  alone = false;
  length: number;
  computed = 0;
  cached = 0;
  blocks: number[] = [];
  names: readonly string[] | undefined;
  #ended = false;
  readonly #ends: ReadonlySet<number>;
  readonly #forget: () => void;

  constructor(
    readonly request: EngineRequest,
    readonly adapterKey: string | undefined,
    capacity: number,
    private readonly vocabSize: number,
    leave: (request: RunningRequest) => void,
  ) {
    const { prompt, settings, endIds, client, topLogprobs, signal } = request;
    this.tokens = [...prompt];
    this.promptLength = prompt.length;
    this.length = prompt.length;
    this.most = Math.min(prompt.length + settings.maxNewTokens, capacity);
    this.client = client ?? '';
    this.settings = settings;
    this.wantsLogprobs = topLogprobs !== undefined;
    this.#ends = new Set(settings.ignoreEos ? [] : endIds);
    const abort = (): void => {
      leave(this);
      this.fail(signal!.reason);
    };
    this.#forget = () => signal?.removeEventListener('abort', abort);
    this.stream = new TokenStream(() => {
      leave(this);
      this.#end();
    });
    signal?.addEventListener('abort', abort, { once: true });
  }

  get sampling(): Settings {
    return this.settings;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Whether its next step can only be queued once this one's token is known. */
  get waits(): boolean {
    return this.request.mask !== undefined || penalizes(this.settings);
  }

  /** Asks the mask what the next token may be. @throws what the mask throws, or Error if it allows nothing. */
  prepare(): void {
    const allowed = this.request.mask?.allowed();
    if (!allowed) return;
    if (!allowed.includes(1)) throw new Error('generate: the mask allows no token');
    this.allowed = allowed;
    if (allowed.length !== this.vocabSize) {
      this.allowed = new Uint8Array(this.vocabSize);
      this.allowed.set(allowed.subarray(0, this.vocabSize));
    }
  }

  /** Takes the token that was chosen: true if the text ends with it. @throws what the mask throws. */
  accept(token: number, logprobs: Float32Array | undefined): boolean {
    if (this.tokens.length === this.promptLength) this.stream.cachedTokens = this.cached;
    this.tokens.push(token);
    if (this.#ends.has(token)) {
      this.finish('stop');
      return true;
    }
    const { mask, topLogprobs } = this.request;
    mask?.accept(token);
    this.stream.push(
      logprobs ? { token, logprob: logprobs[token]!, top: likeliest(logprobs, topLogprobs ?? 0) } : { token },
    );
    if (mask?.done) this.finish('stop');
    else if (this.tokens.length >= this.most) this.finish('length');
    return this.#ended;
  }

  finish(finish: 'stop' | 'length'): void {
    this.stream.finish(finish);
    this.#end();
  }

  fail(error: unknown): void {
    this.stream.fail(error);
    this.#end();
  }

  #end(): void {
    this.#ended = true;
    this.#forget();
  }
}
