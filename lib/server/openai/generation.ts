// The sequences of one request, side by side in the engine, as one stream of events; measured, logged, and cancelled as
// one.
import { onAbort } from '../../flow/abort.js';
import { Channel } from '../../flow/channel.js';
import { within } from '../../flow/pause.js';
import type { TokenOptions } from '../../model.js';
import type { FinishReason, Generated, Piece } from '../../text/generate.js';
import type { ServerContext } from '../context.js';
import { type Failed, failedAs } from '../metrics.js';
import type { Resolved } from '../served.js';

/** A full queue or a failure at the first step becomes a status; after this long a stream begins whatever comes. */
export const beginMilliseconds = 250;

/** Backpressure: with so many pieces unread by a slow client its sequences wait. */
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
  readonly #events = new Channel<SequenceEvent, void>({ left: undefined, maxUnread, onLeave: () => this.cancel() });
  readonly #streams: ReturnType<Resolved['model']['generateTokens']>[] = [];
  #open: number;
  #failure: { error: unknown } | undefined;
  #cancelled = false;
  /** Takes the listeners off the request's and the server's signals. */
  readonly #release: () => void;

  /** Starts all of them at once. */
  constructor(
    private readonly context: ServerContext,
    private readonly resolved: Resolved,
    sequences: readonly Sequence[],
    private readonly facts: RequestFacts,
  ) {
    this.#open = sequences.length;
    this.#release = onAbort([facts.signal, context.signal], this.cancel);
    if (this.#open === 0) this.#close();
    for (const [index, sequence] of sequences.entries()) context.track(this.#follow(index, sequence));
  }

  /** Ends all of them; their blocks are free at the engine's next step. */
  readonly cancel = (): void => {
    this.#cancelled = true;
    for (const stream of this.#streams) stream.cancel();
    this.#events.release();
  };

  /** Resolves once there is something to say, or after `milliseconds`; rejects if a sequence failed by then. */
  async begun(milliseconds: number): Promise<void> {
    await within(milliseconds, this.#events.ready());
    if (this.#failure) throw this.#failure.error;
  }

  /** Leaving it early cancels all of them. */
  [Symbol.asyncIterator](): AsyncGenerator<SequenceEvent, void, void> {
    return this.#events;
  }

  #close(): void {
    this.#release();
    this.#events.finish();
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
      if (this.#cancelled) stream.cancel();
      for await (const piece of stream) {
        tokens++;
        followed.token();
        if (context.settings.logText) text += piece.text;
        this.#events.push({ index, piece });
        if (this.#events.full) await this.#events.room();
      }
      const end = await stream;
      finish = end.finishReason;
      tokens = end.usage.completionTokens; // the last piece may only bring text that was held back
      this.#events.push({ index, end });
    } catch (error) {
      this.#failure ??= { error };
      // The sequences beside a refused one are given up because of it.
      finish = failedAs(this.#failure.error, this.#cancelled);
      this.cancel();
      this.#events.fail(error);
    } finally {
      this.#open--;
      followed.finish(finish, prompt.length, tokens);
      if (this.#open === 0) this.#close(); // before the log: the logger is the user's, and may throw
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
