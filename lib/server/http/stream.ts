// Server-sent events: one JSON object per event, `[DONE]` at the end, a comment now and then so that proxies keep the
// connection, and a failure on the way as an event of its own. A slow reader holds back the writing, not the engine.
import type { ErrorBody } from './errors.js';

const pingMilliseconds = 15_000;

export interface EventStreamOptions {
  /** Called when the reader has left. */
  cancel(): void;
  errorBody(error: unknown): ErrorBody;
  headers?: Readonly<Record<string, string>>;
  pingMilliseconds?: number;
}

export function eventStream(events: AsyncGenerator<object, void, void>, options: EventStreamOptions): Response {
  const encoder = new TextEncoder();
  let pings: NodeJS.Timeout | undefined;
  let quiet = false;
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      pings = setInterval(() => {
        if (quiet && (controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(': ping\n\n'));
        quiet = true;
      }, options.pingMilliseconds ?? pingMilliseconds);
      pings.unref();
    },
    async pull(controller) {
      const write = (data: string): void => controller.enqueue(encoder.encode(`data: ${data}\n\n`));
      try {
        const { done, value } = await events.next();
        if (cancelled) return;
        quiet = false;
        if (!done) return write(JSON.stringify(value));
        write('[DONE]');
      } catch (error) {
        if (cancelled) return;
        write(JSON.stringify(options.errorBody(error)));
      }
      clearInterval(pings);
      controller.close();
    },
    cancel() {
      cancelled = true;
      clearInterval(pings);
      options.cancel();
      void events.return().catch(() => {}); // it may still be failing because of the cancellation
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
