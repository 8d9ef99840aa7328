// Renders long conversations on a thread of their own, one after the other. A template takes some fifty microseconds a
// message, and a few take the square of that: in a long conversation, too long to hold the event loop.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type ChatMessage, type ChatTemplates, TemplateError, type TemplateOptions } from './template.js';

export interface RenderJob {
  /** A model's templates by name, and its special tokens. */
  sources: ReadonlyMap<string, string>;
  specialTokens: Readonly<Record<string, unknown>>;
  messages: readonly ChatMessage[];
  options: TemplateOptions;
}

/** The text, or what the template says is wrong. */
export type Rendered = { text: string } | { refusal: string };

/** Messages and tools that any template writes in a few milliseconds. */
const mostAtOnce = 32;
const mostMilliseconds = 5_000;
const mostMemoryMegabytes = 512;

// Where the sources run without being compiled, as in tests, the thread still needs what was compiled.
const file = new URL(
  import.meta.url.endsWith('.ts') ? '../../dist/lib/text/render-worker.js' : './render-worker.js',
  import.meta.url,
);

let thread: Worker | undefined;
let before: Promise<unknown> = Promise.resolve();

/**
 * What `templates.render` gives, without holding the event loop.
 *
 * @throws TemplateError (as a rejection) where the template refuses the messages, or takes more than five seconds or half
 *   a gigabyte; the signal's reason.
 */
export async function renderChat(
  templates: ChatTemplates,
  messages: readonly ChatMessage[],
  options: TemplateOptions,
  signal?: AbortSignal,
): Promise<string> {
  if (messages.length + (options.tools?.length ?? 0) <= mostAtOnce) return templates.render(messages, options);
  const { sources, specialTokens } = templates;
  const turn = before.then(() => {
    signal?.throwIfAborted();
    return render({ sources, specialTokens, messages, options }, signal);
  });
  before = turn.catch(() => {});
  return turn;
}

async function render(job: RenderJob, signal: AbortSignal | undefined): Promise<string> {
  thread ??= new Worker(file, { execArgv: [], resourceLimits: { maxOldGenerationSizeMb: mostMemoryMegabytes } });
  const worker = thread;
  const late = AbortSignal.timeout(mostMilliseconds);
  worker.ref();
  try {
    const answer = once(worker, 'message', { signal: signal ? AbortSignal.any([signal, late]) : late });
    worker.postMessage(job);
    const [rendered] = (await answer) as [Rendered];
    if ('refusal' in rendered) throw new TemplateError(rendered.refusal);
    worker.unref(); // it waits for the next, and keeps no process alive
    return rendered.text;
  } catch (error) {
    if (error instanceof TemplateError) {
      worker.unref();
      throw error;
    }
    thread = undefined;
    worker.on('error', () => {});
    void worker.terminate();
    signal?.throwIfAborted();
    if (late.aborted) throw new TemplateError(`chat template: takes more than ${mostMilliseconds / 1000} seconds`);
    throw new TemplateError(`chat template: ${(error as Error).message}`, { cause: error });
  }
}
