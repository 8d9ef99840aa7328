// The sequences of one request, side by side in the engine, as one stream of events; measured, logged, and cancelled as
// one.
import type { TokenOptions } from '../../model.js';
import type { FinishReason, Generated, Piece } from '../../text/generate.js';
import type { Resolved, ServerContext } from '../context.js';
import { type Failed, failedAs } from '../metrics.js';

/** A full queue or a failure at the first step becomes a status; after this long a stream begins whatever comes. */
export const beginMilliseconds = 250;

/** Pieces that wait for a slow reader before the answer does. */
const maxUnread = 64;

export interface Sequence {
  prompt: readonly number[];
  options: TokenOptions;
}

export type SequenceEvent = { index: number; piece: Piece } | { index: number; end: Generated };

export interface RequestFacts {
  requestId: string;
  /** Who asks: the engine is fair between clients. */
  client: string;
  /** Aborted when the client is gone. */
  signal: AbortSignal;
  /** When the request came, in milliseconds of `performance.now()`. */
  since: number;
}

export class Generations implements AsyncIterable<SequenceEvent> {
  readonly #events: SequenceEvent[] = [];
  readonly #streams: ReturnType<Resolved['model']['generateTokens']>[] = [];
  #open: number;
  #failure: { error: unknown } | undefined;
  #wake: (() => void) | undefined;
  /** Those who wait until events are taken. */
  #full: (() => void)[] = [];
  #cancelled = false;

  /** Starts all of them at once. */
  constructor(
    private readonly context: ServerContext,
    private readonly resolved: Resolved,
    sequences: readonly Sequence[],
    private readonly facts: RequestFacts,
  ) {
    this.#open = sequences.length;
    const { signal } = facts;
    // Listeners, not AbortSignal.any: the server's signal lives as long as the process and would keep every request.
    signal.addEventListener('abort', this.cancel);
    context.signal.addEventListener('abort', this.cancel);
    for (const [index, sequence] of sequences.entries()) context.track(this.#follow(index, sequence));
    if (signal.aborted || context.signal.aborted) this.cancel();
  }

  /** Ends all of them; their blocks are free at the engine's next step. */
  readonly cancel = (): void => {
    this.#cancelled = true;
    for (const stream of this.#streams) stream.cancel();
    this.#drained();
  };

  /** Resolves once there is something to say, or after `milliseconds`; rejects if a sequence failed by then. */
  async begun(milliseconds: number): Promise<void> {
    if (this.#events.length === 0 && !this.#failure && this.#open > 0) {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([
        this.#change(),
        new Promise<void>((resolve) => {
          timer = setTimeout(resolve, milliseconds);
        }),
      ]);
      clearTimeout(timer);
    }
    if (this.#failure) throw this.#failure.error;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SequenceEvent, void, void> {
    try {
      for (;;) {
        while (this.#events.length > 0) {
          const event = this.#events.shift()!;
          if (this.#events.length < maxUnread) this.#drained();
          yield event;
        }
        if (this.#failure) throw this.#failure.error;
        if (this.#open === 0) return;
        await this.#change();
      }
    } finally {
      this.cancel();
    }
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#full.push(resolve);
    });
  }

  #drained(): void {
    for (const go of this.#full.splice(0)) go();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #follow(index: number, { prompt, options }: Sequence): Promise<void> {
    const { context, resolved, facts } = this;
    const followed = context.metrics.follow(resolved.served.id, facts.since);
    let tokens = 0;
    let text = '';
    let finish: FinishReason | Failed = 'error';
    try {
      const { adapter, model } = resolved;
      const stream = model.generateTokens(prompt, {
        ...options,
        ...(adapter ? { adapter } : {}),
        client: facts.client,
        maxUnread,
      });
      this.#streams.push(stream);
      for await (const piece of stream) {
        tokens++;
        followed.token();
        if (context.settings.logText) text += piece.text;
        this.#events.push({ index, piece });
        this.#wake?.();
        if (this.#events.length >= maxUnread && !this.#cancelled) await this.#room();
      }
      const end = await stream;
      finish = end.finishReason;
      tokens = end.usage.completionTokens; // the last piece may only bring text that was held back
      this.#events.push({ index, end });
    } catch (error) {
      this.#failure ??= { error };
      // Those beside one that was refused were given up because of it.
      finish = failedAs(this.#failure.error, this.#cancelled);
      this.cancel();
    } finally {
      this.#open--;
      if (this.#open === 0) {
        facts.signal.removeEventListener('abort', this.cancel);
        context.signal.removeEventListener('abort', this.cancel);
      }
      followed.finish(finish, prompt.length, tokens);
      this.#wake?.(); // first: the logger is the user's, and may throw
      context.log.info(
        {
          requestId: facts.requestId,
          model: resolved.id,
          index,
          finish,
          promptTokens: prompt.length,
          tokens,
          milliseconds: Math.round(performance.now() - facts.since),
          ...(context.settings.logText ? { prompt: promptText(resolved, prompt), text } : {}),
        },
        'generated',
      );
    }
  }
}

function promptText({ model }: Resolved, prompt: readonly number[]): string {
  return model.hasTokenizer ? model.tokenizer.decode(prompt) : prompt.join(' ');
}
