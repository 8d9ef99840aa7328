// The check that all other tests' clients carry is itself seen to fail.
import { expect, it } from 'vitest';
import { answerSchema, expectValid } from './specification.js';
import { checking } from './wire.js';

const answering = (body: string, type: string, status = 200): typeof fetch =>
  checking(async () => new Response(body, { status, headers: { 'content-type': type } }));
const json = (path: string, body: unknown, status = 200): Promise<Response> =>
  answering(JSON.stringify(body), 'application/json', status)(`http://x/v1${path}`);
const events = async (path: string, ...bodies: unknown[]): Promise<string> => {
  const text = bodies.map((body) => `data: ${JSON.stringify(body)}\n\n`).join('');
  return (
    await answering(`${text}data: [DONE]\n\n`, 'text/event-stream')(`http://x/v1${path}`, { method: 'POST' })
  ).text();
};

it('knows what answers to which address', () => {
  expectValid('ErrorResponse', { error: { message: 'm', type: 't', param: null, code: null } });
  const schemas = [
    ['GET', '/models', 'ListModelsResponse'],
    ['GET', '/models/ft%3Aa%2Fb', 'Model'],
    ['DELETE', '/models/a', 'DeleteModelResponse'],
    ['GET', '/files', 'ListFilesResponse'],
    ['GET', '/files/a/content', undefined],
    ['GET', '/fine_tuning/jobs', 'ListPaginatedFineTuningJobsResponse'],
    ['POST', '/fine_tuning/jobs', 'FineTuningJob'],
    ['GET', '/fine_tuning/jobs/a/events', 'ListFineTuningJobEventsResponse'],
    ['GET', '/fine_tuning/jobs/a/checkpoints', 'ListFineTuningJobCheckpointsResponse'],
    ['POST', '/chat/completions', 'CreateChatCompletionResponse'],
    ['POST', '/completions', 'CreateCompletionResponse'],
    ['POST', '/embeddings', 'CreateEmbeddingResponse'],
    ['POST', '/goats', undefined],
  ] as const;
  for (const [method, path, schema] of schemas) expect(answerSchema(method, path, 'application/json')).toBe(schema);
  expect(answerSchema('POST', '/chat/completions', 'text/event-stream')).toBe('CreateChatCompletionStreamResponse');
});

it('fails for a wrong body and a wrong event', async () => {
  expectValid('ListModelsResponse', { object: 'list', data: [] });
  expect(await (await json('/models', { object: 'list', data: [] })).json()).toEqual({ object: 'list', data: [] });
  await expect(json('/models', { object: 'list' })).rejects.toThrow(/ListModelsResponse/);
  await expect(json('/models', { error: { message: 'm' } }, 404)).rejects.toThrow(/ErrorResponse/);
  const chunk = { id: 'a', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [] };
  expect(await events('/chat/completions', chunk, chunk)).toMatch(/\[DONE\]/);
  await expect(events('/chat/completions', chunk, { ...chunk, created: 'now' })).rejects.toThrow(/StreamResponse/);
  await expect(events('/completions', { ...chunk, object: 'text' })).rejects.toThrow(/CreateCompletionResponse/);
});
