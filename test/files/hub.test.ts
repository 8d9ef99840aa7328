// resolveModel against a cache on disk and, for downloads, against a hub made of one function. No network.

import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type DownloadProgress, resolveModel } from '../../lib/files/hub.js';

const COMMIT = '0123456789abcdef0123456789abcdef01234567';
let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'helvetia-hub-'));
  for (const name of ['HF_HUB_CACHE', 'HF_ENDPOINT', 'HF_TOKEN', 'HF_HUB_OFFLINE', 'XDG_CACHE_HOME'])
    vi.stubEnv(name, '');
  vi.stubEnv('HF_HOME', home);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true });
});

const noFetch: typeof fetch = () => Promise.reject(new Error('the network must not be used'));
const MODEL = () => join(home, 'hub', 'models--org--tiny');
const SNAPSHOT = () => join(MODEL(), 'snapshots', COMMIT);

function cache(files: Record<string, string>, ref: string | undefined = COMMIT): void {
  mkdirSync(SNAPSHOT(), { recursive: true });
  mkdirSync(join(MODEL(), 'refs'), { recursive: true });
  if (ref !== undefined) writeFileSync(join(MODEL(), 'refs', 'main'), ref);
  for (const [name, content] of Object.entries(files)) writeFileSync(join(SNAPSHOT(), name), content);
}

describe('paths', () => {
  it('are taken as they are', async () => {
    writeFileSync(join(home, 'x.gguf'), '');
    writeFileSync(join(home, 'x.bin'), '');
    expect(await resolveModel(home)).toBe(home);
    expect(await resolveModel(join(home, 'x.gguf'))).toBe(join(home, 'x.gguf'));
    await expect(resolveModel(join(home, 'x.bin'))).rejects.toThrow(
      'a model is a folder or a .gguf file, and this is neither',
    );
  });

  it('that do not exist are not looked for on the hub', async () => {
    for (const name of [
      './models/x',
      '/models/x',
      '../no-such-model',
      'a/b/c',
      'models/x.gguf',
      'C:\\x',
      'a\\b',
      'absent/',
      '~/x',
    ]) {
      await expect(resolveModel(name, { fetch: noFetch }), name).rejects.toThrow(
        new Error(`${name}: no such file or folder`),
      );
    }
    for (const name of ['gpt2', '', 'org/na me', 'org/../x', 'org/a--b', '-/x']) {
      await expect(resolveModel(name, { fetch: noFetch }), name).rejects.toThrow(`${name}: no such f`);
    }
    await expect(resolveModel('gpt2')).rejects.toThrow('gpt2: no such folder, and not a hub id (ORG/NAME)');
  });
});

describe('the cache', () => {
  const single = { 'config.json': '{}', 'model.safetensors': '' };

  it('is used without asking the hub', async () => {
    cache(single);
    expect(await resolveModel('org/tiny', { fetch: noFetch })).toBe(SNAPSHOT());
    expect(await resolveModel('org/tiny', { fetch: noFetch, revision: COMMIT })).toBe(SNAPSHOT());
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect(await resolveModel('org/tiny')).toBe(SNAPSHOT());
    vi.stubEnv('HF_HUB_CACHE', join(home, 'hub'));
    vi.stubEnv('HF_HOME', '/nowhere');
    expect(await resolveModel('org/tiny')).toBe(SNAPSHOT());
  });

  it('serves sharded models when all shards are there', async () => {
    const index = JSON.stringify({
      weight_map: { a: 'model-1-of-2.safetensors', b: 'model-2-of-2.safetensors' },
    });
    cache({ 'config.json': '{}', 'model.safetensors.index.json': index, 'model-1-of-2.safetensors': '' });
    vi.stubEnv('HF_HUB_OFFLINE', 'true');
    await expect(resolveModel('org/tiny')).rejects.toThrow('the cache lacks its model-2-of-2.safetensors');
    writeFileSync(join(SNAPSHOT(), 'model-2-of-2.safetensors'), '');
    expect(await resolveModel('org/tiny')).toBe(SNAPSHOT());
  });

  it('that lacks the model is an error offline', async () => {
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    const message = `org/tiny: no such folder, it is not in the cache ${join(home, 'hub')}, and HF_HUB_OFFLINE forbids a download`;
    await expect(resolveModel('org/tiny', { fetch: noFetch })).rejects.toThrow(new Error(message));
    cache({ 'config.json': '{}' });
    await expect(resolveModel('org/tiny')).rejects.toThrow('the cache lacks its weights');
    await expect(resolveModel('org/tiny', { revision: 'v2' })).rejects.toThrow('it is not in the cache');
  });

  it('can not lead elsewhere', async () => {
    cache(single, '../../../elsewhere');
    await expect(resolveModel('org/tiny', { fetch: noFetch })).rejects.toThrow(
      'must be a commit, got "../../../elsewhere"',
    );
    for (const revision of ['../x', '/x', 'a/../../b', '']) {
      await expect(resolveModel('org/tiny', { fetch: noFetch, revision })).rejects.toThrow("can't be a revision");
    }
  });
});

