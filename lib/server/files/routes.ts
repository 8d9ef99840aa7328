// /v1/files: upload, list, retrieve, content, delete.
import { type Context, Hono } from 'hono';
import type { ServerContext } from '../context.js';
import { badRequest, notFound } from '../http/errors.js';
import { pageOf } from '../http/paging.js';
import { type FileRecord, type FileStore, newId } from './store.js';
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

export function fileRoutes(context: ServerContext, store: FileStore): Hono {
  const routes = new Hono();
  const known = async (c: Context): Promise<FileRecord> => {
    const id = c.req.param('id') ?? '';
    const file = await store.get(id);
    if (!file) throw noFile(id);
    return file;
  };

  routes.post('/files', async (c) => {
    const file = await store.add(newId('file-'), async (save) => {
      const most = context.settings.limits.uploadBytes;
      const { fields, filename, bytes } = await receiveUpload(c.req.raw, most, save, checkField);
      return { filename, bytes, ...detailsOf(fields) };
    });
    context.log.info({ file: file.id, bytes: file.bytes, purpose: file.purpose }, 'file uploaded');
    return c.json(fileObject(file));
  });

  routes.get('/files', async (c) => {
    const { purpose, order = 'desc' } = c.req.query();
    if (order !== 'asc' && order !== 'desc') throw badRequest("'order' must be 'asc' or 'desc'.", 'order');
    if (purpose !== undefined && !purposes.includes(purpose)) throw wrongPurpose(purposes);
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

  routes.get('/files/:id', async (c) => c.json(fileObject(await known(c))));

  routes.get('/files/:id/content', async (c) => {
    const { id, bytes, filename } = await known(c);
    const headers = {
      'content-type': 'application/octet-stream',
      'content-length': String(bytes),
      'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(wellFormed(filename))}`,
      'x-content-type-options': 'nosniff',
    };
    // Hono calls this for HEAD too and drops the body unread: an open stream would stay open.
    if (c.req.method === 'HEAD') return c.body(null, 200, headers);
    const content = await store.open(id);
    if (!content) throw noFile(id);
    return c.body(content, 200, headers);
  });

  routes.delete('/files/:id', async (c) => {
    const { id } = await known(c);
    await store.remove(id);
    return c.json({ id, object: 'file', deleted: true });
  });
  return routes;
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

/** The file's purpose and expiry from the form's fields. */
function detailsOf(fields: ReadonlyMap<string, string>): { purpose: string; lifetime?: number } {
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
  return { purpose, lifetime: seconds * 1000 };
}
