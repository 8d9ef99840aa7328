// Errors as the AI SDK knows them. It tells them by markers, not by classes, so that its packages' versions may differ.

import { QueueFull } from '../quota.js';

/** A full queue as a call that the SDK tries again by itself; any other error as it is. */
export function retryable(error: unknown): unknown {
  if (!(error instanceof QueueFull)) return error;
  return Object.assign(new Error(error.message, { cause: error }), {
    [Symbol.for('vercel.ai.error')]: true,
    [Symbol.for('vercel.ai.error.AI_APICallError')]: true,
    name: 'AI_APICallError',
    url: 'helvetia:',
    requestBodyValues: {},
    statusCode: 429,
    responseHeaders: { 'retry-after': String(error.retryAfterSeconds) },
    isRetryable: true,
  });
}
