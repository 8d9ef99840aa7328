// Reads a multipart upload as it comes in: one file, handed on in chunks, and a few short fields.
//
// A malformed upload is the client's mistake and ends as one ApiError. `save` rejects with it, so what was saved by then
// is for the caller of receiveUpload to throw away.
import { Readable } from 'node:stream';
import { Busboy, type BusboyFileStream } from '@fastify/busboy';
import { bounded, decoded, streamOf } from '../http/encoding.js';
import { ApiError, badRequest } from '../http/errors.js';

const limits = { fields: 20, fieldSize: 4096, parts: 25, headerPairs: 20, headerSize: 8192 };
// Bytes of a form without its file.
const mostOther = 2 ** 20;

export interface Upload {
  fields: ReadonlyMap<string, string>;
  /** The client's name for it, never a path. */
  filename: string;
  bytes: number;
}

/**
 * Hands the file named `file` to `save`, each field to `check`, which may refuse it, and gives the rest.
 *
 * @throws ApiError 400, or 413 for a file of more than `mostBytes`, or a form that is much larger than its file.
 */
export async function receiveUpload(
  request: Request,
  mostBytes: number,
  save: (chunks: AsyncIterable<Uint8Array>) => Promise<void>,
  check: (name: string, value: string) => void,
): Promise<Upload> {
  const contentType = request.headers.get('content-type') ?? '';
  if (!/^multipart\/form-data\s*;/i.test(contentType))
    throw badRequest('The body must be multipart/form-data with a boundary.', null, 'invalid_content_type');
  const mostInAll = mostBytes + mostOther;
  if (Number(request.headers.get('content-length')) > mostInAll) throw tooLarge(mostBytes);
  if (!request.body) throw badRequest("The body is empty: expected a file in the field 'file'.", 'file');
  const parser = parserOf(contentType, mostBytes);
  const fields = new Map<string, string>();
  const stop = (error: Error): void => void parser.destroy(error);
  let file: { stream: BusboyFileStream; filename: string } | undefined;
  let saving: Promise<number> | undefined;

  parser.on('field', (name, value, _, truncated) => {
    if (truncated) return stop(badRequest(`The field '${name}' is longer than ${limits.fieldSize} bytes.`, name));
    if (name === 'file') return stop(badRequest("There is no file: the field 'file' has no filename.", 'file'));
    if (fields.has(name)) return stop(badRequest(`The field '${name}' is there twice.`, name));
    try {
      check(name, value);
    } catch (error) {
      return stop(error as Error);
    }
    fields.set(name, value);
  });
  parser.on('file', (name, stream, filename) => {
    stream.on('error', () => {}); // the parser emits the same error
    if (name !== 'file' || file) {
      stream.resume();
      const what = file ? "There is more than one file: send one, in the field 'file'" : `'${name}' is not expected`;
      return stop(badRequest(`${what}.`, 'file'));
    }
    file = { stream, filename: plainName(filename) };
    stream.once('limit', () => stop(tooLarge(mostBytes)));
    saving = saved(stream, save);
    saving.catch(stop);
  });
  for (const limit of ['partsLimit', 'fieldsLimit'] as const) {
    parser.on(limit, () => stop(badRequest('The form has more fields than are expected.')));
  }
  try {
    const received = Readable.from(bounded(streamOf(request), mostInAll, () => tooLarge(mostBytes)));
    const body = decoded(received, request.headers.get('content-encoding'));
    let bytes = 0;
    body.on('data', (chunk: Uint8Array) => {
      bytes += chunk.length;
      if (bytes > mostInAll) stop(tooLarge(mostBytes));
    });
    await parsed(body, parser);
    if (!file || !saving) throw badRequest("There is no file: send one in the field 'file'.", 'file');
    return { fields, filename: file.filename, bytes: await saving };
  } catch (error) {
    file?.stream.destroy(error as Error);
    await saving?.catch(() => {});
    if (error instanceof SaveFailure) throw error.cause;
    throw error instanceof ApiError ? error : badRequest(`The form cannot be read: ${reason(error)}.`);
  }
}

function parserOf(contentType: string, mostBytes: number): InstanceType<typeof Busboy> {
  try {
    return new Busboy({ headers: { 'content-type': contentType }, limits: { ...limits, fileSize: mostBytes } });
  } catch (error) {
    throw badRequest(`The form cannot be read: ${reason(error)}.`);
  }
}

/** Without `pipeline`, which never settles where busboy emits 'finish' before the body ends. */
function parsed(body: Readable, parser: InstanceType<typeof Busboy>): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    parser.once('finish', resolve);
    parser.on('error', reject);
    body.on('error', reject);
    body.pipe(parser);
  }).catch((error: unknown) => {
    body.unpipe(parser).destroy();
    parser.destroy();
    throw error;
  });
}

async function saved(
  stream: BusboyFileStream,
  save: (chunks: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<number> {
  let bytes = 0;
  let cutOff = false;
  async function* counted(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of stream as AsyncIterable<Uint8Array>) {
        bytes += chunk.length;
        yield chunk;
      }
    } catch (error) {
      cutOff = true;
      throw error;
    }
  }
  try {
    await save(counted());
  } catch (error) {
    throw cutOff ? error : new SaveFailure('the file cannot be stored', { cause: error });
  }
  return bytes;
}

/** A failure of `save`, such as a full disk: not the caller's mistake. */
class SaveFailure extends Error {}

const tooLarge = (most: number): ApiError =>
  new ApiError(413, `The file is larger than ${most} bytes.`, { param: 'file', code: 'file_too_large' });

const reason = (error: unknown): string =>
  error instanceof Error && error.message !== '' ? error.message.replace(/\.$/, '') : 'it ended early';

/** Half a character, which no URL and no UTF-8 can hold, becomes U+FFFD. */
export const wellFormed = (text: string): string => Buffer.from(text).toString();

/** The last part of a path, without control characters. */
function plainName(given: string | undefined): string {
  const last = wellFormed(given ?? '')
    .split(/[/\\]/)
    .at(-1)!;
  const plain = [...last]
    .filter((c) => c >= ' ' && c !== '\x7f')
    .slice(0, 200)
    .join('')
    .trim();
  return plain === '' || plain === '.' || plain === '..' ? 'upload' : plain;
}
