// Server-sent events: one JSON object per event, `[DONE]` at the end or each with its name, a comment now and then so that proxies keep the
// connection, and a failure on the way as an event of its own. A slow reader holds back the writing, not the engine.
import { ownTurn } from '../../flow/pause.js';
import { jsonPieces } from './json-pieces.js';

const pingMilliseconds = 15_000;

export interface EventStreamOptions {
  /** Called when the reader has left. */
  cancel(): void;
  errorBody(error: unknown): object;
  /** Each event has a line with its `type`, and none stands for the end. */
  named?: boolean;
  headers?: Readonly<Record<string, string>>;
  pingMilliseconds?: number;
}

export function eventStream(events: AsyncGenerator<object, void, void>, options: EventStreamOptions): Response {
  const encoder = new TextEncoder();
  let pings: NodeJS.Timeout | undefined;
  let quiet = false;
  let cancelled = false;
  const { named = false } = options;
  const texts = written(events, named);
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      pings = setInterval(() => {
        if (quiet && (controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(': ping\n\n'));
        quiet = true;
      }, options.pingMilliseconds ?? pingMilliseconds);
      pings.unref();
    },
    async pull(controller) {
      try {
        const { done, value } = await texts.next();
        if (cancelled) return;
        quiet = false;
        if (!done) return controller.enqueue(encoder.encode(value));
      } catch (error) {
        if (cancelled) return;
        const failed = options.errorBody(error);
        controller.enqueue(encoder.encode(`${lead(failed, named)}${JSON.stringify(failed)}\n\n`));
      }
      clearInterval(pings);
      controller.close();
    },
    cancel() {
      cancelled = true;
      clearInterval(pings);
      options.cancel();
      void texts.return().catch(() => {}); // it may still be failing because of the cancellation
    },
  });
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // Reverse proxies must not collect the events.
      'x-accel-buffering': 'no',
      ...options.headers,
    },
  });
}

/** The events as text. What is large is cut within an event, with a turn of the event loop before each further piece. */
async function* written(
  events: AsyncGenerator<object, void, void>,
  named: boolean,
): AsyncGenerator<string, void, void> {
  for await (const event of events) {
    const begun = lead(event, named);
    let text = begun;
    for (const piece of jsonPieces(event)) {
      if (text !== begun) {
        yield text;
        await ownTurn();
        text = '';
      }
      text += piece;
    }
    yield `${text}\n\n`;
  }
  if (!named) yield 'data: [DONE]\n\n';
}

/** What stands before an event's JSON. */
function lead(event: object, named: boolean): string {
  return named && 'type' in event ? `event: ${String(event.type)}\ndata: ` : 'data: ';
}
