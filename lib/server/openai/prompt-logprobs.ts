// Log probabilities of prompts' own tokens, each after those before it: what `echo` with `logprobs` asks for, as
// evaluation harnesses do.
import type { Logprobs } from '../../engine/logits.js';
import { ownTurn } from '../../flow/pause.js';
import type { Model } from '../../model.js';
import type { ServerContext } from '../context.js';
import type { Resolved } from '../served.js';
import type { RequestFacts } from './generation.js';
import { type CompletionLogprobs, completionLogprobs, joined } from './logprobs.js';
import { mapTexts } from './map-texts.js';

// Tokens that are written out in one turn of the event loop, each with its likeliest others.
const together = 256;

/** Those of each prompt, with the `top` likeliest tokens in the place of each. */
export function promptLogprobs(
  context: ServerContext,
  { model, adapter }: Resolved,
  facts: RequestFacts,
  prompts: readonly (readonly number[])[],
  top: number,
): Promise<CompletionLogprobs[]> {
  const { client } = facts;
  return mapTexts(context, model, facts, prompts, async (ids, signal) =>
    written(model, ids, await model.engine.score(ids, { adapter, client, signal, top })),
  );
}

/** `scores` are those of all tokens but the first, of which nothing is known: null. */
async function written(model: Model, ids: readonly number[], scores: readonly Logprobs[]): Promise<CompletionLogprobs> {
  const tokenizer = model.hasTokenizer ? model.tokenizer : undefined;
  const stream = tokenizer?.stream();
  const text = (token: number): string => stream?.push(token) ?? '';
  const first = { token: ids[0]!, text: text(ids[0]!) };
  const parts = [completionLogprobs(tokenizer, [], 0, first)];
  let offset = first.text.length;
  for (let from = 0; from < scores.length; from += together) {
    await ownTurn();
    const pieces = scores.slice(from, from + together).map((score, i) => {
      const token = ids[1 + from + i]!;
      return { token, text: text(token), ...score };
    });
    parts.push(completionLogprobs(tokenizer, pieces, offset));
    for (const piece of pieces) offset += piece.text.length;
  }
  return joined(parts);
}
