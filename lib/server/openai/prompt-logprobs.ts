// Log probabilities of prompts' own tokens, each after those before it: what `echo` with `logprobs` asks for, as
// evaluation harnesses do.
import type { Logprobs } from '../../engine/logits.js';
import { ownTurn } from '../../flow/pause.js';
import type { Model } from '../../model.js';
import type { Piece } from '../../text/generate.js';
import type { ServerContext } from '../context.js';
import type { Resolved } from '../served.js';
import type { RequestFacts } from './generation.js';
import type { ScoredText } from './logprobs.js';
import { mapTexts } from './map-texts.js';

// Tokens whose texts are found in one turn of the event loop.
const together = 1024;

/** Those of each prompt, with the `top` likeliest tokens in the place of each. */
export function promptLogprobs(
  context: ServerContext,
  { model, adapter }: Resolved,
  facts: RequestFacts,
  prompts: readonly (readonly number[])[],
  top: number,
): Promise<ScoredText[]> {
  const { client } = facts;
  return mapTexts(context, model, facts, prompts, async (ids, signal) =>
    scored(model, ids, await model.engine.score(ids, { adapter, client, signal, top })),
  );
}

/** `scores` are those of all tokens but the first, of which nothing is known. */
async function scored(model: Model, ids: readonly number[], scores: readonly Logprobs[]): Promise<ScoredText> {
  const stream = model.hasTokenizer ? model.tokenizer.stream() : undefined;
  const text = (token: number): string => stream?.push(token) ?? '';
  const first = { token: ids[0]!, text: text(ids[0]!) };
  const pieces: Piece[] = [];
  for (const [i, score] of scores.entries()) {
    if (i % together === 0) await ownTurn();
    const token = ids[i + 1]!;
    pieces.push({ token, text: text(token), ...score });
  }
  return { first, pieces };
}
