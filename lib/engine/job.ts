// A job of the engine: the state that scheduler and steps share, for generation, embeddings and scores alike.
import type { Adapter } from '../lora/adapter.js';
import type { BlockNames } from './blocks.js';
import { Tally } from './logits.js';
import type { Held } from './memory.js';
import type { Sampling } from './sampling.js';
import type { StepSequence } from './step.js';

export interface JobOptions {
  adapter?: Adapter | undefined;
  /** Who asks: the engine is fair between clients. */
  client?: string | undefined;
  signal?: AbortSignal | undefined;
  /** The types of the tokens, for models that have several. Default: all 0. */
  types?: readonly number[] | undefined;
}

const adapterIds = new WeakMap<Adapter, number>();
let adapterCount = 0;

/** Names an adapter and its state: another after it was trained on. */
export function adapterKey(adapter: Adapter): string {
  const id = adapterIds.get(adapter) ?? ++adapterCount;
  adapterIds.set(adapter, id);
  return `${id}.${adapter.version}`;
}

export abstract class Job implements StepSequence {
  abstract readonly chooses: boolean;
  abstract readonly named: boolean;
  abstract readonly sampling: Sampling;
  abstract readonly topLogprobs: number | undefined;
  /** Whether its next step can only be queued once this one's token is known. */
  abstract readonly waits: boolean;
  readonly tally = new Tally();
  readonly tokens: number[];
  readonly promptLength: number;
  readonly client: string;
  readonly adapter: Adapter | undefined;
  readonly types: readonly number[] | undefined;
  /** When it came, in milliseconds. */
  readonly began = performance.now();
  /** When it was first admitted. */
  admitted: number | undefined;
  allowed: Uint8Array | undefined;
  adapterKey: string | undefined;
  length: number;
  computed = 0;
  cached = 0;
  passed = 0;
  held: Held | undefined;
  names: BlockNames | undefined;
  #ended = false;
  readonly #signal: AbortSignal | undefined;

  /** `onEnd` is called once, whatever ends it. */
  constructor(
    prompt: readonly number[],
    /** The length at which it ends. */
    readonly most: number,
    { adapter, client, signal, types }: JobOptions,
    private readonly onEnd: (job: Job) => void,
  ) {
    this.tokens = [...prompt];
    this.promptLength = prompt.length;
    this.length = prompt.length;
    this.client = client ?? '';
    this.types = types;
    this.adapter = adapter?.hold();
    this.#signal = signal;
    signal?.addEventListener('abort', this.#abort, { once: true });
  }

  get adapterNow(): string | undefined {
    return this.adapter && adapterKey(this.adapter);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Gets ready for the step that chooses its next token. @throws what refuses the request. */
  prepare(): void {}

  fail(error: unknown): void {
    this.tell(error);
    this.end();
  }

  /** Passes the failure to the caller. */
  protected abstract tell(error: unknown): void;

  protected end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal?.removeEventListener('abort', this.#abort);
    this.adapter?.release();
    this.onEnd(this);
  }

  readonly #abort = (): void => this.fail(this.#signal!.reason);
}
