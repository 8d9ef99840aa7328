// Facts of the request at hand that routes need.
import type { Context } from 'hono';
import { newId } from '../ids.js';
import type { RequestFacts } from '../openai/generation.js';

declare module 'hono' {
  interface ContextVariableMap {
    requestId: string;
  }
}

/** The caller's own id where it gave a sensible one, so that logs of several servers can be joined. */
export function requestIdOf(given: string | undefined): string {
  return given !== undefined && /^[\w.:-]{1,128}$/.test(given) ? given : newId('req_');
}

export function requestFacts(c: Context): RequestFacts {
  return {
    requestId: c.get('requestId'),
    client: clientOf(c),
    signal: c.req.raw.signal,
    since: performance.now(),
  };
}

interface NodeBindings {
  incoming?: { socket?: { remoteAddress?: string | undefined } };
}

/** A key's clients count as one; without keys, an address does: a header that nobody checks would name anybody. */
function clientOf(c: Context): string {
  return c.get('keyHash') ?? (c.env as NodeBindings | undefined)?.incoming?.socket?.remoteAddress ?? '';
}
