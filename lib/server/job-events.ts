// The events of one job: a file of one JSON line each, appended as they happen, oldest first.
//
// An event has a key within its job, such as `step:12`, and is kept once: a job that goes on after a crash may tell the
// same again. All that is known of a job's steps lies here, so there is no second account to disagree.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { appendFile, readFile, truncate } from 'node:fs/promises';

export interface JobEvent {
  id: string;
  /** Milliseconds. */
  at: number;
  level: 'info' | 'warn' | 'error';
  message: string;
  type: 'message' | 'metrics';
  data?: Record<string, unknown>;
}

export class JobEvents {
  readonly #events: JobEvent[] = [];
  readonly #ids = new Set<string>();
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
    const whole = bytes.lastIndexOf(0x0a) + 1;
    if (whole < bytes.length) await truncate(path, whole);
    for (const line of bytes.toString('utf8', 0, whole).split('\n')) {
      const event = parsed(line);
      if (event) log.#keep(event);
    }
    return log;
  }

  /** Newest first. */
  get newestFirst(): JobEvent[] {
    return this.#events.toReversed();
  }

  /** Oldest first. */
  get all(): readonly JobEvent[] {
    return this.#events;
  }

  get(key: string): JobEvent | undefined {
    const id = this.#id(key);
    return this.#ids.has(id) ? this.#events.find((event) => event.id === id) : undefined;
  }

  /** Keeps an event, unless there is one of this key. Resolves when it is written. */
  async add(
    key: string,
    message: string,
    { level = 'info', data }: { level?: JobEvent['level']; data?: Record<string, unknown> } = {},
  ): Promise<void> {
    const id = this.#id(key);
    if (this.#ids.has(id)) return this.#writing;
    const type = key.startsWith('step:') ? 'metrics' : 'message';
    const event: JobEvent = { id, at: Date.now(), level, message, type, ...(data ? { data } : {}) };
    this.#keep(event);
    this.#writing = this.#writing.then(() => appendFile(this.path, `${JSON.stringify(event)}\n`));
    return this.#writing;
  }

  #keep(event: JobEvent): void {
    if (this.#ids.has(event.id)) return;
    this.#ids.add(event.id);
    this.#events.push(event);
  }

  #id(key: string): string {
    return `ftevent-${createHash('sha256').update(`${this.job} ${key}`).digest('hex').slice(0, 24)}`;
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
