// A server over the model in the repository, listening on a free port, with the official client and plain requests,
// whose answers are checked against the specification.
import OpenAI from 'openai';
import { createServer, type Logger, type Server, type ServerOptions } from '../../lib/server/index.js';
import { modelId, modelPath } from '../repository-model.js';
import { checking } from './wire.js';

export { modelId, modelPath };

export interface Running extends AsyncDisposable {
  server: Server;
  url: string;
  client: OpenAI;
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
}

/** What went wrong inside is shown: no test expects any of it. */
export const failuresOnly: Logger = {
  info: () => {},
  warn: () => {},
  error: (fields, event) => console.error(event, fields),
};

export async function running(options: Partial<ServerOptions> = {}): Promise<Running> {
  const server = createServer({ models: [modelPath], logger: failuresOnly, ...options });
  const { url } = await server.listen({ port: 0 });
  await server.ready;
  const checked = checking(fetch);
  const apiKey = options.apiKeys?.[0] ?? 'unused';
  return {
    server,
    url,
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0, fetch: checked }),
    post: (path, body, init = {}) =>
      checked(`${url}${path}`, {
        method: 'POST',
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...init,
        headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}`, ...init.headers },
      }),
    [Symbol.asyncDispose]: () => server.close({ drainSeconds: 1 }),
  };
}
