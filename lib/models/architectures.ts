// The architectures that Helvetia runs, by the `model_type` of config.json.
import { check } from '../files/json.js';
import type { DecoderConfig } from './config.js';
import { llamaConfig, llamaSchema } from './llama.js';

const architectures: Record<string, (file: string, json: Record<string, unknown>) => DecoderConfig> = {
  llama: (file, json) => llamaConfig(file, check(file, llamaSchema, json)),
};

/** @throws Error that names the file, and lists what is supported if `model_type` is not. */
export function decoderConfig(file: string, json: Record<string, unknown>): DecoderConfig {
  const type = json.model_type;
  if (typeof type !== 'string')
    throw new Error(`${file}: field 'model_type' must be a string, got ${JSON.stringify(type)}`);
  const make = Object.hasOwn(architectures, type) ? architectures[type] : undefined;
  if (!make) {
    throw new Error(
      `${file}: model_type '${type}' is not supported; supported: ${Object.keys(architectures).join(', ')}`,
    );
  }
  return make(file, json);
}
