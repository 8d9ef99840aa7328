// Where a server may listen: an address that other machines reach needs a key, or the word that none is wanted.
import { describe, expect, it } from 'vitest';
import { createServer, type ServerOptions } from '../../lib/server/index.js';
import { modelPath } from './running.js';

async function listening(host: string, options: Partial<ServerOptions> = {}): Promise<string> {
  const server = createServer({ models: [modelPath], logger: false, ...options });
  try {
    return (await server.listen({ host, port: 0 })).host;
  } finally {
    await server.close({ drainSeconds: 0 });
  }
}

describe('an address', () => {
  it.each(['0.0.0.0', '::', '', 'example.invalid', '192.0.2.1'])('of other machines needs a key: %j', async (host) => {
    await expect(listening(host)).rejects.toThrow(
      /host '.*' lets other machines call this server, and it has no key.*'apiKeys' \(--api-key KEY\), or 'noAuth' \(--no-auth\)/,
    );
    await expect(listening(host, { apiKeys: [] })).rejects.toThrow(/it has no key/);
  });

  it('of other machines is taken with a key, or where none is wanted', async () => {
    expect(await listening('0.0.0.0', { apiKeys: ['k'] })).toBe('0.0.0.0');
    expect(await listening('0.0.0.0', { noAuth: true })).toBe('0.0.0.0');
  });

  it.each(['127.0.0.1', 'localhost'])('of this machine needs none: %s', async (host) => {
    expect(await listening(host)).toBe(host);
  });
});

it('a key beside noAuth is a mistake', () => {
  expect(() => createServer({ models: [modelPath], apiKeys: ['k'], noAuth: true })).toThrow(
    /'apiKeys' or 'noAuth', not both/,
  );
});
