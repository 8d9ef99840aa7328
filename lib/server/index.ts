// The public names of `helvetia/server`, and nothing else.
export { ApiError, type ErrorBody } from './http/errors.js';
export { jsonLogger, type Logger } from './log.js';
export type { Limits, ServedModelOptions, ServerOptions } from './options.js';
export { type CloseOptions, createServer, type ListenOptions, type Server } from './server.js';
