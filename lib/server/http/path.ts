// Addresses of requests as routes know them.

/**
 * The path without the base path that the server is mounted under, and without `/v1`. Base addresses with a slash at
 * their end make doubled ones, and some clients end every address with one.
 */
export function routed(given: string, basePath: string): string {
  const path = given.replace(/\/{2,}/g, '/').replace(/(?<=.)\/$/, '');
  const inside = basePath !== '' && path.startsWith(`${basePath}/`) ? path.slice(basePath.length) : path;
  return inside.startsWith('/v1/') ? inside.slice(3) : inside;
}
