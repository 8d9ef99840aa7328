// /v1/files: upload, list, retrieve, content, delete.
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type Context, Hono } from 'hono';
import { writeAtomic } from '../../files/atomic.js';
import type { ServerContext } from '../context.js';
import { badRequest, notFound } from '../http/errors.js';
import { pageOf } from '../http/paging.js';
import { type FileRecord, FileStore, newId } from './store.js';
import { receiveUpload, wellFormed } from './upload.js';

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

// Also where nobody asks for files, what has expired leaves the disk.
const sweepMilliseconds = 60_000;

const stores = new WeakMap<ServerContext, Promise<FileStore>>();

/** The files of this server's data folder, opened once. */
export function filesOf(context: ServerContext): Promise<FileStore> {
  let store = stores.get(context);
  if (!store) {
    store = FileStore.open(join(context.dataDir!, 'files'), (error) => context.log.warn({ error }, 'file left out'));
    stores.set(context, store);
    const sweep = async (): Promise<void> => (await store!).sweep();
    const timer = setInterval(() => {
      sweep().catch((error: unknown) => context.log.error({ error: String(error) }, 'expired files not removed'));
    }, sweepMilliseconds).unref();
    context.signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  }
  return store;
}

export function fileRoutes(context: ServerContext): Hono {
  const rooms = new Hono();
  const known = async (c: Context): Promise<FileRecord> => {
    const id = c.req.param('id') ?? '';
    const file = await (await filesOf(context)).get(id);
    if (!file) throw noFile(id);
    return file;
  };

  rooms.post('/files', async (c) => {
    const store = await filesOf(context);
    const file = await store.add(newId('file-'), async (content) => {
      const save = (chunks: AsyncIterable<Uint8Array>): Promise<void> =>
        writeAtomic(content, async (write) => {
          for await (const chunk of chunks) await write(chunk);
        });
      const most = context.settings.limits.uploadBytes;
      const { fields, filename, bytes } = await receiveUpload(c.req.raw, most, save, checkField);
      return { filename, bytes, ...detailsOf(fields) };
    });
    context.log.info({ file: file.id, bytes: file.bytes, purpose: file.purpose }, 'file uploaded');
    return c.json(fileObject(file));
  });

  rooms.get('/files', async (c) => {
    const { purpose, order = 'desc' } = c.req.query();
    if (order !== 'asc' && order !== 'desc') throw badRequest("'order' must be 'asc' or 'desc'.", 'order');
    if (purpose !== undefined && !purposes.includes(purpose)) throw wrongPurpose(purposes);
    const store = await filesOf(context);
    const wanted = (await store.list()).filter((file) => purpose === undefined || file.purpose === purpose);
    if (order === 'desc') wanted.reverse();
    const behind = (after: string): number => {
      const made = store.madeAt(after);
      if (made === undefined) return -1;
      const next = wanted.findIndex(({ createdAt }) => (order === 'asc' ? createdAt > made : createdAt < made));
      return next < 0 ? wanted.length : next;
    };
    const { data, has_more } = pageOf(c, wanted, { limit: 10_000, most: 10_000, behind });
    // The specification has strings here even where the list is empty.
    const [first_id, last_id] = [data[0]?.id ?? '', data.at(-1)?.id ?? ''];
    return c.json({ object: 'list', data: data.map(fileObject), first_id, last_id, has_more });
  });

  rooms.get('/files/:id', async (c) => c.json(fileObject(await known(c))));

  rooms.get('/files/:id/content', async (c) => {
    const { id, bytes, filename } = await known(c);
    const headers = {
      'content-type': 'application/octet-stream',
      'content-length': String(bytes),
      'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(wellFormed(filename))}`,
      'x-content-type-options': 'nosniff',
    };
    // Hono asks here for HEAD too and drops the body unread: an open file would stay open.
    if (c.req.method === 'HEAD') return c.body(null, 200, headers);
    const content = await (await filesOf(context)).open(id);
    if (!content) throw noFile(id);
    return c.body(Readable.toWeb(content.createReadStream()) as ReadableStream, 200, headers);
  });

  rooms.delete('/files/:id', async (c) => {
    const { id } = await known(c);
    await (await filesOf(context)).remove(id);
    return c.json({ id, object: 'file', deleted: true });
  });
  return rooms;
}

const noFile = (id: string): Error => notFound(`There is no file ${JSON.stringify(id.slice(0, 100))}.`, 'id');

const wrongPurpose = (allowed: readonly string[]): Error =>
  badRequest(`'purpose' must be one of ${allowed.map((name) => `'${name}'`).join(', ')}.`, 'purpose');

const hour = 3600;
const month = 30 * 24 * hour;

/** Refuses a field as soon as it is seen: a large file may follow. */
function checkField(name: string, value: string): void {
  if (!['purpose', 'expires_after[anchor]', 'expires_after[seconds]'].includes(name))
    throw badRequest(`The field '${name}' is not expected.`, name);
  if (name === 'purpose' && !uploadPurposes.includes(value)) throw wrongPurpose(uploadPurposes);
}

/** What the form says of the file besides its bytes. */
function detailsOf(fields: ReadonlyMap<string, string>): { purpose: string; expiresAt?: number } {
  const purpose = fields.get('purpose');
  if (purpose === undefined) throw wrongPurpose(uploadPurposes);
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
