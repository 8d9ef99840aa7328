// Files, by the official client, and uploads that no client would make.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { FileStore, newId } from '../../../lib/server/files/store.js';
import { mix } from '../../../lib/train/random.js';
import { MemoryStore } from '../../store/memory.js';
import { eventually } from '../../until.js';
import { type Running, running } from '../running.js';
import { expectValid } from '../specification.js';

const dataDir = mkdtempSync(join(tmpdir(), 'helvetia-files-'));
const uploadBytes = 3_000_000;
let at: Running;
beforeAll(async () => {
  at = await running({ dataDir, limits: { uploadBytes } });
});
afterAll(async () => {
  await at[Symbol.asyncDispose]();
  rmSync(dataDir, { recursive: true });
});

const upload = async (text: string | Uint8Array, name = 'rows.jsonl', purpose = 'fine-tune', more = {}) =>
  at.client.files.create({ file: await toFile(Buffer.from(text), name), purpose: purpose as 'fine-tune', ...more });

/** Posts a body as it is; the answer must be an error in the specification's form. */
async function refused(
  body: Buffer | string,
  contentType?: string,
): Promise<{ status: number; message: string; param: string | null }> {
  const headers = contentType === undefined ? {} : { 'content-type': contentType };
  const response = await fetch(`${at.url}/v1/files`, { method: 'POST', body, headers });
  const json = (await response.json()) as { error: { message: string; param: string | null } };
  expectValid('ErrorResponse', json);
  expect(Object.keys(json.error).sort()).toEqual(['code', 'message', 'param', 'type']);
  return { status: response.status, ...json.error };
}

/** The paths that this process has open, where the system tells. */
const openFiles = (): string[] => {
  const folder = '/proc/self/fd';
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => {
    try {
      return [readlinkSync(join(folder, name))];
    } catch {
      return []; // closed by now
    }
  });
};

const boundary = '----x';
const multipart = `multipart/form-data; boundary=${boundary}`;
const part = (disposition: string, content: string, head = ''): string =>
  `--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\n${head}\r\n${content}\r\n`;
const purposePart = part('name="purpose"', 'fine-tune');
const filePart = (name = 'a.jsonl') => part(`name="file"; filename="${name}"`, '{"text":"a"}');
const end = `--${boundary}--\r\n`;

