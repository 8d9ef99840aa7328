// Server-sent events, or lines: one JSON object per event, `[DONE]` at the end or each with its name, a comment now and then so that proxies keep the
// connection, and a failure on the way as an event of its own. A slow reader holds back the writing, not the engine.
import { ownTurn } from '../../flow/pause.js';
import { jsonPieces } from './json-pieces.js';

const pingMilliseconds = 15_000;

export type Framing = 'done' | 'named' | 'lines';

export interface EventStreamOptions {
  /** Called when the reader has left. */
  cancel(): void;
  errorBody(error: unknown): object;
  /** How events are written: Server-sent events with `[DONE]` at the end, or each with its `type`; or lines of JSON. */
  framing?: Framing;
  headers?: Readonly<Record<string, string>>;
  pingMilliseconds?: number;
}

export function eventStream(events: AsyncGenerator<object, void, void>, options: EventStreamOptions): Response {
  const encoder = new TextEncoder();
  let pings: NodeJS.Timeout | undefined;
  let quiet = false;
  let cancelled = false;
  const { framing = 'done' } = options;
  const texts = written(events, framing);
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      pings = setInterval(() => {
        if (quiet && framing !== 'lines' && (controller.desiredSize ?? 0) > 0)
          controller.enqueue(encoder.encode(': ping\n\n'));
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
        controller.enqueue(encoder.encode(`${lead(failed, framing)}${JSON.stringify(failed)}${ends[framing]}`));
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
      'content-type': framing === 'lines' ? 'application/x-ndjson' : 'text/event-stream; charset=utf-8',
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
  framing: Framing,
): AsyncGenerator<string, void, void> {
  for await (const event of events) {
    const begun = lead(event, framing);
    let text = begun;
    for (const piece of jsonPieces(event)) {
      if (text !== begun) {
        yield text;
        await ownTurn();
        text = '';
      }
      text += piece;
    }
    yield text + ends[framing];
  }
  if (framing === 'done') yield 'data: [DONE]\n\n';
}

const ends: Readonly<Record<Framing, string>> = { done: '\n\n', named: '\n\n', lines: '\n' };

/** What stands before an event's JSON. */
function lead(event: object, framing: Framing): string {
  if (framing === 'lines') return '';
  return framing === 'named' && 'type' in event ? `event: ${String(event.type)}\ndata: ` : 'data: ';
}
