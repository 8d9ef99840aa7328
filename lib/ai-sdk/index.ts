// The public names of `helvetia/ai-sdk`: our models for the Vercel AI SDK, in the same process and over the same engine
// as all other callers.

import type { Adapter } from '../lora/adapter.js';
import { Model } from '../model.js';
import { embeddingModel } from './embedding-model.js';
import { HelvetiaLanguageModel, type Served } from './language-model.js';
import { rerankingModel } from './reranking-model.js';
import type { EmbeddingModel, LanguageModel, Provider, Version } from './specification.js';

export type { EmbeddingModel, LanguageModel, Provider, RerankingModel } from './specification.js';

export interface HelvetiaOptions<V extends Version = Version> {
  /** Models by the names they are asked for; an adapter goes with its model. */
  models: Readonly<Record<string, Model | { model: Model; adapter?: Adapter }>>;
  /** The SDK's specification: `'v3'`, which is the default, for AI SDK 6 and later, `'v4'` for 7 and later. */
  specification?: V;
}

/**
 * A provider of loaded models: `createHelvetia({ models: { small } })('small')`.
 *
 * @throws Error from the provider for a name that is not among the models, with those that are.
 */
export function createHelvetia<V extends Version = 'v3'>(options: HelvetiaOptions<V>): Provider<V> {
  const version = (options.specification ?? 'v3') as V;
  const served = (modelId: string): Served => {
    const found = Object.hasOwn(options.models, modelId) ? options.models[modelId] : undefined;
    if (!found) throw absent(`model "${modelId}"`, `there are ${Object.keys(options.models).join(', ') || 'none'}`);
    return found instanceof Model ? { model: found } : found;
  };
  const languageModel = (modelId: string): LanguageModel<V> =>
    new HelvetiaLanguageModel(version, modelId, served(modelId));
  const embedding = (modelId: string): EmbeddingModel<V> => embeddingModel(version, modelId, served(modelId));
  return Object.assign((modelId: string) => languageModel(modelId), {
    specificationVersion: version,
    languageModel,
    embeddingModel: embedding,
    textEmbeddingModel: embedding,
    rerankingModel: (modelId: string) => rerankingModel(version, modelId, served(modelId)),
    imageModel: (modelId: string): never => {
      throw absent(`image model "${modelId}"`, 'the models here write text');
    },
  });
}

/** One model for the AI SDK, without a provider around it. */
export function helvetia<V extends Version = 'v3'>(
  model: Model,
  options: { adapter?: Adapter; specification?: V } = {},
): LanguageModel<V> {
  const { adapter, specification = 'v3' as V } = options;
  return new HelvetiaLanguageModel(specification, model.name, { model, ...(adapter ? { adapter } : {}) });
}

function absent(what: string, why: string): Error {
  const error = new Error(`helvetia/ai-sdk: there is no ${what}: ${why}`);
  // The SDK's own name for this failure.
  error.name = 'AI_NoSuchModelError';
  return error;
}
