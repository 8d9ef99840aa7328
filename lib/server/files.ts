// /v1/files: upload, list, retrieve, content, delete.
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type Context, Hono } from 'hono';
import { writeAtomic } from '../files/atomic.js';
import type { ServerContext } from './context.js';
import { badRequest, notFound } from './errors.js';
import { type FileRecord, FileStore, newId } from './file-store.js';
import { pageOf } from './paging.js';
import { receiveUpload } from './upload.js';

const uploadPurposes = ['assistants', 'batch', 'fine-tune', 'vision', 'user_data', 'evals'];
const purposes = [...uploadPurposes, 'assistants_output', 'batch_output', 'fine-tune-results'];

/** The spec's `OpenAIFile`. */
export function fileObject({ id, bytes, createdAt, expiresAt, filename, purpose }: FileRecord): object {
  const seconds = (milliseconds: number): number => Math.floor(milliseconds / 1000);
  return {
    id,
    object: 'file',
    bytes,
    created_at: seconds(createdAt),
    ...(expiresAt === undefined ? {} : { expires_at: seconds(expiresAt) }),
    filename,
    purpose,
    status: 'processed',
  };
}

const stores = new WeakMap<ServerContext, Promise<FileStore>>();

/** The files of this server's data folder, opened once. */
export function filesOf(context: ServerContext): Promise<FileStore> {
  let store = stores.get(context);
  if (!store) {
    store = FileStore.open(join(context.dataDir!, 'files'), (error) => context.log.warn({ error }, 'file left out'));
    stores.set(context, store);
  }
  return store;
}

export function fileRoutes(context: ServerContext): Hono {
  const rooms = new Hono();
  const known = async (c: Context): Promise<FileRecord> => {
    const id = c.req.param('id') ?? '';
    const file = await (await filesOf(context)).get(id);
    if (!file) throw notFound(`There is no file ${JSON.stringify(id.slice(0, 100))}.`, 'id');
    return file;
  };

  rooms.post('/files', async (c) => {
    const store = await filesOf(context);
    const file = await store.add(newId('file-'), async (content) => {
      const save = (chunks: AsyncIterable<Uint8Array>): Promise<void> =>
        writeAtomic(content, async (write) => {
          for await (const chunk of chunks) await write(chunk);
        });
      const { fields, filename, bytes } = await receiveUpload(c.req.raw, context.settings.limits.uploadBytes, save);
      return { filename, bytes, ...detailsOf(fields) };
    });
    context.log.info({ file: file.id, bytes: file.bytes, purpose: file.purpose }, 'file uploaded');
    return c.json(fileObject(file));
  });

  rooms.get('/files', async (c) => {
    const { purpose, order = 'desc' } = c.req.query();
    if (order !== 'asc' && order !== 'desc') throw badRequest("'order' must be 'asc' or 'desc'.", 'order');
    if (purpose !== undefined && !purposes.includes(purpose)) throw wrongPurpose(purposes);
    const files = await (await filesOf(context)).list();
    const wanted = files.filter((file) => purpose === undefined || file.purpose === purpose);
    const page = pageOf(c, order === 'asc' ? wanted : wanted.reverse(), { limit: 10_000, most: 10_000 });
    const { data, has_more } = page;
    // The specification has strings here even where the list is empty.
    const [first_id, last_id] = [data[0]?.id ?? '', data.at(-1)?.id ?? ''];
    return c.json({ object: 'list', data: data.map(fileObject), first_id, last_id, has_more });
  });

  rooms.get('/files/:id', async (c) => c.json(fileObject(await known(c))));

  rooms.get('/files/:id/content', async (c) => {
    const { id, bytes, filename } = await known(c);
    const stream = createReadStream((await filesOf(context)).path(id));
    return c.body(Readable.toWeb(stream) as ReadableStream, 200, {
      'content-type': 'application/octet-stream',
      'content-length': String(bytes),
      'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(filename)}`,
      'x-content-type-options': 'nosniff',
    });
  });

  rooms.delete('/files/:id', async (c) => {
    const { id } = await known(c);
    await (await filesOf(context)).remove(id);
    return c.json({ id, object: 'file', deleted: true });
  });
  return rooms;
}

const wrongPurpose = (allowed: readonly string[]): Error =>
  badRequest(`'purpose' must be one of ${allowed.map((name) => `'${name}'`).join(', ')}.`, 'purpose');

const hour = 3600;
const month = 30 * 24 * hour;

/** What the form says of the file besides its bytes. */
function detailsOf(fields: ReadonlyMap<string, string>): { purpose: string; expiresAt?: number } {
  const purpose = fields.get('purpose');
  if (purpose === undefined || !uploadPurposes.includes(purpose)) throw wrongPurpose(uploadPurposes);
  for (const name of fields.keys()) {
    if (!['purpose', 'expires_after[anchor]', 'expires_after[seconds]'].includes(name))
      throw badRequest(`The field '${name}' is not expected.`, name);
  }
  const anchor = fields.get('expires_after[anchor]');
  const text = fields.get('expires_after[seconds]');
  if (anchor === undefined && text === undefined) return { purpose };
  if (anchor !== 'created_at')
    throw badRequest("'expires_after[anchor]' must be 'created_at'.", 'expires_after.anchor');
  const seconds = /^\d{1,9}$/.test(text ?? '') ? Number(text) : 0;
  if (seconds < hour || seconds > month) {
    throw badRequest(`'expires_after[seconds]' must be an integer from ${hour} to ${month}.`, 'expires_after.seconds');
  }
  return { purpose, expiresAt: Date.now() + seconds * 1000 };
}
