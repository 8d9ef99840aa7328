// Errors as Ollama's clients read them: a sentence.
import type { ApiError, ErrorForm } from '../http/errors.js';

export const ollamaErrorBody = ({ message }: ApiError): object => ({ error: message });

export const ollamaErrors: ErrorForm = { paths: /^\/api\//, body: ollamaErrorBody };
