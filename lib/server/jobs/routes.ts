// /v1/fine_tuning/jobs: create, list, retrieve, cancel, pause, resume, events, checkpoints.
import { randomInt } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { type Context, Hono } from 'hono';
import { makeFolder } from '../../files/atomic.js';
import { matches } from '../../lora/config.js';
import { defaultMethod } from '../../train/methods/index.js';
import { adapterNamed, type NamedAdapter } from '../adapter-names.js';
import type { ServerContext } from '../context.js';
import { filesOf } from '../files/routes.js';
import { type FileRecord, newId } from '../files/store.js';
import { lockFolder } from '../folder-lock.js';
import { jsonBody } from '../http/body.js';
import { badRequest, notFound } from '../http/errors.js';
import { pageOf } from '../http/paging.js';
import { JobModels } from './models.js';
import { JobRunner } from './runner.js';
import { type CreateRequest, checkpointId, checkpointObject, createSchema, eventObject, jobObject } from './shapes.js';
import { copy, type JobRecord, JobStore, places, share, shareAdapter } from './store.js';
import { firstEvents, tellRecord } from './telling.js';
import type { JobRooms } from './training.js';

const opened = new WeakMap<ServerContext, JobModels>();

/** Removes a model that a job made: its weights and its name. False if no job made one of this name. */
export async function deleteTrained(context: ServerContext, name: string): Promise<boolean> {
  return (await opened.get(context)?.delete(name)) ?? false;
}

/** Whether a job that is not over, or its models, have this name. */
export function isTrained(context: ServerContext, name: string): boolean {
  return opened.get(context)?.owns(name) ?? false;
}

/**
 * Goes on with the jobs in the data folder, and takes new ones until `close`.
 *
 * @throws Error if another server uses the folder.
 */
