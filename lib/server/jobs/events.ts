// The events of one job, over the store's log of it.
//
// An event has a key within its job, such as `step:12`, and is kept once: a job that continues after a crash may append
// the same again. The figures of a job's steps are kept here alone.
import { createHash } from 'node:crypto';
import type { Events, StoredEvent } from '../../store/store.js';

export interface JobEvent extends StoredEvent {
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

/** The event's id, which follows from its job and key. */
export const eventId = (job: string, key: string): string =>
  `ftevent-${createHash('sha256').update(`${job} ${key}`).digest('hex').slice(0, 24)}`;

export function eventOf(job: string, key: string, message: string, details: EventDetails = {}): JobEvent {
  const { level = 'info', data } = details;
  const type = key.startsWith('step:') ? 'metrics' : 'message';
  return { id: eventId(job, key), at: Date.now(), level, message, type, ...(data ? { data } : {}) };
}

export class JobEvents {
  constructor(
    private readonly events: Events,
    private readonly job: string,
  ) {}

  /** Oldest first. */
  async all(): Promise<JobEvent[]> {
    return [...(await this.events.read())] as JobEvent[];
  }

  /** Keeps an event, unless there is one of this key. Resolves when it is stored. */
  add(key: string, message: string, details?: EventDetails): Promise<void> {
    return this.events.append(eventOf(this.job, key, message, details));
  }

  /** Resolves once all events survive a power cut. */
  flush(): Promise<void> {
    return this.events.flush();
  }
}