/** A hub with one model; `asked` lists what was requested. */
function fakeHub(files: Record<string, string>, change: { damage?: string; status?: number } = {}) {
  const asked: string[] = [];
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const answer = (url: URL, init: RequestInit | undefined): Response => {
    if (change.status) return Response.json({ error: 'refused' }, { status: change.status });
    if (url.pathname === '/api/models/org/tiny/revision/main') {
      return Response.json({
        _id: '1',
        id: 'org/tiny',
        sha: COMMIT,
        private: false,
        downloads: 0,
        gated: false,
        likes: 0,
        lastModified: '2026-01-01',
      });
    }
    const [, folder] = /^\/api\/models\/org\/tiny\/tree\/[0-9a-f]{40}(?:\/(.+))?$/.exec(url.pathname) ?? [
      undefined,
      null,
    ];
    if (folder !== null) {
      const folderOf = (path: string): string | undefined => /^(.+)\/[^/]+$/.exec(path)?.[1];
      const inside = Object.entries(files).filter(([path]) => folderOf(path) === folder);
      const entries = inside.map(([path, text]) => ({
        type: 'file',
        path,
        size: text.length,
        oid: createHash('sha1').update(text).digest('hex'),
        ...(path.endsWith('.safetensors') ? { lfs: { oid: sha256(text), size: text.length, pointerSize: 100 } } : {}),
      }));
      const folders =
        folder === undefined ? [...new Set(Object.keys(files).flatMap((path) => folderOf(path) ?? []))] : [];
      return Response.json([...entries, ...folders.map((path) => ({ type: 'directory', path, size: 0 }))]);
    }
    const path = url.pathname.replace(`/org/tiny/resolve/${COMMIT}/`, '');
    const text = path === change.damage ? 'damaged!!' : files[path];
    if (text === undefined) return new Response('', { status: 404 });
    const range = new Headers(init?.headers).get('range');
    const headers = { etag: '"x"', 'content-range': `bytes 0-0/${files[path]?.length}` };
    return new Response(range ? text.slice(0, 1) : text, { status: range ? 206 : 200, headers });
  };
  const fetch = (async (input: Parameters<typeof globalThis.fetch>[0], init?: RequestInit) => {
    init?.signal?.throwIfAborted();
    const url = new URL(input instanceof Request ? input.url : String(input));
    asked.push(url.pathname);
    const response = answer(url, init);
    Object.defineProperty(response, 'url', { value: url.href });
    return response;
  }) as typeof globalThis.fetch;
  return { fetch, asked };
}

