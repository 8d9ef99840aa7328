// Who waits, for a place in the batch or for the thread that renders: each client has a line of its own, and the clients
// take turns.

export interface Waiter {
  /** Whose it is. */
  readonly client: string;
}

export class WaitingLines<T extends Waiter> {
  // The client whose turn it is comes first.
  readonly #lines = new Map<string, T[]>();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(waiter: T): void {
    const line = this.#lines.get(waiter.client);
    if (line) line.push(waiter);
    else this.#lines.set(waiter.client, [waiter]);
    this.#length++;
  }

  /** Puts back one that was admitted before: it is the next of its client, whose turn is now. */
  unshift(waiter: T): void {
    const { client } = waiter;
    const line = this.#lines.get(client) ?? [];
    this.#lines.delete(client);
    const rest = [...this.#lines];
    this.#lines.clear();
    this.#lines.set(client, [waiter, ...line]);
    for (const [name, others] of rest) this.#lines.set(name, others);
    this.#length++;
  }

  /** Puts back one that made room for another client: it is the next of its own, which waits for its turn. */
  putBack(waiter: T): void {
    const line = this.#lines.get(waiter.client);
    if (line) line.unshift(waiter);
    else this.#lines.set(waiter.client, [waiter]);
    this.#length++;
  }

  /**
   * The first of each line, in the order of the clients' turns. Whoever is served on the way is followed by the others,
   * and then by the next of its own client.
   */
  *heads(): Generator<T> {
    for (const line of this.#lines.values()) yield line[0]!;
  }

  /** Takes a waiter out as served: it is its client's turn again when all the others have had theirs. */
  serve(waiter: T): void {
    const line = this.#lines.get(waiter.client)!;
    this.delete(waiter);
    if (line.length === 0) return;
    this.#lines.delete(waiter.client);
    this.#lines.set(waiter.client, line);
  }

  /** Whether it was there. */
  delete(waiter: T): boolean {
    const line = this.#lines.get(waiter.client);
    const at = line?.indexOf(waiter) ?? -1;
    if (!line || at < 0) return false;
    line.splice(at, 1);
    if (line.length === 0) this.#lines.delete(waiter.client);
    this.#length--;
    return true;
  }

  *[Symbol.iterator](): Generator<T> {
    for (const line of this.#lines.values()) yield* line;
  }
}
