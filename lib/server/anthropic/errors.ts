// Errors as Anthropic's clients read them. Claude Code makes a conversation shorter when it reads the two numbers of an
// overflow in exactly these words.
import type { ApiError, ErrorForm } from '../http/errors.js';

const types: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
};

export const messagesErrors: ErrorForm = { paths: /^\/messages\b/, body: messagesErrorBody };

export function messagesErrorBody(error: ApiError, requestId: string): object {
  const { status, tokens } = error;
  const type = types[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
  const message = tokens ? `prompt is too long: ${tokens.given} tokens > ${tokens.most} maximum` : error.message;
  return { type: 'error', error: { type, message }, request_id: requestId };
}
