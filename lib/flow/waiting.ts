// Waiting lines for a place in the batch, or for the thread that renders chats. Each client has a line, and the clients are
// served round-robin, so that a client with many requests does not starve the others.

export interface Waiter {
  /** The owner's name. */
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

  /** Puts a preempted waiter back: first in its line, and its client is the next to be served. */
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

  /** Puts a waiter back that made room for another client: first in its line, while its client keeps its turn. */
  putBack(waiter: T): void {
    const line = this.#lines.get(waiter.client);
    if (line) line.unshift(waiter);
    else this.#lines.set(waiter.client, [waiter]);
    this.#length++;
  }

  /**
   * The first waiter of each line, in the order of the clients' turns. If one is served during the iteration, the next of
   * its client comes after the other clients.
   */
  *heads(): Generator<T> {
    for (const line of this.#lines.values()) yield line[0]!;
  }

  /** Takes a waiter out as served, and moves its client behind the others. */
  serve(waiter: T): void {
    const line = this.#lines.get(waiter.client)!;
    this.delete(waiter);
    if (line.length === 0) return;
    this.#lines.delete(waiter.client);
    this.#lines.set(waiter.client, line);
  }

  /** Takes a waiter out. False if it was not there. */
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
