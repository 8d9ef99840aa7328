// Finds a model by the name that a user gives: a folder, a .gguf file, or an id on the Hugging Face hub such as
// `HuggingFaceTB/SmolLM2-135M-Instruct`, which is taken from the cache that all Hugging Face tools share, or downloaded
// into it.
//
//   CACHE/models--ORG--NAME/refs/REVISION          the commit that a branch or tag stands for
//   CACHE/models--ORG--NAME/snapshots/COMMIT/FILE  a link to
//   CACHE/models--ORG--NAME/blobs/HASH             the content

import { createHash } from 'node:crypto';
import { createWriteStream, existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, rename, rm, symlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { shown } from '../flow/fault.js';
import { fileMode, folderMode, writeAtomic } from './atomic.js';
import { readJson } from './json.js';

export interface DownloadProgress {
  file: string;
  /** Bytes of all files so far, and in total. */
  loaded: number;
  total: number;
}

export interface ResolveOptions {
  /** Branch, tag or commit; `main` where none is given. */
  revision?: string;
  /** Access token for gated and private models; `HF_TOKEN` where none is given. */
  token?: string;
  onProgress?: (progress: DownloadProgress) => void;
  signal?: AbortSignal;
  /** Takes the place of the global `fetch`, for proxies and tests. */
  fetch?: typeof fetch;
}

interface Repository {
  id: string;
  revision: string;
  folder: string;
}

interface RemoteFile {
  path: string;
  size: number;
  oid?: string;
  lfs?: { oid: string; size: number };
}

const SMALL_FILES = new Set([
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'chat_template.json',
  'vocab.txt',
  'modules.json',
  'config_sentence_transformers.json',
  'sentence_bert_config.json',
]);
/** Folders of sentence-transformers' modules, and what is read of them. */
const MODULE = /^\d+_\w+$/;
const MODULE_FILES = ['config.json', 'model.safetensors'];
const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const SHARD = /^[^/\\:\0]+-\d+-of-\d+\.safetensors$/;

/**
 * The folder or .gguf file that holds the model `nameOrPath`, downloaded first if need be.
 *
 * A model that is whole in the cache is used without asking the hub. `HF_HUB_CACHE`, `HF_HOME`, `HF_ENDPOINT`,
 * `HF_TOKEN` and `HF_HUB_OFFLINE` are respected.
 *
 * @throws Error that says why there is no such model: no such folder, not a hub id, offline, refused.
 */
export async function resolveModel(nameOrPath: string, options: ResolveOptions = {}): Promise<string> {
  options.signal?.throwIfAborted();
  if (existsSync(nameOrPath)) {
    if (statSync(nameOrPath).isDirectory() || nameOrPath.endsWith('.gguf')) return nameOrPath;
    throw new Error(`${nameOrPath}: a model is a folder or a .gguf file, and this is neither`);
  }
  if (!isHubId(nameOrPath)) {
    const reason = looksLikePath(nameOrPath) ? 'no such file or folder' : 'no such folder, and not a hub id (ORG/NAME)';
    throw new Error(`${nameOrPath}: ${reason}`);
  }
  const revision = options.revision ?? 'main';
  if (!/^[\w.+-]+(\/[\w.+-]+)*$/.test(revision) || revision.includes('..')) {
    throw new Error(`${nameOrPath}: ${shown(revision)} can't be a revision`);
  }
  const folder = join(cacheFolder(), `models--${nameOrPath.replace('/', '--')}`);
  const repository: Repository = { id: nameOrPath, revision, folder };

  const snapshot = cachedSnapshot(repository);
  const absent = snapshot === undefined ? undefined : missingFile(snapshot);
  if (snapshot !== undefined && absent === undefined) return snapshot;
  if (isOffline()) {
    const cached = absent === undefined ? `it is not in the cache ${cacheFolder()}` : `the cache lacks its ${absent}`;
    throw new Error(`${nameOrPath}: no such folder, ${cached}, and HF_HUB_OFFLINE forbids a download`);
  }
  return download(repository, options);
}

function isHubId(name: string): boolean {
  return (
    /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9_][\w.-]{0,95}$/.test(name) && !/\.\.|--|\.(gguf|safetensors)$/.test(name)
  );
}

