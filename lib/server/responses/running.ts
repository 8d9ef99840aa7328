// Responses that are being written: their events, for readers who come, leave and come back. Those of background responses
// are kept for a while after the end.
import type { ResponseEvent } from './answer.js';

const mostEnded = 64;

/** The events of one response, from the first on. */
export class EventLog {
  readonly #events: ResponseEvent[] = [];
  readonly #waiting = new Set<() => void>();
  #ended = false;

  get ended(): boolean {
    return this.#ended;
  }

  push(event: ResponseEvent): void {
    this.#events.push(event);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** The events behind number `after`, as they come. */
  async *from(after: number): AsyncGenerator<ResponseEvent, void, void> {
    for (let next = after + 1; ; next += 1) {
      while (next >= this.#events.length && !this.#ended) {
        await new Promise<void>((resolve) => this.#waiting.add(resolve));
      }
      if (next >= this.#events.length) return;
      yield this.#events[next]!;
    }
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

export interface RunningResponse {
  readonly log: EventLog;
  cancel(): void;
}

export class RunningResponses {
  readonly #running = new Map<string, RunningResponse>();

  add(id: string, running: RunningResponse): void {
    this.#running.set(id, running);
    const ended = [...this.#running].filter(([, { log }]) => log.ended);
    for (const [old] of ended.slice(0, Math.max(0, ended.length - mostEnded))) this.#running.delete(old);
  }

  get(id: string): RunningResponse | undefined {
    return this.#running.get(id);
  }
}
