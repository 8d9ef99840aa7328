// ApiError: an answer that is no success, with a body in OpenAI's form, which always has all four keys.
import { isDiskFull, shortageIn } from '../../files/shortage.js';
import { QueueFull } from '../../flow/quota.js';
import { WrongKind } from '../../models/kind.js';
import { RenderFailed } from '../../text/chat/render-thread.js';
import type { Logger } from '../log.js';

export interface ErrorDetails {
  /** Default: what the status implies. */
  type?: string;
  /** The request's field that is wrong, such as `messages[2].content`. */
  param?: string | null;
  /** For programs, such as `model_not_found`. */
  code?: string | null;
  headers?: Readonly<Record<string, string>>;
  /** Of a prompt that is too long: what it has, as far as it was counted, and what it may have. */
  tokens?: { given: number; most: number };
  cause?: unknown;
}

export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
}

/** How another API than OpenAI's writes its errors, also where no route is reached. */
export interface ErrorForm {
  /** Its addresses, as routes know them. */
  readonly paths: RegExp;
  body(error: ApiError, requestId: string): object;
}

export class ApiError extends Error {
  override name = 'ApiError';
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly tokens: ErrorDetails['tokens'];

  constructor(
    readonly status: number,
    message: string,
    details: ErrorDetails = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.type = details.type ?? typeOf(status);
    this.param = details.param ?? null;
    this.code = details.code ?? null;
    this.headers = details.headers ?? {};
    this.tokens = details.tokens;
  }

  get body(): ErrorBody {
    const { message, type, param, code } = this;
    return { error: { message, type, param, code } };
  }

  /** @param body in the form of another API */
  response(body: object = this.body): Response {
    const headers = { 'content-type': 'application/json', ...this.headers };
    return new Response(JSON.stringify(body), { status: this.status, headers });
  }
}

function typeOf(status: number): string {
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

/** 400: the field `param` is wrong. */
export const badRequest = (message: string, param: string | null = null, code: string | null = null): ApiError =>
  new ApiError(400, message, { param, code });

/** 404: what the request names is not there. */
export const notFound = (message: string, param: string | null = null, code = 'not_found'): ApiError =>
  new ApiError(404, message, { param, code });

/**
 * An error as the caller may see it. What is not the caller's doing is logged and not told; nor is what comes of a caller
 * who left, whose `signal` is aborted.
 */
export function asApiError(error: unknown, log: Logger, requestId: string, signal?: AbortSignal): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof WrongKind)
    return new ApiError(400, `${error.message}.`, { code: 'unsupported_model', param: 'model' });
  if (error instanceof QueueFull) {
    const retryAfter = String(Math.max(1, Math.ceil(error.retryAfterSeconds)));
    const message = 'Too many requests are waiting. Please try again later.';
    return new ApiError(429, message, { code: 'queue_full', headers: { 'retry-after': retryAfter } });
  }
  if (signal?.aborted || (error instanceof Error && error.name === 'AbortError')) {
    return new ApiError(503, 'The request was cancelled.', { code: 'cancelled' });
  }
  if (error instanceof RenderFailed) {
    const { message, cause, retryAfterSeconds } = error;
    log.warn({ requestId, error: message, ...(cause instanceof Error ? { cause: cause.stack } : {}) }, 'not rendered');
    return new ApiError(503, `The conversation was not written: ${message}. Please try again later.`, {
      type: 'unavailable_error',
      code: 'not_rendered',
      headers: { 'retry-after': String(retryAfterSeconds) },
    });
  }
  log.error({ requestId, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'failed');
  const shortage = shortageIn(error);
  if (shortage !== undefined) {
    const message = `The server could not do this: ${shortage}. Please try again later, or tell who runs it.`;
    return isDiskFull(error)
      ? new ApiError(507, message, { code: 'insufficient_storage' })
      : new ApiError(503, message, { type: 'unavailable_error', code: 'unavailable', headers: { 'retry-after': '1' } });
  }
  return new ApiError(500, `The server failed to answer this request. Its log says why, under ${requestId}.`, {
    code: 'internal_error',
  });
}

export const errorBody = (error: unknown, log: Logger, requestId: string, signal: AbortSignal): ErrorBody =>
  asApiError(error, log, requestId, signal).body;
