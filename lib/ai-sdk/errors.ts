// Errors as the AI SDK knows them. It tells them by markers, not by classes, so that its packages' versions may differ.

import { QueueFull } from '../flow/quota.js';
import { RenderFailed } from '../text/chat/render-thread.js';

/** What may go well later as a call that the SDK tries again by itself; any other error as it is. */
export function retryable(error: unknown): unknown {
  if (!(error instanceof QueueFull || error instanceof RenderFailed)) return error;
  return Object.assign(new Error(error.message, { cause: error }), {
    [Symbol.for('vercel.ai.error')]: true,
    [Symbol.for('vercel.ai.error.AI_APICallError')]: true,
    name: 'AI_APICallError',
    url: 'helvetia:',
    requestBodyValues: {},
    statusCode: error instanceof QueueFull ? 429 : 503,
    responseHeaders: { 'retry-after': String(error.retryAfterSeconds) },
    isRetryable: true,
  });
}
