// Quotas per client of a bounded resource: the engine's queue, the conversations to be rendered. Fairness: a full resource
// still takes a client that has less than its share.

/** Too many requests wait. */
export class QueueFull extends Error {
  override readonly name = 'QueueFull';

  constructor(
    waiting: number,
    /** When a place is likely to be free. */
    readonly retryAfterSeconds: number,
  ) {
    super(`the queue is full: ${waiting} requests wait; try again in ${retryAfterSeconds} s`);
  }
}

/** The value of a `retry-after` header for an estimate in seconds: a whole number from 1 to 60. */
export const retryAfter = (seconds: number): number => Math.min(60, Math.max(1, Math.ceil(seconds)));

interface Held {
  requests: number;
  tokens: number;
}

export class Quota {
  readonly #clients = new Map<string, Held>();
  readonly #total: Held = { requests: 0, tokens: 0 };

  constructor(private readonly most: Held) {}

  /** Whether a client may not have one more request, of so many tokens. */
  refuses(client: string, tokens: number): boolean {
    if (this.#total.requests === 0) return false;
    const own = this.#clients.get(client) ?? { requests: 0, tokens: 0 };
    const clients = this.#clients.size + (own.requests === 0 ? 1 : 0);
    const exceeds = (total: number, held: number, most: number): boolean =>
      total > 2 * most || (total > most && held > Math.max(1, most / clients));
    return (
      exceeds(this.#total.requests + 1, own.requests + 1, this.most.requests) ||
      exceeds(this.#total.tokens + tokens, own.tokens + tokens, this.most.tokens)
    );
  }

  take(client: string, tokens: number): void {
    const held = this.#clients.get(client) ?? { requests: 0, tokens: 0 };
    this.#clients.set(client, held);
    for (const of of [held, this.#total]) {
      of.requests++;
      of.tokens += tokens;
    }
  }

  give(client: string, tokens: number): void {
    const held = this.#clients.get(client)!;
    for (const of of [held, this.#total]) {
      of.requests--;
      of.tokens -= tokens;
    }
    if (held.requests === 0) this.#clients.delete(client);
  }
}
