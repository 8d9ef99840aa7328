// /v1/batches: files of requests, answered when there is room: made, listed, found, cancelled.
import { type Context, Hono } from 'hono';
import { z } from 'zod';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { badRequest, notFound } from '../http/errors.js';
import { pageOf } from '../http/paging.js';
import { checkFields, warningHeader } from '../openai/fields.js';
import { type BatchRecord, batchObject } from './record.js';
import type { BatchRunner } from './runner.js';

const endpoints = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/v1/responses'] as const;

const batchBody = z.looseObject({
  input_file_id: z.string().min(1),
  endpoint: z.enum(endpoints, { error: `expected one of ${endpoints.map((path) => `'${path}'`).join(', ')}` }),
  completion_window: z.literal('24h'),
  metadata: z.record(z.string().max(64), z.string().max(512)).nullish(),
});

export function batchRoutes(context: ServerContext, batches: BatchRunner): Hono {
  const shown = async (batch: BatchRecord) => batchObject(batch, await batches.counts(batch));
  const known = (c: Context): BatchRecord => {
    const id = c.req.param('id') ?? '';
    const batch = batches.get(id);
    if (!batch) throw notFound(`There is no batch ${JSON.stringify(id.slice(0, 100))}.`, 'batch_id');
    return batch;
  };
  return new Hono()
    .post('/batches', async (c) => {
      const body = await jsonBody(c, context, batchBody);
      const warnings = checkFields(body, batchBody, { alsoKnown: ['output_expires_after'] });
      const { endpoint, input_file_id: inputFileId, metadata } = body;
      const batch = await batches.create({ endpoint, inputFileId, metadata: metadata ?? null });
      if (!batch) {
        const shownId = JSON.stringify(inputFileId.slice(0, 100));
        throw badRequest(`'input_file_id': there is no file ${shownId}.`, 'input_file_id');
      }
      return c.json(await shown(batch), 200, warningHeader(warnings));
    })
    .get('/batches', async (c) => {
      const { data, has_more } = pageOf(c, batches.all.reverse(), { limit: 20, most: 100 });
      const list = await Promise.all(data.map(shown));
      return c.json({ object: 'list', data: list, first_id: data[0]?.id, last_id: data.at(-1)?.id, has_more });
    })
    .get('/batches/:id', async (c) => c.json(await shown(known(c))))
    .post('/batches/:id/cancel', async (c) => {
      const batch = known(c);
      await batches.cancel(batch);
      return c.json(await shown(batch));
    });
}
