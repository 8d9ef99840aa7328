// What createServer takes, and the settings that it comes to.
import type { EngineOptions } from '../engine/engine.js';
import type { Model } from '../model.js';
import { jsonLogger, type Logger } from './log.js';

export interface ServedModelOptions {
  /** What requests call it. Default: the model's name. */
  id?: string;
  model: string | Model;
}

export interface Limits {
  /** Bytes of a JSON body. Default 8 MiB. */
  bodyBytes?: number;
  /** Tokens of a prompt. Default: the model's context. */
  promptTokens?: number;
  /** Bytes of an uploaded file. Default 512 MiB. */
  uploadBytes?: number;
}

export interface ServerOptions {
  /** Names, paths or loaded models. The first is the one that the page begins with. */
  models: readonly (string | Model | ServedModelOptions)[];
  /** A folder whose subfolders are adapters, in PEFT's format: each is a model by its name. */
  adapters?: string;
  /** Where files, jobs and trained adapters are kept. Without it there are no files and no fine-tuning jobs. */
  dataDir?: string;
  /** Bearer keys. Without any, everybody is let in. */
  apiKeys?: readonly string[];
  limits?: Limits;
  /** Before the names in /metrics. Default `'helvetia:'`; with `'vllm:'` dashboards made for vLLM work. */
  metricsPrefix?: string;
  /** In the names of fine-tuned models, `ft:base:organization:suffix:id`. Default `'local'`. */
  organization?: string;
  /** Default: JSON lines on standard error. False is silent. */
  logger?: Logger | false;
  /** Puts prompts and answers into the logs. Default false. */
  logText?: boolean;
  /** Origins that browsers may call from; `'*'` is any. Default: none. */
  cors?: readonly string[];
  /** Where the handlers are mounted, if anywhere other than `/` or `/v1`: such as `/api/ai`. */
  basePath?: string;
  engine?: EngineOptions;
  /** Adapters that stay loaded for each model; the one unused longest leaves first. Default 64. */
  loadedAdapters?: number;
  /** For models given by name or path. */
  device?: string;
  dtype?: 'f32' | 'bf16' | 'f16';
}

export interface ServerSettings {
  readonly models: readonly ServedModelOptions[];
  readonly adapters: string | undefined;
  readonly dataDir: string | undefined;
  readonly apiKeys: readonly string[];
  readonly limits: Required<Limits>;
  readonly metricsPrefix: string;
  readonly organization: string;
  readonly logger: Logger;
  readonly logText: boolean;
  readonly cors: readonly string[];
  readonly basePath: string;
  readonly engine: EngineOptions;
  readonly loadedAdapters: number;
  readonly device: string;
  readonly dtype: 'f32' | 'bf16' | 'f16' | undefined;
}

const silent: Logger = { info: () => {}, warn: () => {}, error: () => {} };

/** @throws TypeError or RangeError that names the option. */
export function serverSettings(options: ServerOptions): ServerSettings {
  const { models, limits = {}, metricsPrefix = 'helvetia:', organization = 'local', logger = jsonLogger() } = options;
  if (models.length === 0) throw new RangeError("createServer: 'models' is empty: name at least one");
  if (!/^[a-zA-Z_][a-zA-Z0-9_:]*$/.test(metricsPrefix))
    throw new RangeError(
      `createServer: 'metricsPrefix' ${JSON.stringify(metricsPrefix)} is no metric name's beginning`,
    );
  if (!/^[\w.-]+$/.test(organization))
    throw new RangeError(
      `createServer: 'organization' ${JSON.stringify(organization)} has more than letters, digits, . _ -`,
    );
  const whole: Required<Limits> = {
    bodyBytes: limits.bodyBytes ?? 8 * 2 ** 20,
    promptTokens: limits.promptTokens ?? Number.POSITIVE_INFINITY,
    uploadBytes: limits.uploadBytes ?? 512 * 2 ** 20,
  };
  for (const [name, value] of Object.entries(whole)) {
    if (!(value > 0)) throw new RangeError(`createServer: 'limits.${name}' is ${value}, expected more than 0`);
  }
  return {
    models: models.map((entry) => (typeof entry === 'object' && 'model' in entry ? entry : { model: entry })),
    adapters: options.adapters,
    dataDir: options.dataDir,
    apiKeys: (options.apiKeys ?? []).filter((key) => key !== ''),
    limits: whole,
    metricsPrefix,
    organization,
    logger: logger === false ? silent : logger,
    logText: options.logText ?? false,
    cors: options.cors ?? [],
    basePath: (options.basePath ?? '').replace(/\/+$/, ''),
    engine: options.engine ?? {},
    loadedAdapters: options.loadedAdapters ?? 64,
    device: options.device ?? 'auto',
    dtype: options.dtype,
  };
}
