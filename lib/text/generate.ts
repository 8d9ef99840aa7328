// generate(): the text of one sequence, made of the tokens that the engine chooses.
//
// JavaScript turns each token into text and decides, by stop strings, when to end before the engine does.
import type { Settings } from './options.js';
import { StopStrings } from './stop.js';
import type { Tokenizer } from './tokenizer/tokenizer.js';

export type FinishReason = 'stop' | 'length';

/** A chosen token, with its natural log probability and the likeliest tokens in its place where they were asked for. */
export interface ChosenToken {
  token: number;
  logprob?: number;
  top?: readonly { token: number; logprob: number }[];
}

export interface Piece extends ChosenToken {
  /** Text that is certain by now: empty while a character or a stop string is incomplete. */
  text: string;
}

export interface Generated {
  text: string;
  /** The new tokens, without the end token. */
  tokens: number[];
  finishReason: FinishReason;
  /** The stop string that ended the text. */
  stopString?: string;
  usage: { promptTokens: number; completionTokens: number /** Found in the cache. */; cachedTokens: number };
}

/** The tokens of one sequence, without the end token. Leaving it ends the sequence. */
export interface ChosenTokens extends AsyncGenerator<ChosenToken, FinishReason, void> {
  /** Tokens of the prompt that were found in the cache: known with the first token. */
  readonly cachedTokens: number;
}

export interface Request {
  /** Without one the pieces' texts are empty. */
  tokenizer: Tokenizer | undefined;
  /** Token ids: at least one, and no more than the model's context. */
  prompt: readonly number[];
  settings: Pick<Settings, 'stop' | 'maxNewTokens'> & Partial<Pick<Settings, 'stopTokens' | 'includeStop'>>;
  /** The most tokens that the model's context leaves room for. */
  room: number;
  /** Whether the text goes on where the prompt ended, so that a first space belongs to it. */
  continues: boolean;
  tokens: ChosenTokens;
}

/** Generates one sequence. The request was checked before: see Model.generate. */
export async function* generate(request: Request): AsyncGenerator<Piece, Generated, void> {
  const { tokenizer, prompt, settings, tokens: chosen } = request;
  const most = Math.min(settings.maxNewTokens, request.room);
  const stops = new StopStrings(settings.stop);
  const detokenizer = tokenizer?.stream({ continues: request.continues });
  const flush = (): string => stops.push(detokenizer?.flush() ?? '').emit + stops.flush();
  const tokens: number[] = [];
  let text = '';
  const finished = (finishReason: FinishReason, stopString?: string): Generated => ({
    text,
    tokens,
    finishReason,
    ...(stopString === undefined ? {} : { stopString }),
    usage: { promptTokens: prompt.length, completionTokens: tokens.length, cachedTokens: chosen.cachedTokens },
  });
  try {
    for (;;) {
      const next = await chosen.next();
      if (next.done) {
        const rest = flush();
        text += rest;
        if (rest) yield { text: rest, token: tokens.at(-1)! };
        return finished(next.value);
      }
      const { token } = next.value;
      if (settings.stopTokens?.includes(token)) {
        const rest = flush();
        text += rest;
        if (rest) yield { text: rest, token: tokens.at(-1)! };
        return finished('stop');
      }
      tokens.push(token);
      // No stop string goes on past a control token: whoever reads those gets the text before them first.
      const before = tokenizer?.specialIds.has(token) ? stops.flush() : '';
      const { emit, stopped, matched } = stops.push(detokenizer?.push(token) ?? '');
      // The last token brings all that was held back.
      const rest = !stopped && tokens.length === most ? flush() : '';
      const certain = before + emit + rest + (settings.includeStop ? (matched ?? '') : '');
      text += certain;
      yield { ...next.value, text: certain };
      if (stopped) return finished('stop', matched);
    }
  } finally {
    await chosen.return('stop');
  }
}
