// The demo's last part: model and adapter are served by OpenAI's API, and asked over HTTP as any client would.

import type { Model } from '../model.js';
import { createServer } from '../server/index.js';

export interface Served {
  /** Where the server listened. */
  url: string;
  /** The names of the models that it listed, the adapter's among them. */
  models: string[];
  /** What each of them answered. */
  answers: string[];
}

/** Serves `model` with the adapters in `folder` on a free port, asks each for an answer at once, and ends the server. */
export async function serveAndAsk(
  model: Model,
  folder: string,
  prompt: string,
  maxTokens: number,
  signal: AbortSignal,
): Promise<Served> {
  const server = createServer({ models: [model], adapters: folder, logger: false });
  try {
    const { url } = await server.listen({ host: '127.0.0.1', port: 0 });
    const ask = async <T>(path: string, body?: object): Promise<T> => {
      const init = body
        ? { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
        : {};
      const response = await fetch(`${url}/v1/${path}`, { ...init, signal });
      if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
      return (await response.json()) as T;
    };
    const models = (await ask<{ data: { id: string }[] }>('models')).data.map(({ id }) => id);
    const answers = await Promise.all(
      models.map(async (id) => {
        const body = {
          model: id,
          messages: [{ role: 'user', content: prompt }],
          max_completion_tokens: maxTokens,
          temperature: 0,
        };
        const { choices } = await ask<{ choices: { message: { content: string } }[] }>('chat/completions', body);
        return choices[0]!.message.content;
      }),
    );
    return { url, models, answers };
  } finally {
    await server.close();
  }
}
