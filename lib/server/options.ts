// What createServer takes, and the settings that it comes to.
import { z } from 'zod';
import type { EngineOptions } from '../engine/engine.js';
import { checkOptions } from '../flow/options.js';
import { Model } from '../model.js';
import { defaultConnections } from './http/connections.js';
import { jsonLogger, type Logger } from './log.js';

export interface ServedModelOptions {
  /** What requests call it. Default: the model's name. */
  id?: string | undefined;
  model: string | Model;
}

export interface Limits {
  /** Bytes of a JSON body. Default 8 MiB. */
  bodyBytes?: number;
  /** Seconds within which a JSON body arrives, at most 3600. Default 60. */
  bodySeconds?: number;
  /** Tokens of a prompt. Default: the model's context. */
  promptTokens?: number;
  /** Bytes of an uploaded file. Default 512 MiB. */
  uploadBytes?: number;
  /**
   * Connections that requests may take on the server's own listener; probes have some more. Default: half of the files
   * that the process may open, at most 10,000.
   */
  connections?: number;
  /**
   * Seconds that the server's own listener keeps a connection without a request. Default 75: more than a proxy's pool
   * keeps one, which would otherwise send a request into a closing connection.
   */
  keepAliveSeconds?: number;
  /** Seconds within which a client of the server's own listener takes, or sends, the next bytes. Default 90. */
  stallSeconds?: number;
}

export interface ServerOptions {
  /** Names, paths or loaded models. The first is the one that the page begins with. */
  models: readonly (string | Model | ServedModelOptions)[];
  /** A folder whose subfolders are adapters, in PEFT's format: each is a model by its name. */
  adapters?: string;
  /** Where files, jobs and trained adapters are kept. Without it there are no files and no fine-tuning jobs. */
  dataDir?: string;
  /** Bearer keys, of printable characters without spaces. Without any, everybody is let in. */
  apiKeys?: readonly string[];
  /** Lets `listen` take addresses beyond this machine without a key. Default false. */
  noAuth?: boolean;
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
  /**
   * Host names by which `listen` on this machine alone may be reached without a key, beside `localhost` and addresses of
   * the loopback: no other site's page can then pass its own name off as this machine's.
   */
  allowedHosts?: readonly string[];
  /** Where the handlers are mounted, if anywhere other than `/` or `/v1`: such as `/api/ai`. */
  basePath?: string;
  engine?: EngineOptions;
  /** Adapters that stay loaded for each model; the one unused longest leaves first. Default 64. */
  loadedAdapters?: number;
  /** For models given by name or path. */
  device?: string;
  dtype?: 'f32' | 'bf16' | 'f16';
  /** Lets messages, tools and calls spell control tokens: for those who trust all that clients send. Default false. */
  controlTokensInMessages?: boolean;
}

export interface ServerSettings {
  readonly models: readonly ServedModelOptions[];
  readonly adapters: string | undefined;
  readonly dataDir: string | undefined;
  readonly apiKeys: readonly string[];
  readonly noAuth: boolean;
  readonly limits: Required<Limits>;
  readonly metricsPrefix: string;
  readonly organization: string;
  readonly logger: Logger;
  readonly logText: boolean;
  readonly cors: readonly string[];
  readonly allowedHosts: readonly string[];
  readonly basePath: string;
  readonly engine: EngineOptions;
  readonly loadedAdapters: number;
  readonly device: string;
  readonly dtype: 'f32' | 'bf16' | 'f16' | undefined;
  readonly controlTokensInMessages: boolean;
}

const silent: Logger = { info: () => {}, warn: () => {}, error: () => {} };

const model = z.instanceof(Model).describe('a loaded model');
const name = z.string().min(1).describe('a string that is not empty');
const positive = z.number().gt(0).optional();
// A day. Timers of more than 2 ** 31 milliseconds end at once.
const mostTimerSeconds = 86_400;
const isLogger = (value: unknown): boolean =>
  value === false ||
  (typeof value === 'object' &&
    value !== null &&
    ['info', 'warn', 'error'].every((level) => typeof (value as Record<string, unknown>)[level] === 'function'));

