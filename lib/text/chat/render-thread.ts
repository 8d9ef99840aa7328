// A thread that renders one conversation at a time. It is replaced where a template takes too long or too much memory:
// nothing else ends one.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type ChatMessage, TemplateError, type TemplateOptions } from '../template.js';

export interface RenderJob {
  /** A model's templates by name, and its special tokens. */
  sources: ReadonlyMap<string, string>;
  specialTokens: Readonly<Record<string, unknown>>;
  messages: readonly ChatMessage[];
  options: TemplateOptions;
}

/** The text, or what the template says is wrong. */
export type Rendered = { text: string } | { refusal: string };

export interface ThreadLimits {
  /** For one conversation, the thread's start not counted. */
  milliseconds: number;
  megabytes: number;
}

/** The conversation was not written, and the template does not say that anything is wrong with it. */
export class RenderFailed extends Error {
  override readonly name = 'RenderFailed';
  readonly retryAfterSeconds = 5;
}

// Where the sources run without being compiled, as in tests, the thread still needs what was compiled.
const workerFile = (): URL =>
  new URL(
    import.meta.url.endsWith('.ts') ? '../../../dist/lib/text/chat/render-worker.js' : './render-worker.js',
    import.meta.url,
  );

export class RenderThread {
  #worker: Worker | undefined;
  #held = 0;

  constructor(private readonly limits: ThreadLimits) {}

  /** Keeps the process alive until as many `release`: somebody waits for an answer. */
  hold(): void {
    this.#held++;
    this.#worker?.ref();
  }

  release(): void {
    this.#held--;
    if (this.#held === 0) this.#worker?.unref();
  }

  /**
   * Not to be called again before it has ended.
   *
   * @throws TemplateError (as a rejection) with what the template says, RenderFailed, or a DataCloneError for what cannot
   *   be sent to a thread.
   */
  async render(job: RenderJob): Promise<string> {
    const worker = this.#worker ?? (await this.#start());
    worker.postMessage(job); // before anything waits for an answer: it may throw
    const rendered = await this.#answer(worker);
    if ('refusal' in rendered) throw new TemplateError(rendered.refusal);
    return rendered.text;
  }

  async #start(): Promise<Worker> {
    const worker = new Worker(workerFile(), {
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: this.limits.megabytes },
    });
    this.#worker = worker;
    worker.on('error', () => {}); // whoever waits for an answer is told; without one it would end the process
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    if (this.#held === 0) worker.unref();
    try {
      await once(worker, 'message');
    } catch (error) {
      this.#worker = undefined;
      throw new RenderFailed('the thread for chat templates does not start', { cause: error });
    }
    return worker;
  }

  async #answer(worker: Worker): Promise<Rendered> {
    const { milliseconds, megabytes } = this.limits;
    const late = AbortSignal.timeout(milliseconds);
    try {
      const [rendered] = (await once(worker, 'message', { signal: late })) as [Rendered];
      return rendered;
    } catch (error) {
      this.#worker = undefined;
      await worker.terminate(); // two at a time would take the memory twice
      if (late.aborted) throw new RenderFailed(`the chat template takes more than ${milliseconds / 1000} seconds`);
      if ((error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY') {
        throw new RenderFailed(`the chat template takes more than ${megabytes} MB`);
      }
      throw new RenderFailed('the thread for chat templates failed', { cause: error });
    }
  }
}
