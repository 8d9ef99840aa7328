// Errors as Ollama's clients read them: a sentence.
import type { ApiError } from '../http/errors.js';

export const ollamaErrorBody = ({ message }: ApiError): object => ({ error: message });
