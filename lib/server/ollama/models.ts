// The served models as Ollama's clients list and describe them.
import { createHash } from 'node:crypto';
import type { Model } from '../../model.js';
import { parameterCount, weightBytes } from '../../models/config.js';
import { reasoningOf } from '../../text/reasoning/recognise.js';
import type { ServerContext } from '../context.js';
import type { Resolved } from '../served.js';

/** Models that stay in memory expire at no time that clients know of. */
const never = '2318-01-01T00:00:00Z';

export function tagged(context: ServerContext) {
  return [...context.models.values()].flatMap(({ id, model, createdAt, adapters }) => [
    tag(id, model, createdAt),
    ...adapters.list().map(({ name, createdAt: at }) => tag(name, model, at, id)),
  ]);
}

function tag(name: string, model: Model, createdAt: number, parent = '') {
  return {
    name,
    model: name,
    modified_at: new Date(createdAt * 1000).toISOString(),
    size: sizeOf(model),
    digest: createHash('sha256').update(`${name}\n${model.path}`).digest('hex'),
    details: detailsOf(model, parent),
    capabilities: capabilitiesOf(model),
  };
}

export const running = (context: ServerContext) =>
  [...context.models.values()].map(({ id, model, createdAt }) => ({
    ...tag(id, model, createdAt),
    expires_at: never,
    size_vram: String(model.decoder.device).startsWith('cuda') ? sizeOf(model) : 0,
    context_length: model.decoder.config.contextLength,
  }));

export function shown({ id, served, model, adapter }: Resolved) {
  const { contextLength, hiddenSize, modelType, layers } = model.decoder.config;
  return {
    modelfile: `FROM ${served.id}`,
    parameters: `num_ctx ${contextLength}`,
    template: model.hasTokenizer ? (model.tokenizer.chatTemplate ?? '') : '',
    details: detailsOf(model, adapter ? served.id : ''),
    model_info: {
      'general.architecture': modelType,
      'general.basename': id,
      'general.parameter_count': parameterCount(model.decoder.config),
      [`${modelType}.context_length`]: contextLength,
      [`${modelType}.embedding_length`]: hiddenSize,
      [`${modelType}.block_count`]: layers.length,
    },
    capabilities: capabilitiesOf(model),
    modified_at: new Date(served.createdAt * 1000).toISOString(),
  };
}

const sizeOf = (model: Model): number => weightBytes(model.decoder.config, model.dtype);

function detailsOf(model: Model, parent: string) {
  const { config } = model.decoder;
  return {
    parent_model: parent,
    format: model.path.endsWith('.gguf') ? 'gguf' : 'safetensors',
    family: config.modelType,
    families: [config.modelType],
    parameter_size: sized(parameterCount(config)),
    quantization_level: model.dtype.toUpperCase(),
  };
}

/** Three digits and a letter. */
function sized(count: number): string {
  const [unit, letter] = count >= 1e9 ? [1e9, 'B'] : count >= 1e6 ? [1e6, 'M'] : [1e3, 'K'];
  return `${(count / (unit as number)).toPrecision(3)}${letter}`;
}

function capabilitiesOf(model: Model): string[] {
  if (model.kind !== 'language model') return ['embedding'];
  if (!model.hasTokenizer) return ['completion'];
  return ['completion', 'tools', ...(reasoningOf(model.tokenizer) ? ['thinking'] : []), 'embedding'];
}
