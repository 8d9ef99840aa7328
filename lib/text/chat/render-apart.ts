// Renders long conversations on a thread of their own, one after the other. A template takes some fifty microseconds a
// message, and a few take the square of that: in a long conversation, too long to hold the event loop.
//
// Clients take turns. What a client gives up while it is being rendered goes on to its end or its time limit, as another
// thread would take longer to start than most take to be written.
import { onAbort } from '../../flow/abort.js';
import { QueueFull, Quota, retryAfter } from '../../flow/quota.js';
import { type Waiter, WaitingLines } from '../../flow/waiting.js';
import type { ChatMessage, ChatTemplates, TemplateOptions } from '../template.js';
import { isShort } from './render-size.js';
import { RenderThread, type ThreadLimits } from './render-thread.js';

export interface RenderLimits extends ThreadLimits {
  /** Conversations that may wait, but for a client with less than its share. */
  waiting: number;
}

export interface Asker {
  /** Who asks: clients take turns. */
  client?: string | undefined;
  signal?: AbortSignal | undefined;
}

class Job implements Waiter {
  resolve!: (text: string) => void;
  reject!: (error: unknown) => void;
  readonly text = new Promise<string>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });

  constructor(
    readonly client: string,
    readonly render: (thread: RenderThread) => Promise<string>,
  ) {}
}

export class ChatRenderer {
  readonly #thread: RenderThread;
  readonly #waiting = new WaitingLines<Job>();
  readonly #quota: Quota;
  #working = false;
  /** Milliseconds that one takes. */
  #usual = 10;

  constructor({ milliseconds = 5000, megabytes = 512, waiting = 1000 }: Partial<RenderLimits> = {}) {
    this.#thread = new RenderThread({ milliseconds, megabytes });
    this.#quota = new Quota({ requests: waiting, tokens: 0 });
  }

  /**
   * What `templates.render` gives, without holding the event loop.
   *
   * @throws TemplateError (as a rejection) where the template refuses the messages; RenderFailed where it takes more time
   *   or memory than it may; QueueFull if too many wait; the signal's reason, at once.
   */
  async render(
    templates: ChatTemplates,
    messages: readonly ChatMessage[],
    options: TemplateOptions,
    { client = '', signal }: Asker = {},
  ): Promise<string> {
    if (isShort(messages, options)) return templates.render(messages, options);
    signal?.throwIfAborted();
    if (this.#quota.refuses(client, 0)) {
      const { length } = this.#waiting;
      throw new QueueFull(length, retryAfter((this.#usual * (length + 1)) / 1000));
    }
    const job = new Job(client, (thread) => renderOn(thread, templates, messages, options));
    const leave = (reason: unknown): void => {
      this.#waiting.delete(job);
      job.reject(reason);
    };
    this.#quota.take(client, 0);
    this.#thread.hold();
    const release = onAbort([signal], leave);
    this.#waiting.push(job);
    if (!this.#working) void this.#work();
    try {
      return await job.text;
    } finally {
      release();
      this.#thread.release();
      this.#quota.give(client, 0);
    }
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let next = this.#next(); next; next = this.#next()) {
      const began = performance.now();
      await next.render(this.#thread).then(next.resolve, next.reject);
      this.#usual += (performance.now() - began - this.#usual) / 16;
    }
    this.#working = false;
  }

  #next(): Job | undefined {
    const [next] = this.#waiting.heads();
    if (next) this.#waiting.serve(next);
    return next;
  }
}

/** A function among the variables cannot be sent to a thread. No request has one: the program's own caller waits for it. */
async function renderOn(
  thread: RenderThread,
  templates: ChatTemplates,
  messages: readonly ChatMessage[],
  options: TemplateOptions,
): Promise<string> {
  const { sources, specialTokens } = templates;
  try {
    return await thread.render({ sources, specialTokens, messages, options });
  } catch (error) {
    if (!(error instanceof DOMException && error.name === 'DataCloneError')) throw error;
    return templates.render(messages, options);
  }
}

/** For all models of the process: what is served at once takes one thread, not one each. */
export const sharedRenderer = new ChatRenderer();
