// The events of an item of a folder store: a file of one JSON line each, appended as they happen.
//
// Memory follows the file: an event that could not be written has not happened, and may be appended again. A line that a
// killed process or a full disk left half written is cut off before the next one.
import { existsSync } from 'node:fs';
import { appendFile, open, readFile, truncate } from 'node:fs/promises';
import { fileMode } from '../files/atomic.js';
import { TimeSlice } from '../flow/pause.js';
import type { StoredEvent } from './store.js';

export const lineOf = (event: StoredEvent): string => `${JSON.stringify(event)}\n`;

// Logs in memory beside those in use: a few, for clients that page through them.
const mostIdle = 8;

/** The logs by path, each open once. */
export class EventFiles {
  /** In the order of their last use. */
  readonly #logs = new Map<string, { log: Promise<EventFile>; users: number }>();

  async use<T>(path: string, work: (log: EventFile) => Promise<T>): Promise<T> {
    const entry = this.#logs.get(path) ?? { log: EventFile.open(path), users: 0 };
    this.#logs.delete(path);
    this.#logs.set(path, entry);
    entry.users++;
    entry.log.catch(() => this.forget(path));
    try {
      return await work(await entry.log);
    } finally {
      entry.users--;
      this.#forgetIdle();
    }
  }

  forget(path: string): void {
    this.#logs.delete(path);
  }

  #forgetIdle(): void {
    const idle = [...this.#logs].filter(([, { users }]) => users === 0);
    for (const [path] of idle.slice(0, -mostIdle)) this.#logs.delete(path);
  }
}

class EventFile {
  readonly #events = new Map<string, StoredEvent>();
  #size = 0;
  #torn = false;
  #writing: Promise<void> = Promise.resolve();

  private constructor(private readonly path: string) {}

  static async open(path: string): Promise<EventFile> {
    const log = new EventFile(path);
    if (!existsSync(path)) return log;
    const bytes = await readFile(path);
    log.#size = bytes.lastIndexOf(0x0a) + 1;
    if (log.#size < bytes.length) await truncate(path, log.#size);
    const slice = new TimeSlice();
    for (let start = 0; start < log.#size; ) {
      const end = bytes.indexOf(0x0a, start);
      const event = parsed(bytes.toString('utf8', start, end));
      if (event && !log.#events.has(event.id)) log.#events.set(event.id, event);
      start = end + 1;
      if (slice.over) await slice.pause();
    }
    return log;
  }

  read(from = 0): readonly StoredEvent[] {
    return [...this.#events.values()].slice(from);
  }

  append(event: StoredEvent): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#events.has(event.id)) return;
      await this.#write(lineOf(event));
      this.#events.set(event.id, event);
    });
  }

  flush(): Promise<void> {
    return this.#inTurn(async () => {
      const file = await open(this.path, 'a', fileMode);
      try {
        await file.datasync();
      } finally {
        await file.close();
      }
    });
  }

  /** One after the other; a failure is its caller's alone. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#writing.then(work);
    this.#writing = turn.catch(() => {});
    return turn;
  }

  async #write(line: string): Promise<void> {
    if (this.#torn) await truncate(this.path, this.#size);
    this.#torn = true;
    await appendFile(this.path, line, { mode: fileMode });
    this.#torn = false;
    this.#size += Buffer.byteLength(line);
  }
}

// A disk that lost power may give back anything.
function parsed(line: string): StoredEvent | undefined {
  try {
    return JSON.parse(line) as StoredEvent;
  } catch {
    return undefined;
  }
}
