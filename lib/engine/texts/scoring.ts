// How relevant texts are to queries: what a model computes of them, and the scores that it makes of that. A reranker reads
// each pair and gives a score; of an embedding model, the vectors of all texts are compared.
import { embedderOf } from '../../models/config.js';
import { WrongKind } from '../../models/kind.js';
import { type Ranker, tokenLogits } from '../../parts/text-head.js';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js';
import type { JobOptions } from '../job.js';
import {
  bareIds,
  type Encoded,
  encodedChat,
  encodedPair,
  encodedQuestion,
  encodedText,
  longestText,
} from './encoded.js';
import type { TextsModel } from './texts-model.js';

export type Pair = readonly [query: string, text: string];

export interface ScoringOptions {
  truncate?: boolean | undefined;
  instruction?: string | undefined;
  raw?: boolean | undefined;
  /** Tokens of a text or a pair, where fewer than the model takes. */
  most?: number | undefined;
}

/** The texts of a call, each to be encoded and computed, and the scores of its pairs. */
export interface Scoring {
  readonly inputs: readonly ScoringInput[];
  compute(encoded: Encoded, options: JobOptions): Promise<ArrayLike<number>>;
  /** @param results Of all inputs, in their order. */
  scores(results: readonly ArrayLike<number>[]): number[];
}

export interface ScoringInput {
  /** The first pair that the text is of. */
  readonly pair: number;
  /** @throws TextTooLong (as a rejection) */
  encode(): Promise<Encoded>;
}

/** @throws WrongKind for a model that makes neither scores nor vectors. */
export function scoringOf(model: TextsModel, pairs: readonly Pair[], options: ScoringOptions): Scoring {
  const ranker = rankerOf(model);
  return ranker ? byReranker(model, ranker, pairs, options) : byVectors(model, pairs, options);
}

function byReranker(
  model: TextsModel,
  ranker: Ranker,
  pairs: readonly Pair[],
  { truncate, instruction, raw = false, most: fewer = Number.POSITIVE_INFINITY }: ScoringOptions,
): Scoring {
  const most = Math.min(longestText(model.config, ranker), model.engine.capacity, fewer);
  const tokenizer = model.tokenizer();
  const { asks, inChat } = ranker;
  // One query of many pairs is encoded once.
  const queries = new Map<string, Promise<number[]>>();
  const encode = async ([query, text]: Pair, index: number): Promise<Encoded> => {
    const rule = { most, truncate, subject: `rank: text ${index} with its query` };
    if (inChat) return encodedChat(tokenizer, [query, text], instruction, rule);
    if (asks) {
      return encodedQuestion(tokenizer, asks, asks.between(query, text, instruction ?? asks.instruction), rule);
    }
    const ids = queries.get(query) ?? bareIds(tokenizer, query, most);
    queries.set(query, ids);
    return encodedPair(tokenizer, await ids, text, rule);
  };
  return {
    inputs: pairs.map((pair, index) => ({ pair: index, encode: () => encode(pair, index) })),
    async compute({ ids, types }, options) {
      const logit = await model.engine.rate(ids, ranker, { ...options, types });
      return [raw || !ranker.sigmoid ? logit : 1 / (1 + Math.exp(-logit))];
    },
    scores: (results) => results.map((result) => result[0]!),
  };
}

/** The reranker that a model is, or can be asked to be; undefined where its vectors are compared instead. */
function rankerOf({ config, tokenizer }: TextsModel): Ranker | undefined {
  const { ranker, embedder, asks, bidirectional } = config;
  if (ranker?.inChat) return questionOf(ranker, tokenizer());
  if (ranker) return ranker.asks === undefined && asks && !bidirectional ? { ...ranker, asks } : ranker;
  if (embedder || bidirectional) return undefined;
  const ids = asks && ['yes', 'no'].map((word) => tokenizer().tokenToId(word));
  const [yes, no] = ids ?? [];
  if (!asks || yes === undefined || no === undefined)
    throw new WrongKind(`rank: this model (${config.modelType}) is no reranker and no embedding model`);
  const layers = [tokenLogits(config.head, yes, no)];
  return { pooling: ['last'], layers, size: 1, sigmoid: true, maxLength: undefined, asks };
}

/** A reranker that is asked in words: by its chat template if that knows the roles, else as its architecture is. */
function questionOf(ranker: Ranker, { chatTemplate = '' }: Tokenizer): Ranker {
  if (/['"]document['"]/.test(chatTemplate)) return ranker;
  if (ranker.asks) return { ...ranker, inChat: false };
  throw new WrongKind("rank: this reranker is asked in words, and its chat template does not know the role 'document'");
}

/** Cosines of the vectors of queries and texts, each behind the model's own prompt for it. */
function byVectors(
  model: TextsModel,
  pairs: readonly Pair[],
  { truncate, most: fewer = Number.POSITIVE_INFINITY }: ScoringOptions,
): Scoring {
  const embedder = embedderOf(model.config);
  const { prompts, defaultPrompt } = embedder;
  const most = Math.min(longestText(model.config, embedder), model.engine.capacity, fewer);
  const tokenizer = model.tokenizer();
  const inputs: ScoringInput[] = [];
  // A text that stands in several pairs is computed once.
  const places = ([['query'], ['document', 'passage']] as const).map((names, side) => {
    const name = names.find((each) => Object.hasOwn(prompts, each)) ?? defaultPrompt;
    const prompt = name === undefined ? '' : prompts[name]!;
    const known = new Map<string, number>();
    for (const [pair, texts] of pairs.entries()) {
      const text = texts[side as 0 | 1];
      if (known.has(text)) continue;
      const subject = `rank: ${side === 0 ? 'the query' : 'the text'} of pair ${pair}`;
      const encode = () => encodedText(tokenizer, text, prompt, embedder, { most, truncate, subject });
      known.set(text, inputs.push({ pair, encode }) - 1);
    }
    return known;
  });
  return {
    inputs,
    compute: ({ ids, ...rest }, options) => model.engine.embed(ids, { ...options, ...rest, normalize: true }),
    scores: (results) =>
      pairs.map(([query, text]) => {
        const [a, b] = [results[places[0]!.get(query)!]!, results[places[1]!.get(text)!]!];
        let sum = 0;
        for (let i = 0; i < a.length; i += 1) sum += a[i]! * b[i]!;
        return sum;
      }),
  };
}