function looksLikePath(name: string): boolean {
  return /^[./~\\]|\\|\/.*\/|\/$|\.(gguf|safetensors)$|^[A-Za-z]:/.test(name);
}

function cacheFolder(): string {
  const { HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env;
  if (HF_HUB_CACHE) return HF_HUB_CACHE;
  return join(HF_HOME || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface'), 'hub');
}

function isOffline(): boolean {
  return ['1', 'on', 'yes', 'true'].includes((process.env.HF_HUB_OFFLINE ?? '').toLowerCase());
}

function cachedSnapshot({ revision, folder }: Repository): string | undefined {
  let commit = revision;
  const ref = join(folder, 'refs', ...revision.split('/'));
  if (existsSync(ref) && statSync(ref).isFile()) {
    commit = readFileSync(ref, 'utf8').trim();
    // The snapshot's name comes from a file: it must not lead elsewhere.
    if (!/^[0-9a-f]{40}$/.test(commit)) throw new Error(`${ref}: must be a commit, got ${shown(commit)}`);
  }
  const snapshot = join(folder, 'snapshots', commit);
  return existsSync(snapshot) ? snapshot : undefined;
}

// What a download that was cut short left out; existsSync follows the links to the blobs.
function missingFile(snapshot: string): string | undefined {
  if (!existsSync(join(snapshot, 'config.json'))) return 'config.json';
  if (existsSync(join(snapshot, SINGLE))) return undefined;
  if (!existsSync(join(snapshot, INDEX))) return 'weights';
  return shardsOf(snapshot).find((shard) => !existsSync(join(snapshot, shard)));
}

function shardsOf(snapshot: string): string[] {
  const map = readJson(join(snapshot, INDEX)).weight_map;
  return [...new Set(Object.values(map ?? {}).map(String))];
}

async function download(repository: Repository, options: ResolveOptions): Promise<string> {
  const { id, revision, folder } = repository;
  const { onProgress, signal } = options;
  // Loaded here, so that who has the model on disk doesn't wait for the library.
  const hub = await import('@huggingface/hub');
  const plainFetch = options.fetch ?? fetch;
  const accessToken = options.token ?? process.env.HF_TOKEN;
  const access = {
    fetch: ((input, init) => plainFetch(input, signal ? { ...init, signal } : init)) as typeof fetch,
    ...(accessToken ? { accessToken } : {}),
    ...(process.env.HF_ENDPOINT ? { hubUrl: process.env.HF_ENDPOINT.replace(/\/+$/, '') } : {}),
  };
  try {
    const { sha } = await hub.modelInfo({ ...access, name: id, revision, additionalFields: ['sha'] });
    if (!/^[0-9a-f]{40}$/.test(sha)) throw new Error(`the hub's commit for ${revision} is malformed: ${shown(sha)}`);
    const listed: RemoteFile[] = [];
    const modules: string[] = [];
    for await (const entry of hub.listFiles({ ...access, repo: id, revision: sha })) {
      if (entry.type === 'file') listed.push(entry);
      else if (entry.type === 'directory' && MODULE.test(entry.path)) modules.push(entry.path);
    }
    for (const path of modules) {
      for await (const entry of hub.listFiles({ ...access, repo: id, revision: sha, path }))
        if (entry.type === 'file') listed.push(entry);
    }
    const files = wanted(id, listed);
    const total = files.reduce((sum, { size }) => sum + size, 0);
    const snapshot = join(folder, 'snapshots', sha);
    await mkdir(snapshot, { recursive: true, mode: folderMode });
    let loaded = 0;
    for (const file of files) {
      const before = loaded;
      const advance = (bytes: number) => onProgress?.({ file: file.path, loaded: before + bytes, total });
      if (!existsSync(join(snapshot, file.path))) {
        const content = await hub.downloadFile({ ...access, repo: id, path: file.path, revision: sha });
        if (content === null) throw new Error(`the hub lists ${file.path}, but has no such file`);
        await store(folder, snapshot, file, content, advance, signal);
      }
      loaded += file.size;
      advance(file.size);
    }
    // Written last, so that a branch in the cache stands for a download that ended.
    if (revision !== sha) {
      const ref = join(folder, 'refs', ...revision.split('/'));
      await mkdir(join(ref, '..'), { recursive: true, mode: folderMode });
      await writeAtomic(ref, sha);
    }
    return snapshot;
  } catch (error) {
    signal?.throwIfAborted();
    throw new Error(`${id}: no such folder, and the download failed: ${reason(error)}`, { cause: error });
  }
}

// The config and the tokenizer first, so that a model of the wrong kind fails before its weights are fetched.
function wanted(id: string, listed: readonly RemoteFile[]): RemoteFile[] {
  const names = new Set(listed.map(({ path }) => path));
  if (!names.has('config.json')) {
    const gguf = [...names].find((name) => name.endsWith('.gguf'));
    throw new Error(
      gguf ? `${id} holds GGUF files: download one, such as ${gguf}, and give its path` : 'it has no config.json',
    );
  }
  const small = listed.filter(({ path }) => SMALL_FILES.has(path));
  const modules = listed.filter(({ path }) => {
    const [folder, file, ...rest] = path.split('/');
    return rest.length === 0 && MODULE.test(folder!) && MODULE_FILES.includes(file!);
  });
  const single = listed.filter(({ path }) => path === SINGLE);
  const split = listed.filter(({ path }) => path === INDEX || SHARD.test(path));
  const weights = single.length > 0 ? single : names.has(INDEX) ? split : [];
  if (weights.length === 0) throw new Error('it has no safetensors weights');
  return [...small, ...modules, ...weights];
}

async function store(
  folder: string,
  snapshot: string,
  file: RemoteFile,
  content: Blob,
  advance: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const hash = file.lfs?.oid ?? file.oid;
  if (hash === undefined || !/^[0-9a-f]{40,64}$/.test(hash)) throw new Error(`the hub gives no hash for ${file.path}`);
  const blob = join(folder, 'blobs', hash);
  if (!existsSync(blob)) {
    await mkdir(join(folder, 'blobs'), { recursive: true, mode: folderMode });
    const partial = `${blob}.${process.pid}.incomplete`;
    const digest = createHash('sha256');
    let bytes = 0;
    const meter = new Transform({
      transform(chunk: Uint8Array, _encoding, done) {
        bytes += chunk.byteLength;
        digest.update(chunk);
        advance(bytes);
        done(null, chunk);
      },
    });
    try {
      const source = Readable.fromWeb(content.stream() as ReadableStream);
      await pipeline(
        source,
        meter,
        createWriteStream(partial, { flush: true, mode: fileMode }),
        signal ? { signal } : {},
      );
      if (bytes !== file.size) throw new Error(`${file.path} has ${bytes} bytes instead of ${file.size}`);
      // Small files are named by git's hash, which covers more than the content; large ones by SHA-256.
      if (file.lfs && digest.digest('hex') !== hash)
        throw new Error(`${file.path} arrived damaged: its SHA-256 differs`);
      await rename(partial, blob);
    } finally {
      await rm(partial, { force: true });
    }
  }
  const link = join(snapshot, file.path);
  await mkdir(dirname(link), { recursive: true, mode: folderMode });
  try {
    await symlink(relative(dirname(link), blob), link);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // Windows lets few users make links; Hugging Face's tools then keep the file itself in the snapshot.
    if (code === 'EPERM') await rename(blob, link);
    else if (code !== 'EEXIST') throw error;
  }
}

function reason(error: unknown): string {
  const status = (error as { statusCode?: number }).statusCode;
  if (status === 401 || status === 403) {
    return `the hub refuses access (${status}): the model doesn't exist, or is gated or private and needs HF_TOKEN`;
  }
  if (status === 404) return 'the hub has no such model or revision (404)';
  const cause = (error as Error).cause;
  return cause instanceof Error ? `${(error as Error).message} (${cause.message})` : (error as Error).message;
}
