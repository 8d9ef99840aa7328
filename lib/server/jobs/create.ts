// Creates a fine-tuning job: checks the request against the models and files of the server, then stores its record with
// all that it learns from and starts with.
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { suggestion } from '../../flow/options.js';
import { adapterFiles, copyAdapter } from '../../lora/folder.js';
import { isAt } from '../../lora/modules.js';
import { refuseEncoder } from '../../models/kind.js';
import type { Draft } from '../../store/store.js';
import { defaultMethod, methodNames } from '../../train/methods/index.js';
import { adapterNamed, type NamedAdapter } from '../adapter-names.js';
import type { ServerContext } from '../context.js';
import type { ServerData } from '../data.js';
import { contentOf, type FileRecord, type FileStore, newId } from '../files/store.js';
import { badRequest, notFound } from '../http/errors.js';
import type { ServedModel } from '../served.js';
import type { Hyperparameters } from './hyperparameters.js';
import { firstEvents } from './messages.js';
import type { JobRecord } from './record.js';
import { peakRate } from './settings.js';
import type { CreateRequest } from './shapes.js';
import { parts } from './store.js';

/** A request that was checked. */
interface Order {
  request: CreateRequest;
  served: ServedModel;
  /** The adapter that the training starts from. */
  start: NamedAdapter | undefined;
  method: JobRecord['method'];
  hyperparameters: Hyperparameters;
  training: FileRecord;
  validation: FileRecord | undefined;
}

/** @throws ApiError that names the field. */
export async function createJob(
  context: ServerContext,
  data: ServerData,
  request: CreateRequest,
  signal: AbortSignal,
): Promise<JobRecord> {
  const order = await checked(context, data.files, request, signal);
  const record = recordOf(order, context.settings.organization);
  return data.jobs.create(record, firstEvents(record), async (draft) => {
    await takeFile(draft, order.training.id, 'training');
    if (order.validation) await takeFile(draft, order.validation.id, 'validation');
    if (order.start) await takeStart(context, data, draft, order.start, request.model);
  });
}

async function checked(
  context: ServerContext,
  files: FileStore,
  request: CreateRequest,
  signal: AbortSignal,
): Promise<Order> {
  const start = await adapterNamed(context.models, request.model);
  using base = start ? undefined : await context.resolve(request.model, signal);
  const { served } = (start ?? base)!;
  const method = request.method?.type ?? defaultMethod;
  const hyperparameters = ownHyperparameters(request, method);
  checkMultiplier(hyperparameters);
  if (start) checkStart(start, hyperparameters);
  checkFit(served, hyperparameters);
  checkRate(served, method, hyperparameters);
  const training = await dataFile(files, request.training_file, 'training_file');
  const validation = request.validation_file
    ? await dataFile(files, request.validation_file, 'validation_file')
    : undefined;
  return { request, served, start, method, hyperparameters, training, validation };
}

/** Refuses a multiplier that would be lost, as it is of the rate that `auto` gives. */
function checkMultiplier({ learning_rate: rate, learning_rate_multiplier: multiplier }: Hyperparameters): void {
  if (rate === undefined || typeof multiplier !== 'number' || multiplier === 1) return;
  const name = 'learning_rate_multiplier';
  throw badRequest(`'${name}' is of the rate that 'auto' gives: give it or 'learning_rate', not both.`, name);
}

/** Refuses hyperparameters that the adapter to start from has settled. */
function checkStart({ entry }: NamedAdapter, hyperparameters: Hyperparameters): void {
  for (const name of ['lora_r', 'lora_alpha', 'lora_dropout', 'target_modules'] as const) {
    if (hyperparameters[name] !== undefined)
      throw badRequest(`'${name}' is settled by '${entry.name}', which the training goes on from.`, name);
  }
}

/** Refuses hyperparameters that do not fit the model or the engine that is to serve the result. */
function checkFit({ model }: ServedModel, hyperparameters: Hyperparameters): void {
  const { decoder } = model;
  refuseEncoder("'model'", decoder.config);
  const { contextLength } = decoder.config;
  if ((hyperparameters.max_length ?? 0) > contextLength) {
    throw badRequest(`'max_length' must be at most the model's context of ${contextLength} tokens.`, 'max_length');
  }
  const { maxLoraRank } = model.engine.settings;
  if ((hyperparameters.lora_r ?? 0) > maxLoraRank)
    throw badRequest(`'lora_r' must be at most ${maxLoraRank}, the largest rank that this server serves.`, 'lora_r');
  const { target_modules: modules = 'all-linear' } = hyperparameters;
  const layers = decoder.linearPaths();
  const unknown =
    modules === 'all-linear' ? undefined : modules.find((name) => !layers.some((path) => isAt(name, path)));
  if (unknown === undefined) return;
  const names = [...new Set(layers.map((path) => path.slice(path.lastIndexOf('.') + 1)))];
  const hint = suggestion(unknown, names);
  const wrong = `'target_modules': ${JSON.stringify(unknown)} fits none of the model's layers`;
  throw badRequest(`${wrong}${hint}${hint.endsWith('?') ? '' : '.'}`, 'target_modules');
}

