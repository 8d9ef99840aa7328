// Who may call besides programs: the pages of this server, and of the origins that it was told of.
//
// Browsers send requests of any page to any address, this machine's too. A page of another origin is known by the
// header `origin`, which it cannot change. One whose host name was made to point at this machine looks like the server's
// own; but then the server is called by that name.
import { isIPv4 } from 'node:net';
import type { Context } from 'hono';
import { ApiError } from './errors.js';

/** @throws ApiError 403 for a page of another origin, which could act even where it cannot read the answer. */
export function refuseOtherSites(c: Context, allowed: readonly string[]): void {
  const site = c.req.header('sec-fetch-site');
  if (c.req.method === 'GET' || site === 'same-origin' || site === 'none' || allowed.includes('*')) return;
  const origin = c.req.header('origin');
  if (origin === undefined && site === undefined) return;
  if (
    origin !== undefined &&
    (allowed.includes(origin) || hostOf(origin) === (c.req.header('host') ?? new URL(c.req.url).host))
  )
    return;
  throw new ApiError(403, "Pages of other sites may not call this server: its option 'cors' lets them in.", {
    code: 'cross_site',
  });
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}

/** Whether an address or name is this machine's own, reached by nobody else. */
export function isLoopback(host: string): boolean {
  return /^(.+\.)?localhost$/i.test(host) || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** Undefined where a server that listens on the loopback is called by a name of it, or one that is allowed. */
export function strangeHost(header: string | null, allowed: readonly string[]): ApiError | undefined {
  const url = `http://${header}`;
  const name = URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : '';
  if (isLoopback(name) || allowed.includes(name)) return undefined;
  return new ApiError(
    403,
    "This server is not called by that name: its options 'allowedHosts' and 'apiKeys' let it in.",
    {
      code: 'unknown_host',
    },
  );
}
