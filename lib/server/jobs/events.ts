// The events of one job: a file of one JSON line each, appended as they happen, oldest first.
//
// An event has a key within its job, such as `step:12`, and is kept once: a job that goes on after a crash may tell the
// same again. All that is known of a job's steps lies here, so there is no second account to disagree. Memory follows
// the file: an event that could not be written has not happened, and is told anew by whoever tells it again.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, open, readFile, truncate } from 'node:fs/promises';
import { Breather } from '../../train/breather.js';

export interface JobEvent {
  id: string;
  /** Milliseconds. */
  at: number;
  level: 'info' | 'warn' | 'error';
  message: string;
  type: 'message' | 'metrics';
  data?: Record<string, unknown>;
}

export interface EventDetails {
  /** Default `'info'`. */
  level?: JobEvent['level'];
  data?: Record<string, unknown>;
}

const eventId = (job: string, key: string): string =>
  `ftevent-${createHash('sha256').update(`${job} ${key}`).digest('hex').slice(0, 24)}`;

export function eventOf(job: string, key: string, message: string, details: EventDetails = {}): JobEvent {
  const { level = 'info', data } = details;
  const type = key.startsWith('step:') ? 'metrics' : 'message';
  return { id: eventId(job, key), at: Date.now(), level, message, type, ...(data ? { data } : {}) };
}

export const lineOf = (event: JobEvent): string => `${JSON.stringify(event)}\n`;

export class JobEvents {
  /** In the order in which they were told. */
  readonly #events = new Map<string, JobEvent>();
  #size = 0;
  #torn = false;
  #writing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly path: string,
    private readonly job: string,
  ) {}

  static async open(path: string, job: string): Promise<JobEvents> {
    const log = new JobEvents(path, job);
    if (!existsSync(path)) return log;
    const bytes = await readFile(path);
    // A line that a killed process left half written is cut off, or the next one would be glued to it.
    log.#size = bytes.lastIndexOf(0x0a) + 1;
    if (log.#size < bytes.length) await truncate(path, log.#size);
    const breather = new Breather();
    for (let start = 0; start < log.#size; ) {
      const end = bytes.indexOf(0x0a, start);
      const event = parsed(bytes.toString('utf8', start, end));
      if (event && !log.#events.has(event.id)) log.#events.set(event.id, event);
      start = end + 1;
      await breather.pause();
    }
    return log;
  }

  /** Newest first. */
  get newestFirst(): JobEvent[] {
    return this.all.reverse();
  }

  /** Oldest first. */
  get all(): JobEvent[] {
    return [...this.#events.values()];
  }

  get(key: string): JobEvent | undefined {
    return this.#events.get(eventId(this.job, key));
  }

  /** Keeps an event, unless there is one of this key. Resolves when it is written. */
  add(key: string, message: string, details?: EventDetails): Promise<void> {
    return this.#inTurn(async () => {
      if (this.get(key)) return;
      const event = eventOf(this.job, key, message, details);
      await this.#append(lineOf(event));
      this.#events.set(event.id, event);
    });
  }

  /** Forces all that was told to disk. */
  sync(): Promise<void> {
    return this.#inTurn(async () => {
      const file = await open(this.path, 'a');
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

  async #append(line: string): Promise<void> {
    if (this.#torn) await truncate(this.path, this.#size);
    this.#torn = true; // a full disk may take half a line
    await appendFile(this.path, line);
    this.#torn = false;
    this.#size += Buffer.byteLength(line);
  }
}

// A disk that lost power may give back anything.
function parsed(line: string): JobEvent | undefined {
  try {
    return JSON.parse(line) as JobEvent;
  } catch {
    return undefined;
  }
}