describe('files', () => {
  it('come back as they were sent', async () => {
    const bytes = Buffer.from(Uint8Array.from({ length: 2_000_000 }, (_, i) => (i * 31 + (i >> 8)) % 256));
    const before = Math.floor(Date.now() / 1000);
    const file = await upload(bytes, 'Zürich ⛰.jsonl');
    expectValid('OpenAIFile', file);
    expect(file).toMatchObject({
      object: 'file',
      bytes: bytes.length,
      filename: 'Zürich ⛰.jsonl',
      purpose: 'fine-tune',
    });
    expect(file.id).toMatch(/^file-[A-Za-z0-9]{24}$/);
    expect(file.created_at).toBeGreaterThanOrEqual(before);
    expect(file.created_at).toBeLessThanOrEqual(Date.now() / 1000);
    expect(await at.client.files.retrieve(file.id)).toEqual(file);
    const content = await at.client.files.content(file.id);
    expect(Buffer.from(await content.arrayBuffer()).equals(bytes)).toBe(true);
    expect(content.headers.get('content-type')).toBe('application/octet-stream');
    const gone = await at.client.files.delete(file.id);
    expectValid('DeleteFileResponse', gone);
    expect(gone).toEqual({ id: file.id, object: 'file', deleted: true });
    await expect(at.client.files.retrieve(file.id)).rejects.toMatchObject({
      status: 404,
      type: 'invalid_request_error',
    });
    expect(existsSync(join(dataDir, 'files', file.id))).toBe(false);
  });

  it('may be empty, and as large as the limit but no larger', async () => {
    expect((await upload('')).bytes).toBe(0);
    expect((await upload(new Uint8Array(uploadBytes))).bytes).toBe(uploadBytes);
    const failure = await upload(new Uint8Array(uploadBytes + 1)).catch((error) => error);
    expect(failure).toMatchObject({ status: 413, code: 'file_too_large', param: 'file' });
  });

  it('may come with a content-encoding, decoded and bounded, or refused', async () => {
    const send = (body: Buffer, encoding: string) =>
      fetch(`${at.url}/v1/files`, {
        method: 'POST',
        body,
        headers: { 'content-type': multipart, 'content-encoding': encoding },
      });
    const form = Buffer.from(purposePart + filePart() + end);
    for (const [encoding, bytes] of [
      ['gzip', gzipSync(form)],
      ['br', brotliCompressSync(form)],
      ['identity', form],
    ] as const) {
      const { id } = (await (await send(bytes, encoding)).json()) as { id: string };
      expect(await (await at.client.files.content(id)).text(), encoding).toBe('{"text":"a"}');
      await at.client.files.delete(id);
    }
    const before = readdirSync(join(dataDir, 'files')).sort();
    const bomb = purposePart + part('name="file"; filename="a"', 'x'.repeat(64_000_000)) + end;
    expect((await send(gzipSync(bomb), 'gzip')).status).toBe(413);
    expect((await send(form, 'gzip')).status).toBe(400);
    expect((await send(gzipSync(form).subarray(0, 60), 'gzip')).status).toBe(400);
    expect((await send(form, 'zstd')).status).toBe(415);
    expect(readdirSync(join(dataDir, 'files')).sort()).toEqual(before);
  });

  it('can be deleted while they are listed', async () => {
    const made: string[] = [];
    for (let i = 0; i < 5; i++) made.push((await upload(`${i}`, `${i}.bin`, 'evals')).id);
    for (const order of ['asc', 'desc'] as const) {
      const list = () => at.client.files.list({ purpose: 'evals', limit: 2, order });
      const seen: string[] = [];
      for await (const file of list()) {
        seen.push(file.id);
        if (order === 'desc' || seen.length < 3) await at.client.files.delete(file.id);
      }
      expect(seen).toEqual(order === 'asc' ? made : made.slice(2).reverse());
    }
  });

  it('that expire leave the disk though nobody asks for them', async () => {
    const store = new MemoryStore();
    const files = await FileStore.open(store, () => {});
    const file = await files.add(newId('file-'), async (save) => {
      await save(Readable.from([Buffer.from('x')]));
      return { bytes: 1, filename: 'x', purpose: 'batch', expiresAt: Date.now() + 20 };
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    await files.sweep();
    expect(await store.records('file').get(file.id)).toBeUndefined();
  });

  it('whose content is gone from the disk are not found', async () => {
    const { id } = await upload('gone');
    rmSync(join(dataDir, 'files', id, 'content'));
    await expect(at.client.files.content(id)).rejects.toMatchObject({ status: 404 });
  });

  it('are asked for their size alone without being opened', async () => {
    const { id, bytes } = await upload('a'.repeat(2_000_000));
    const open = vi.spyOn(FileStore.prototype, 'open');
    const heads = Array.from({ length: 200 }, () => fetch(`${at.url}/v1/files/${id}/content`, { method: 'HEAD' }));
    for (const response of await Promise.all(heads)) {
      expect(response.status).toBe(200);
      expect(response.headers.get('content-length')).toBe(String(bytes));
      expect(await response.text()).toBe('');
    }
    expect(open).not.toHaveBeenCalled();
    open.mockRestore();
    expect((await fetch(`${at.url}/v1/files/file-none/content`, { method: 'HEAD' })).status).toBe(404);
  });

  it('are closed when a reader leaves in the middle', async () => {
    const { id } = await upload('a'.repeat(2_000_000));
    for (let i = 0; i < 20; i++) {
      const { body } = await fetch(`${at.url}/v1/files/${id}/content`);
      await body!.cancel();
    }
    await eventually(() => expect(openFiles()).not.toContain(join(dataDir, 'files', id, 'content')));
  });

  it('expire', async () => {
    const file = await upload('x', 'a', 'user_data', { expires_after: { anchor: 'created_at', seconds: 3600 } });
    expectValid('OpenAIFile', file);
    expect(Math.abs(file.expires_at! - file.created_at - 3600)).toBeLessThanOrEqual(1);
    vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 3_601_000);
    try {
      await expect(at.client.files.retrieve(file.id)).rejects.toMatchObject({ status: 404 });
    } finally {
      vi.restoreAllMocks();
    }
  });

  it('are listed newest first, a page at a time', async () => {
    const made: string[] = [];
    for (let i = 0; i < 5; i++) made.push((await upload(`${i}`, `${i}.bin`, 'batch')).id);
    const list = async (query: object): Promise<string[]> => {
      const ids: string[] = [];
      for await (const file of at.client.files.list({ purpose: 'batch', ...query })) ids.push(file.id);
      return ids;
    };
    expect(await list({})).toEqual(made.toReversed());
    expect(await list({ limit: 2 })).toEqual(made.toReversed());
    expect(await list({ limit: 2, order: 'asc' })).toEqual(made);
    expect(await list({ after: made[3], order: 'asc' })).toEqual([made[4]]);
    const { body } = (await at.client.files.list({ purpose: 'batch', limit: 2 })) as unknown as { body: object };
    expectValid('ListFilesResponse', body);
    expect(body).toMatchObject({ object: 'list', first_id: made[4], last_id: made[3], has_more: true });
    const none = await (await fetch(`${at.url}/v1/files?purpose=vision`)).json();
    expectValid('ListFilesResponse', none);
    expect(none).toMatchObject({ data: [], has_more: false });
  });

  it.each(['limit=0', 'limit=x', 'limit=10001', 'order=up', 'after=file-none', 'purpose=fun'])(
    'are not listed by ?%s',
    async (query) => {
      const response = await fetch(`${at.url}/v1/files?${query}`);
      expect(response.status).toBe(400);
      const body = (await response.json()) as { error: { param: string } };
      expectValid('ErrorResponse', body);
      expect(body.error.param).toBe(query.split('=')[0]);
    },
  );

  it('outlive the server, but what was half written does not', async () => {
    const file = await upload('kept');
    const folder = join(dataDir, 'files');
    mkdirSync(join(folder, '.file-half.123.tmp'));
    mkdirSync(join(folder, 'file-broken'));
    writeFileSync(join(folder, 'file-broken', 'file.json'), '{"id":');
    const before = (await at.client.files.list()).data;
    await at[Symbol.asyncDispose]();
    at = await running({ dataDir, limits: { uploadBytes } });
    expect((await at.client.files.list()).data).toEqual(before);
    expect(await (await at.client.files.content(file.id)).text()).toBe('kept');
    expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});

describe('hostile uploads', () => {
  const good = `${purposePart}${filePart()}${end}`;
  it.each([
    ['no body', '', multipart, /empty|ended|end/],
    ['no multipart', '{}', 'application/json', /multipart\/form-data/],
    ['no content type', good, undefined, /multipart\/form-data/],
    ['no boundary', good, 'multipart/form-data; charset=utf-8', /cannot be read/],
    ['another boundary', good, 'multipart/form-data; boundary=y', /cannot be read|no file/],
    ['no file', purposePart + end, multipart, /no file/],
    ['a file that is a field', part('name="file"', 'x') + purposePart + end, multipart, /no file/],
    ['a file of another name', part('name="data"; filename="a"', 'x') + end, multipart, /'data' is not expected/],
    ['two files', filePart() + filePart('b') + purposePart + end, multipart, /more than one file/],
    ['no purpose', filePart() + end, multipart, /'purpose' must be one of/],
    ['another purpose', part('name="purpose"', 'fun') + filePart() + end, multipart, /'purpose' must be one of/],
    [
      'another purpose before a file without end',
      `${part('name="purpose"', 'fun')}--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx`,
      multipart,
      /'purpose' must be one of/,
    ],
    ['two purposes', purposePart + purposePart + filePart() + end, multipart, /'purpose' is there twice/],
    [
      'a field of its own',
      part('name="zebra"', '1') + purposePart + filePart() + end,
      multipart,
      /'zebra' is not expected/,
    ],
    ['a huge field', part('name="purpose"', 'x'.repeat(1e6)) + filePart() + end, multipart, /longer than 4096/],
    ['a huge name', part(`name="${'n'.repeat(1e5)}"`, 'x') + filePart() + end, multipart, /./],
    ['a huge head', part('name="file"; filename="a"', 'x', `X-A: ${'a'.repeat(1e6)}\r\n`) + end, multipart, /./],
    [
      'many fields',
      Array.from({ length: 1000 }, (_, i) => part(`name="f${i}"`, 'x')).join('') + end,
      multipart,
      /more fields|not expected/,
    ],
    ['half a file', `${purposePart}${filePart()}`.slice(0, -30), multipart, /cannot be read/],
    ['no end', purposePart + filePart(), multipart, /cannot be read/],
    ['half a head', `${purposePart}--${boundary}\r\nContent-Dispo`, multipart, /./],
    ['only a boundary', `--${boundary}`, multipart, /./],
    ['zeros', '\0'.repeat(10_000), multipart, /./],
    [
      'a short life',
      part('name="expires_after[anchor]"', 'created_at') + part('name="expires_after[seconds]"', '5') + good,
      multipart,
      /3600/,
    ],
    ['a life without anchor', part('name="expires_after[seconds]"', '3600') + good, multipart, /anchor/],
    [
      'a life that is no number',
      part('name="expires_after[anchor]"', 'created_at') + part('name="expires_after[seconds]"', '1e9') + good,
      multipart,
      /seconds/,
    ],
  ])('%s', async (_, body, contentType, message) => {
    const before = readdirSync(join(dataDir, 'files')).sort();
    const answer = await refused(Buffer.from(body), contentType);
    expect(answer.status, answer.message).toBe(400);
    expect(answer.message).toMatch(message);
    expect(readdirSync(join(dataDir, 'files')).sort()).toEqual(before);
  });

  it('is refused where what is around the file is larger than the limit', async () => {
    const preamble = Buffer.alloc(uploadBytes + 2 ** 20 + 1, 'x');
    const body = Buffer.concat([preamble, Buffer.from(`\r\n${good}`)]);
    const stream = new ReadableStream({
      start(controller) {
        for (let at = 0; at < body.length; at += 65_536) controller.enqueue(body.subarray(at, at + 65_536));
        controller.close();
      },
    });
    const init = { method: 'POST', body: stream, headers: { 'content-type': multipart }, duplex: 'half' };
    const response = await fetch(`${at.url}/v1/files`, init as RequestInit);
    expect(response.status).toBe(413);
  });

  it.each(['utf-16le', 'ucs2', 'UTF-8', 'latin1'])(
    'a name of half a character, as %s, is made whole',
    async (charset) => {
      const body = Buffer.from(purposePart + part(`name="file"; filename*=${charset}''%00%D8%ED%A0%80x`, 'x') + end);
      const response = await fetch(`${at.url}/v1/files`, {
        method: 'POST',
        body,
        headers: { 'content-type': multipart },
      });
      const file = (await response.json()) as { id: string; filename: string };
      if (response.status !== 200) return expect(response.status).toBe(400);
      expect(Buffer.from(file.filename).toString()).toBe(file.filename);
      expect((await fetch(`${at.url}/v1/files/${file.id}/content`)).status).toBe(200);
    },
  );

  it.each(['../../etc/passwd', '/etc/passwd', '..\\..\\boot.ini', 'a/b/..', '', '\0\u0007evil', 'n'.repeat(300)])(
    'names like %j stay names',
    async (name) => {
      const before = readdirSync(dataDir);
      const body = Buffer.from(purposePart + part(`name="file"; filename="${name}"`, 'x') + end);
      const response = await fetch(`${at.url}/v1/files`, {
        method: 'POST',
        body,
        headers: { 'content-type': multipart },
      });
      const file = (await response.json()) as { filename: string; error?: { message: string } };
      if (response.status === 200) {
        expectValid('OpenAIFile', file);
        expect(file.filename).not.toMatch(/[/\\\0]|^\.\.?$/);
        expect(file.filename.length).toBeLessThanOrEqual(200);
      } else {
        expect(response.status).toBe(400);
        expectValid('ErrorResponse', file);
      }
      expect(readdirSync(dataDir)).toEqual(before);
    },
  );

  it.each(['..%2f..%2fetc', 'file-..', 'x'.repeat(300), 'file-%00'])('ids like %s find nothing', async (id) => {
    for (const path of [`/v1/files/${id}`, `/v1/files/${id}/content`]) {
      const response = await fetch(at.url + path);
      expect(response.status).toBe(404);
      expectValid('ErrorResponse', await response.json());
    }
    expect((await fetch(`${at.url}/v1/files/${id}`, { method: 'DELETE' })).status).toBeGreaterThanOrEqual(404);
  });

  it('of many damaged forms each is taken or refused, and leaves nothing half', async () => {
    const form = Buffer.from(purposePart + filePart() + part('name="expires_after[anchor]"', 'created_at') + end);
    const statuses = new Set<number>();
    for (let i = 0; i < 300; i++) {
      const place = mix(i, 1) % form.length;
      const length = mix(i, 2) % 40;
      const noise = Buffer.from(Array.from({ length }, (_, n) => mix(i, 3, n) % 256));
      const rest = form.subarray(place + (i % 3 === 0 ? 0 : mix(i, 4) % 40));
      const body = Buffer.concat([form.subarray(0, place), noise, i % 7 === 0 ? Buffer.alloc(0) : rest]);
      const headers = { 'content-type': i % 11 === 0 ? multipart.slice(0, mix(i, 5) % multipart.length) : multipart };
      const response = await fetch(`${at.url}/v1/files`, { method: 'POST', body, headers });
      statuses.add(response.status);
      const answer = await response.json();
      expectValid(response.ok ? 'OpenAIFile' : 'ErrorResponse', answer);
    }
    expect([...statuses].sort()).toEqual([200, 400]);
    expect(readdirSync(join(dataDir, 'files')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('a connection that breaks off leaves nothing behind', async () => {
    const before = readdirSync(join(dataDir, 'files')).sort();
    for (let i = 0; i < 5; i++) {
      const socket = connect(Number(new URL(at.url).port), '127.0.0.1');
      const head = `POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Type: ${multipart}\r\nContent-Length: 500000\r\n\r\n`;
      socket.write(head + purposePart + filePart().slice(0, -4) + 'y'.repeat(20_000 * i));
      await new Promise((resolve) => setTimeout(resolve, 30));
      socket.destroy();
    }
    await eventually(() => expect(readdirSync(join(dataDir, 'files')).sort()).toEqual(before));
    expect((await upload('still there')).bytes).toBe(11);
  });
});