describe('a download', () => {
  const files = {
    'README.md': 'not needed',
    'config.json': '{"a":1}',
    'onnx/config.json': 'not needed',
    'consolidated.safetensors': 'not needed',
    'model.safetensors': 'weights!!',
    'pytorch_model.bin': 'not needed',
    'tokenizer.json': '{}',
  };

  it('brings what a model needs into the cache, config first, and nothing else', async () => {
    const hub = fakeHub(files);
    const progress: DownloadProgress[] = [];
    const path = await resolveModel('org/tiny', {
      fetch: hub.fetch,
      onProgress: (step) => progress.push({ ...step }),
    });
    expect(path).toBe(SNAPSHOT());
    expect(readdirSync(path).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json']);
    expect(readFileSync(join(path, 'model.safetensors'), 'utf8')).toBe('weights!!');
    if (process.platform !== 'win32') expect(lstatSync(join(path, 'config.json')).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(MODEL(), 'refs', 'main'), 'utf8')).toBe(COMMIT);
    expect(progress.at(-1)).toEqual({ file: 'model.safetensors', loaded: 18, total: 18 });
    expect(progress.every(({ loaded }, i) => loaded >= (progress[i - 1]?.loaded ?? 0))).toBe(true);
    expect(readdirSync(join(MODEL(), 'blobs')).every((name) => /^[0-9a-f]+$/.test(name))).toBe(true);
    expect(await resolveModel('org/tiny', { fetch: noFetch })).toBe(path);
  });

  it('brings the modules of sentence-transformers, each in its folder', async () => {
    const modules = { 'modules.json': '[]', '1_Pooling/config.json': '{}', '2_Dense/model.safetensors': 'dense' };
    const hub = fakeHub({ ...files, ...modules, '2_Dense/pytorch_model.bin': 'not needed' });
    const path = await resolveModel('org/tiny', { fetch: hub.fetch });
    for (const [name, text] of Object.entries(modules)) expect(readFileSync(join(path, name), 'utf8')).toBe(text);
    expect(readdirSync(join(path, '2_Dense'))).toEqual(['model.safetensors']);
    expect(existsSync(join(path, 'onnx'))).toBe(false);
  });

  it('takes the shards that the index needs', async () => {
    const shards = { 'model-00001-of-00002.safetensors': 'one', 'model-00002-of-00002.safetensors': 'two' };
    const index = JSON.stringify({ weight_map: { a: Object.keys(shards)[0], b: Object.keys(shards)[1] } });
    const { 'model.safetensors': _, ...rest } = files;
    const hub = fakeHub({ ...rest, ...shards, 'model.safetensors.index.json': index });
    const path = await resolveModel('org/tiny', { fetch: hub.fetch });
    expect(readdirSync(path)).toEqual(expect.arrayContaining([...Object.keys(shards), 'model.safetensors.index.json']));
    expect(existsSync(join(path, 'consolidated.safetensors'))).toBe(false);
  });

  it('goes on where an earlier one stopped, and keeps nothing damaged', async () => {
    const broken = fakeHub(files, { damage: 'model.safetensors' });
    await expect(resolveModel('org/tiny', { fetch: broken.fetch })).rejects.toThrow(
      'org/tiny: no such folder, and the download failed: model.safetensors arrived damaged: its SHA-256 differs',
    );
    expect(existsSync(join(MODEL(), 'refs', 'main'))).toBe(false);
    expect(readdirSync(SNAPSHOT()).sort()).toEqual(['config.json', 'tokenizer.json']);
    expect(readdirSync(join(MODEL(), 'blobs')).some((name) => name.endsWith('.incomplete'))).toBe(false);
    const hub = fakeHub(files);
    await resolveModel('org/tiny', { fetch: hub.fetch });
    expect(hub.asked.some((path) => path.endsWith('config.json'))).toBe(false);
  });

  it('stops when it is told to', async () => {
    const abort = new AbortController();
    const onProgress = () => abort.abort(new Error('enough'));
    const hub = fakeHub(files);
    await expect(resolveModel('org/tiny', { fetch: hub.fetch, signal: abort.signal, onProgress })).rejects.toThrow(
      'enough',
    );
    expect(existsSync(join(SNAPSHOT(), 'model.safetensors'))).toBe(false);
    await expect(resolveModel('org/tiny', { fetch: hub.fetch, signal: AbortSignal.abort() })).rejects.toThrow();
  });

  it('explains what went wrong', async () => {
    const failing = (hub: { fetch: typeof fetch }) => resolveModel('org/tiny', { fetch: hub.fetch });
    await expect(failing(fakeHub({}, { status: 401 }))).rejects.toThrow('needs HF_TOKEN');
    await expect(failing(fakeHub({}, { status: 404 }))).rejects.toThrow('the hub has no such model or revision (404)');
    await expect(failing({ fetch: noFetch })).rejects.toThrow('the download failed: the network must not be used');
    await expect(failing(fakeHub({ 'README.md': '' }))).rejects.toThrow('it has no config.json');
    await expect(failing(fakeHub({ 'config.json': '{}', 'pytorch_model.bin': '' }))).rejects.toThrow(
      'it has no safetensors weights',
    );
    await expect(failing(fakeHub({ 'x.Q4_0.gguf': '' }))).rejects.toThrow(
      'download one, such as x.Q4_0.gguf, and give its path',
    );
  });
});
