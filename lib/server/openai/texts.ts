// Texts of a request that become vectors or scores: how long they may be, and how they are computed side by side.
import { z } from 'zod';
import type { JobOptions } from '../../engine/job.js';
import { type Encoded, TextTooLong } from '../../engine/texts/encoded.js';
import type { TextsModel } from '../../engine/texts/texts-model.js';
import type { Model } from '../../model.js';
import type { ServerContext } from '../context.js';
import { failedAs } from '../metrics.js';
import type { Resolved } from '../served.js';
import type { RequestFacts } from './generation.js';
import { mapTexts } from './map-texts.js';
import { nonEmpty, tokenizerOf, tooLong } from './prompt.js';

/** How other servers ask for texts to be cut that are too long. */
export const lengthFields = {
  /** TEI's. */
  truncate: z.boolean().nullish(),
  /** vLLM's: so many tokens, or -1 for as many as the model takes. */
  truncate_prompt_tokens: z
    .number()
    .int()
    .min(-1)
    .refine((most) => most !== 0, { error: 'expected -1 or more than 0' })
    .nullish(),
};

/** How long a text may be, and whether it is cut where it is longer. */
export function lengthOf(
  { settings }: ServerContext,
  body: z.infer<z.ZodObject<typeof lengthFields>>,
): { most: number; truncate: boolean } {
  const { truncate, truncate_prompt_tokens: wanted } = body;
  const { promptTokens } = settings.limits;
  const most = wanted && wanted > 0 ? Math.min(wanted, promptTokens) : promptTokens;
  return { most, truncate: truncate ?? (wanted !== null && wanted !== undefined) };
}

export const textsModel = (model: Model): TextsModel => ({
  engine: model.engine,
  config: model.decoder.config,
  tokenizer: () => tokenizerOf(model),
});

/** @throws ApiError 400 that names `param`, for a text that is too long or empty. */
export async function encodedAs(param: string, text: Promise<Encoded> | Encoded): Promise<Encoded> {
  try {
    const encoded = await text;
    nonEmpty(encoded.ids, param);
    return encoded;
  } catch (error) {
    if (error instanceof TextTooLong) throw tooLong(error.most, `${error.given} tokens or more`, param);
    throw error;
  }
}

/** What `compute` makes of each text, in order; each counts among the requests of the metrics. */
export function computeTexts<T>(
  context: ServerContext,
  { model, adapter, served }: Resolved,
  facts: RequestFacts,
  texts: readonly Encoded[],
  compute: (text: Encoded, options: JobOptions) => Promise<T>,
): Promise<T[]> {
  return mapTexts(
    context,
    model,
    facts,
    texts.map(({ ids }) => ids),
    async (ids, signal, index) => {
      const followed = context.metrics.follow(served.id, facts.since);
      try {
        const result = await compute(texts[index]!, { adapter, client: facts.client, signal });
        followed.finish('stop', ids.length);
        return result;
      } catch (error) {
        followed.finish(failedAs(error, signal.aborted), ids.length);
        throw error;
      }
    },
  );
}

export const countTokens = (texts: readonly Encoded[]): number => texts.reduce((sum, { ids }) => sum + ids.length, 0);