/** Refuses rates that are 0 or infinite in the f32 that the optimizer computes with. */
function checkRate({ model }: ServedModel, method: JobRecord['method'], hyperparameters: Hyperparameters): void {
  const rate = peakRate(model, method, hyperparameters);
  const param = hyperparameters.learning_rate === undefined ? 'learning_rate_multiplier' : 'learning_rate';
  const single = Math.fround(rate);
  if (single > 0 && Number.isFinite(single)) return;
  throw badRequest(`'${param}' gives a learning rate of ${rate}, which is beyond 32-bit numbers.`, param);
}

/** Hyperparameters of the method that was chosen; what stands elsewhere would have no effect. */
function ownHyperparameters({ method: chosen, hyperparameters }: CreateRequest, method: JobRecord['method']) {
  const other = methodNames.find((name) => name !== method && chosen?.[name]?.hyperparameters !== undefined);
  if (other)
    throw badRequest(`'method.${other}' has no effect, because 'method.type' is '${method}'.`, `method.${other}`);
  const own = chosen?.[method]?.hyperparameters;
  if (own && hyperparameters) {
    const place = `method.${method}.hyperparameters`;
    throw badRequest(`'hyperparameters' has no effect beside '${place}': give the latter alone.`, 'hyperparameters');
  }
  return { ...(own ?? hyperparameters ?? {}) };
}

async function dataFile(files: FileStore, id: string, param: string): Promise<FileRecord> {
  const found = await files.get(id);
  if (!found) throw noFile(id, param);
  if (found.purpose === 'fine-tune') return found;
  throw badRequest(
    `'${param}': the file's purpose must be 'fine-tune', not '${found.purpose}'.`,
    param,
    'invalid_file',
  );
}

const noFile = (id: string, param: string): Error =>
  badRequest(`'${param}': there is no file ${JSON.stringify(id.slice(0, 100))}.`, param, 'invalid_file');

function recordOf(
  { request, served, method, hyperparameters, training, validation }: Order,
  owner: string,
): Omit<JobRecord, 'createdAt' | 'queuedAt'> {
  const { model, suffix, metadata } = request;
  const named = ({ id, filename }: FileRecord): JobRecord['training'] => ({ id, filename });
  return {
    id: newId('ftjob-'),
    model,
    base: served.id,
    training: named(training),
    ...(validation ? { validation: named(validation) } : {}),
    method,
    hyperparameters,
    ...(suffix ? { suffix } : {}),
    seed: request.seed ?? randomInt(2 ** 31 - 1),
    ...(metadata ? { metadata } : {}),
    integrations: request.integrations ?? [],
    status: 'validating_files',
    paused: false,
    name: resultName(served.id, owner, suffix ?? ''),
    resultFile: newId('file-'),
    deleted: [],
  };
}

/** `ft:base:organization:suffix:id`. */
function resultName(base: string, organization: string, suffix: string): string {
  const plain = (text: string): string => text.replace(/[^\w.:@/-]+/g, '-');
  return `ft:${plain(base)}:${organization}:${plain(suffix).replace(/[:@/]/g, '-')}:${newId('').slice(0, 8)}`;
}

async function takeFile(draft: Draft, id: string, which: 'training' | 'validation'): Promise<void> {
  const shared = await draft.share(parts[which], contentOf(id));
  if (!shared) throw noFile(id, `${which}_file`); // deleted while the job was being made
}

/** Puts the adapter that the training starts from beside its data. */
async function takeStart(
  { models }: ServerContext,
  data: ServerData,
  draft: Draft,
  { entry: { name, path } }: NamedAdapter,
  model: string,
): Promise<void> {
  try {
    if (path === undefined) {
      // What jobs made is never written again: it is shared.
      const from = await data.models.find(name);
      if (!from || !(await draft.share(parts.start, from, adapterFiles))) throw new Error(`'${name}' is not stored`);
      return;
    }
    await using scratch = await data.store.scratch();
    const copied = join(scratch.path, parts.start);
    await copyAdapter(path, copied);
    await draft.publish(parts.start, copied);
  } catch (error) {
    if (await adapterNamed(models, model)) throw error;
    throw notFound(`'model': '${model}' was deleted.`, 'model', 'model_not_found');
  }
}
