// Keys, as bearer tokens or in Anthropic's header. Keys are compared by their hashes, so that the time taken tells nothing of a key or its length.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { MiddlewareHandler } from 'hono';
import { ApiError } from './errors.js';

const hash = (text: string): Buffer => createHash('sha256').update(text).digest();

declare module 'hono' {
  interface ContextVariableMap {
    /** The hash of the key that let the request in, however its header was written. Undefined without keys. */
    keyHash: string | undefined;
  }
}

/** Lets every request in where there are no keys. */
export function bearerAuth(keys: readonly string[]): MiddlewareHandler {
  const known = keys.map(hash);
  return async (c, next) => {
    if (known.length > 0) c.set('keyHash', check(known, c.req.header('authorization'), c.req.header('x-api-key')));
    await next();
  };
}

/** @throws ApiError 401. */
function check(known: readonly Buffer[], header: string | undefined, plain: string | undefined): string {
  const given = /^Bearer +(\S+) *$/i.exec(header ?? '')?.[1] ?? plain?.trim();
  const headers = { 'www-authenticate': 'Bearer' };
  if (given === undefined || given === '') {
    throw new ApiError(401, "No API key: send one in the header 'Authorization: Bearer KEY'.", {
      code: 'invalid_api_key',
      headers,
    });
  }
  const hashed = hash(given);
  let matches = 0;
  for (const key of known) matches += Number(timingSafeEqual(key, hashed)); // all of them, whichever matches
  if (matches === 0) throw new ApiError(401, 'The API key is not valid here.', { code: 'invalid_api_key', headers });
  return hashed.toString('base64url');
}