export async function openJobs(
  context: ServerContext,
): Promise<{ routes: Hono; stop(): Promise<void>; close(): Promise<void> }> {
  const folder = context.dataDir!;
  await makeFolder(folder);
  const lock = await lockFolder(folder, (warning) => context.log.warn({ warning }, 'data folder not locked'));
  try {
    const { routes, runner } = await opening(context);
    return {
      routes,
      // Checkpoints first: whoever ends this process may not wait until all requests have ended.
      stop: () => runner.close(),
      close: async () => {
        await runner.close();
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function opening(context: ServerContext): Promise<{ routes: Hono; runner: JobRunner }> {
  const files = await filesOf(context);
  const store = await JobStore.open(join(context.dataDir!, 'jobs'), (error) =>
    context.log.warn({ error }, 'job left out'),
  );
  const models = new JobModels(context, store);
  const rooms: JobRooms = { store, files, models };
  const runner = new JobRunner(context, rooms);
  await runner.start();
  opened.set(context, models);
  return { routes: jobRoutes(context, rooms, runner), runner };
}

function jobRoutes(context: ServerContext, rooms: JobRooms, runner: JobRunner): Hono {
  const { store } = rooms;
  const routes = new Hono();
  const shown = (job: JobRecord): object => jobObject(job, context.settings.organization, runner.estimatedFinish(job));
  const known = (c: Context): JobRecord => {
    const id = c.req.param('id') ?? '';
    const job = store.get(id);
    if (!job) throw notFound(`There is no fine-tuning job ${JSON.stringify(id.slice(0, 100))}.`, 'fine_tuning_job_id');
    return job;
  };

  routes.post('/fine_tuning/jobs', async (c) => {
    const request = await jsonBody(c, context, createSchema);
    const job = await createJob(context, rooms, request, c.req.raw.signal);
    runner.add(job);
    context.log.info({ job: job.id, model: job.base, method: job.method }, 'job created');
    return c.json(shown(job));
  });

  routes.get('/fine_tuning/jobs', (c) => {
    const { data, has_more } = pageOf(c, store.all.reverse().filter(metadataFilter(c)), { limit: 20, most: 1000 });
    return c.json({ object: 'list', data: data.map(shown), has_more });
  });

  routes.get('/fine_tuning/jobs/:id', (c) => c.json(shown(known(c))));

  for (const change of ['cancel', 'pause', 'resume'] as const) {
    routes.post(`/fine_tuning/jobs/:id/${change}`, async (c) => {
      const job = known(c);
      await runner[change](job);
      return c.json(shown(job));
    });
  }

  routes.get('/fine_tuning/jobs/:id/events', async (c) => {
    const job = known(c);
    const events = await store.events(job.id);
    // The record changes first: whoever has seen it sees what tells of it too.
    await tellRecord(events, job);
    const { data, has_more } = pageOf(c, events.newestFirst, { limit: 20, most: 10_000 });
    return c.json({ object: 'list', data: data.map(eventObject), has_more });
  });

  routes.get('/fine_tuning/jobs/:id/checkpoints', async (c) => {
    const job = known(c);
    const events = await store.events(job.id);
    const made = events.newestFirst.filter(({ type, data }) => type === 'message' && data?.step !== undefined);
    const items = made.map((event) => ({ id: checkpointId(event), event }));
    const page = pageOf(c, items, { limit: 10, most: 1000 });
    const data = page.data.map(({ event }) =>
      checkpointObject(job, event, events.get(`step:${event.data?.step}`)?.data),
    );
    const { has_more } = page;
    const [first_id, last_id] = [data[0]?.id ?? null, data.at(-1)?.id ?? null];
    return c.json({ object: 'list', data, first_id, last_id, has_more });
  });
  return routes;
}

/** `metadata[key]=value` as often as wanted, or `metadata=null` for jobs without any; OpenAI's client sends `metadata=`. */
function metadataFilter(c: Context): (job: JobRecord) => boolean {
  const query = Object.entries(c.req.query());
  if (query.some(([name, value]) => name === 'metadata' && (value === 'null' || value === ''))) {
    return ({ metadata }) => Object.keys(metadata ?? {}).length === 0;
  }
  const wanted = query.flatMap(([name, value]) => {
    const key = /^metadata\[(.*)\]$/.exec(name)?.[1];
    return key === undefined ? [] : [[key, value] as const];
  });
  return ({ metadata }) => wanted.every(([key, value]) => metadata?.[key] === value);
}

async function createJob(
  context: ServerContext,
  { store, files }: JobRooms,
  request: CreateRequest,
  signal: AbortSignal,
): Promise<JobRecord> {
  const named = await adapterNamed(context.models, request.model);
  using base = named ? undefined : await context.resolve(request.model, signal);
  const { served } = (named ?? base)!;
  const method = request.method?.type ?? defaultMethod;
  const own = request.method?.[method]?.hyperparameters;
  const hyperparameters = { ...(own ?? request.hyperparameters ?? {}) };
  if (named) checkStart(named, hyperparameters);
  const { decoder } = served.model;
  const { contextLength } = decoder.config;
  if ((hyperparameters.max_length ?? 0) > contextLength) {
    throw badRequest(`'max_length' must be at most the model's context of ${contextLength} tokens.`, 'max_length');
  }
  const { maxLoraRank } = served.model.engine.settings;
  if ((hyperparameters.lora_r ?? 0) > maxLoraRank)
    throw badRequest(`'lora_r' must be at most ${maxLoraRank}, the largest rank that this server serves.`, 'lora_r');
  const { target_modules: modules = 'all-linear' } = hyperparameters;
  const layers = decoder.linearPaths();
  if (!layers.some((path) => matches(modules, path)))
    throw badRequest(`'target_modules' fits none of the model's layers, such as '${layers[0]}'.`, 'target_modules');
  const file = async (id: string, param: string): Promise<FileRecord> => {
    const found = await files.get(id);
    if (!found) throw noFile(id, param);
    if (found.purpose === 'fine-tune') return found;
    throw badRequest(
      `'${param}': the file's purpose must be 'fine-tune', not '${found.purpose}'.`,
      param,
      'invalid_file',
    );
  };
  const training = await file(request.training_file, 'training_file');
  const validation = request.validation_file ? await file(request.validation_file, 'validation_file') : undefined;
  const { suffix, metadata } = request;
  const id = newId('ftjob-');
  const plain = (text: string): string => text.replace(/[^\w.:@/-]+/g, '-');
  const ending = plain(suffix ?? '').replace(/[:@/]/g, '-');
  const name = `ft:${plain(served.id)}:${context.settings.organization}:${ending}:${newId('').slice(0, 8)}`;
  const record: JobRecord = {
    id,
    createdAt: Date.now(),
    queuedAt: 0,
    model: request.model,
    base: served.id,
    training: { id: training.id, filename: training.filename },
    ...(validation ? { validation: { id: validation.id, filename: validation.filename } } : {}),
    method,
    hyperparameters,
    ...(suffix ? { suffix } : {}),
    seed: request.seed ?? randomInt(2 ** 31 - 1),
    ...(metadata ? { metadata } : {}),
    integrations: request.integrations ?? [],
    status: 'validating_files',
    paused: false,
    name,
    resultFile: newId('file-'),
    deleted: [],
  };
  const take = async ({ id }: FileRecord, folder: string, place: 'training' | 'validation'): Promise<void> => {
    try {
      await share(files.path(id), join(folder, places[place]));
    } catch (error) {
      // Deleted while the job was being made.
      throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? noFile(id, `${place}_file`) : error;
    }
  };
  return store.create(record, firstEvents(record), async (folder) => {
    await take(training, folder, 'training');
    if (validation) await take(validation, folder, 'validation');
    if (named) await takeStart(context, store, named, request.model, join(folder, places.start));
  });
}

const noFile = (id: string, param: string): Error =>
  badRequest(`'${param}': there is no file ${JSON.stringify(id.slice(0, 100))}.`, param, 'invalid_file');

/** Puts the adapter that the training goes on from beside its data. What jobs made is never written again. */
async function takeStart(
  context: ServerContext,
  store: JobStore,
  { entry }: NamedAdapter,
  model: string,
  to: string,
): Promise<void> {
  try {
    const own = (await realpath(entry.path)).startsWith((await realpath(store.folder)) + sep);
    await shareAdapter(entry.path, to, own ? share : copy);
  } catch (error) {
    if (await adapterNamed(context.models, model)) throw error;
    throw notFound(`'model': '${model}' was deleted.`, 'model', 'model_not_found');
  }
}

function checkStart({ entry }: NamedAdapter, hyperparameters: JobRecord['hyperparameters']): void {
  for (const name of ['lora_r', 'lora_alpha', 'lora_dropout', 'target_modules'] as const) {
    if (hyperparameters[name] !== undefined)
      throw badRequest(`'${name}' is settled by '${entry.name}', which the training goes on from.`, name);
  }
}
