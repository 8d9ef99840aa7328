// POST /rerank, as Jina, Cohere, llama.cpp and vLLM have it, also with TEI's `texts`; and POST /score, as vLLM has it. Scores are
// those of `model.rank`: a reranker's own, an embedding model's cosines.
import { type Context, Hono } from 'hono';
import { z } from 'zod';
import type { Encoded } from '../../engine/texts/encoded.js';
import { type Pair, scoringOf } from '../../engine/texts/scoring.js';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { badRequest } from '../http/errors.js';
import { jsonAnswer } from '../http/json-pieces.js';
import { requestFacts } from '../http/request.js';
import { list } from '../http/sized.js';
import { newId } from '../ids.js';
import { checkFields, warningHeader } from '../openai/fields.js';
import { computeTexts, encodedAs, lengthFields, lengthOf, textsModel } from '../openai/texts.js';

// As many as texts of one request for embeddings.
const mostTexts = 2048;
// A query counts with each of its texts.
const mostTokens = 2 ** 20;

const text = z.union([z.string(), z.looseObject({ text: z.string() })], {
  error: "expected a string or an object with 'text'",
});

const scoringFields = {
  model: z.string().min(1).nullish(),
  /** What counts as relevant, for rerankers that are asked in words. */
  instruction: z.string().nullish(),
  /** vLLM's: false asks for logits. */
  use_activation: z.boolean().nullish(),
  ...lengthFields,
};

const rerankBody = z
  .looseObject({
    ...scoringFields,
    query: text,
    documents: list(text, mostTexts, 1).optional(),
    texts: list(z.string(), mostTexts, 1).optional(),
    /** All where it is 0. */
    top_n: z.number().int().min(0).nullish(),
    return_documents: z.boolean().nullish(),
    /** TEI's. */
    return_text: z.boolean().nullish(),
    raw_scores: z.boolean().nullish(),
  })
  .refine((body) => (body.documents === undefined) !== (body.texts === undefined), {
    error: "expected either 'documents' or 'texts'",
    path: ['documents'],
  });

const texts = z.union([text.transform((one) => [one]), list(text, mostTexts, 1)], {
  error: `expected a text, or an array of 1 to ${mostTexts} texts`,
});

const scoreBody = z.looseObject({
  ...scoringFields,
  queries: texts.optional(),
  documents: texts.optional(),
  /** Names of vLLM's earlier versions. */
  text_1: texts.optional(),
  text_2: texts.optional(),
});

export function rankRoutes(context: ServerContext): Hono {
  const rerank = (c: Context): Promise<Response> => reranked(c, context);
  return new Hono()
    .post('/rerank', rerank)
    .post('/v2/rerank', rerank)
    .post('/reranking', rerank)
    .post('/score', async (c) => scored(c, context));
}

async function reranked(c: Context, context: ServerContext): Promise<Response> {
  const body = await jsonBody(c, context, rerankBody);
  const warnings = checkFields(body, rerankBody);
  const field = body.texts ? 'texts' : 'documents';
  const documents = (body.texts ?? body.documents!).map(written);
  const query = written(body.query);
  const pairs = documents.map((document): Pair => [query, document]);
  const options = { ...body, use_activation: body.raw_scores ? false : body.use_activation };
  const { scores, model, tokens } = await scoresOf(c, context, options, pairs, (index) => `${field}[${index}]`);
  const order = scores.map((score, index) => ({ index, score })).sort((a, b) => b.score - a.score);
  const top = order.slice(0, body.top_n || order.length);
  if (body.texts) {
    const answer = top.map((entry) => (body.return_text ? { ...entry, text: documents[entry.index] } : entry));
    return jsonAnswer(c, answer, warningHeader(warnings));
  }
  const results = top.map(({ index, score }) => ({
    index,
    relevance_score: score,
    ...(body.return_documents === false ? {} : { document: { text: documents[index] } }),
  }));
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  return jsonAnswer(c, { id: newId('rerank-'), object: 'list', model, results, usage }, warningHeader(warnings));
}

async function scored(c: Context, context: ServerContext): Promise<Response> {
  const body = await jsonBody(c, context, scoreBody);
  const warnings = checkFields(body, scoreBody);
  const queries = given(body.queries ?? body.text_1, 'queries');
  const documents = given(body.documents ?? body.text_2, 'documents');
  if (queries.length !== 1 && queries.length !== documents.length) {
    const counts = `${queries.length} queries for ${documents.length} documents`;
    throw badRequest(`'queries': has ${counts}: expected one, or as many.`, 'queries');
  }
  const pairs = documents.map((document, index): Pair => [queries[queries.length === 1 ? 0 : index]!, document]);
  const { scores, model, tokens } = await scoresOf(c, context, body, pairs, (index) => `documents[${index}]`);
  const data = scores.map((score, index) => ({ index, object: 'score', score }));
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  const created = Math.floor(Date.now() / 1000);
  return jsonAnswer(c, { id: newId('score-'), object: 'list', created, model, data, usage }, warningHeader(warnings));
}

const written = (one: z.infer<typeof text>): string => (typeof one === 'string' ? one : one.text);

function given(list: z.infer<typeof texts> | undefined, param: string): string[] {
  if (!list) throw badRequest(`'${param}': is missing, expected a text, or an array of texts.`, param);
  return list.map(written);
}

/** @param paramOf The field that holds the text of a pair, for errors. */
async function scoresOf(
  c: Context,
  context: ServerContext,
  body: z.infer<z.ZodObject<typeof scoringFields>>,
  pairs: readonly Pair[],
  paramOf: (index: number) => string,
): Promise<{ scores: number[]; model: string; tokens: number }> {
  const facts = requestFacts(c);
  using resolved = await context.resolve(body.model, facts.signal);
  const scoring = scoringOf(textsModel(resolved.model), pairs, {
    ...lengthOf(context, body),
    instruction: body.instruction ?? undefined,
    raw: body.use_activation === false,
  });
  const encoded: Encoded[] = [];
  let tokens = 0;
  for (const { pair, encode } of scoring.inputs) {
    facts.signal.throwIfAborted();
    const text = await encodedAs(paramOf(pair), encode());
    tokens += text.ids.length;
    if (tokens > mostTokens) {
      throw badRequest(`'${paramOf(pair)}': the texts so far have more than ${mostTokens} tokens with their queries.`);
    }
    encoded.push(text);
  }
  const results = await computeTexts(context, resolved, facts, encoded, scoring.compute);
  return { scores: scoring.scores(results), model: resolved.id, tokens };
}