const schema = z.strictObject({
  models: z
    .array(
      z
        .union([name, model, z.strictObject({ id: name.optional(), model: z.union([name, model]) })])
        .describe('a name, a path, a loaded model or { id, model }'),
    )
    .min(1)
    .describe('a list of at least one model, each a name, a path, a loaded model or { id, model }'),
  adapters: name.optional(),
  dataDir: name.optional(),
  apiKeys: z
    .array(
      z
        .custom<string>((key) => typeof key === 'string' && /^[\x21-\x7e]+$/.test(key))
        .describe('a key of printable characters without spaces'),
    )
    .optional(),
  noAuth: z.boolean().optional(),
  limits: z
    .strictObject({
      bodyBytes: positive,
      bodySeconds: z.number().gt(0).max(3600).optional(),
      promptTokens: positive,
      uploadBytes: positive,
      connections: z.number().int().min(1).optional(),
      keepAliveSeconds: z.number().gt(0).max(mostTimerSeconds).optional(),
      stallSeconds: z.number().gt(0).max(mostTimerSeconds).optional(),
    })
    .optional(),
  metricsPrefix: z
    .string()
    .regex(/^[a-zA-Z_][a-zA-Z0-9_:]*$/)
    .describe('the beginning of a metric name: letters, digits, _ and :')
    .optional(),
  organization: z
    .string()
    .regex(/^[\w.-]+$/)
    .describe('a name of letters, digits, . _ and -')
    .optional(),
  logger: z
    .custom<Logger | false>(isLogger)
    .describe('an object with the functions info, warn and error, or false')
    .optional(),
  logText: z.boolean().optional(),
  cors: z.array(z.string()).optional(),
  allowedHosts: z.array(name).optional(),
  basePath: z.string().optional(),
  engine: z.looseObject({}).optional(),
  loadedAdapters: z.number().int().min(1).optional(),
  device: name.optional(),
  dtype: z.enum(['f32', 'bf16', 'f16']).optional(),
  controlTokensInMessages: z.boolean().optional(),
});

/** @throws TypeError or RangeError that names the option. */
export function serverSettings(given: ServerOptions): ServerSettings {
  const options = checkOptions('createServer', schema, given);
  const { limits = {}, logger = jsonLogger() } = options;
  if (options.noAuth && options.apiKeys?.length)
    throw new TypeError(
      "createServer: give 'apiKeys' or 'noAuth', not both: a key that is not asked for protects nothing",
    );
  return {
    models: options.models.map((entry) => (typeof entry === 'object' && 'model' in entry ? entry : { model: entry })),
    adapters: options.adapters,
    dataDir: options.dataDir,
    apiKeys: options.apiKeys ?? [],
    noAuth: options.noAuth ?? false,
    limits: {
      bodyBytes: limits.bodyBytes ?? 8 * 2 ** 20,
      bodySeconds: limits.bodySeconds ?? 60,
      promptTokens: limits.promptTokens ?? Number.POSITIVE_INFINITY,
      uploadBytes: limits.uploadBytes ?? 512 * 2 ** 20,
      connections: limits.connections ?? defaultConnections(),
      keepAliveSeconds: limits.keepAliveSeconds ?? 75,
      stallSeconds: limits.stallSeconds ?? 90,
    },
    metricsPrefix: options.metricsPrefix ?? 'helvetia:',
    organization: options.organization ?? 'local',
    logger: logger === false ? silent : logger,
    logText: options.logText ?? false,
    cors: options.cors ?? [],
    allowedHosts: options.allowedHosts ?? [],
    basePath: (options.basePath ?? '').replace(/\/+$/, ''),
    engine: options.engine ?? {},
    loadedAdapters: options.loadedAdapters ?? 64,
    device: options.device ?? 'auto',
    dtype: options.dtype,
    controlTokensInMessages: options.controlTokensInMessages ?? false,
  };
}
