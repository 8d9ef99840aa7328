// Constrains an answer behind its reasoning, and ends reasoning that has used up its budget.

import type { TokenMask } from '../mask.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { AnswerStart, ReasoningMarkup } from './recognise.js';

export interface ReasoningMaskOptions {
  markup: ReasoningMarkup;
  start: AnswerStart;
  /** Tokens that end a turn: reasoning cannot end an answer that is constrained. */
  endIds: readonly number[];
  /** The most tokens of reasoning. */
  budget?: number;
  /** Whether the answer must be calls. */
  forced?: boolean;
  /** The answer's own mask; without one the answer is free. */
  rest?: TokenMask;
}

/**
 * The mask of an answer that may begin with reasoning. Undefined where its markup is no sequence of whole tokens, so that
 * its end cannot be seen among tokens.
 */
export function reasoningMask(options: ReasoningMaskOptions): TokenMask | undefined {
  const { tokenizer, form } = options.markup;
  const closing = (options.forced ? form.closeBeforeCalls : undefined) ?? form.close;
  const [open, close] = [markIds(tokenizer, form.open), markIds(tokenizer, closing)];
  if (!open || !close) return undefined;
  const ending = options.forced || form.ending === undefined ? undefined : markIds(tokenizer, form.ending);
  return new ReasoningMask(options, { open, close, ending: ending ?? close });
}

interface MarkIds {
  open: readonly number[];
  close: readonly number[];
  ending: readonly number[];
}

/** The tokens of a marker; undefined where none of them is a token for markup alone. */
function markIds(tokenizer: Tokenizer, text: string): number[] | undefined {
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  return ids.length > 0 && ids.some((id) => tokenizer.addedIds.has(id)) ? ids : undefined;
}

class ReasoningMask implements TokenMask {
  #state: 'undecided' | 'inside' | 'ending' | 'behind' | 'answer';
  /** The last tokens, as many as the longest marker has. */
  #last: number[] = [];
  #spent = 0;
  /** How much of the ending is written. */
  #ended = 0;
  readonly #allowed: Uint8Array;
  readonly #blanks: readonly number[];

  constructor(
    private readonly options: ReasoningMaskOptions,
    private readonly ids: MarkIds,
  ) {
    this.#state = options.start;
    const { tokenizer } = options.markup;
    this.#allowed = new Uint8Array(tokenizer.vocabSize);
    this.#blanks = ['\n', '\n\n'].flatMap((text) => {
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      return ids.length === 1 ? ids : [];
    });
  }

  /** What is left to write of reasoning that ends early. */
  get #ending(): readonly number[] {
    return this.#spent === 0 ? this.ids.close : this.ids.ending;
  }

  get done(): boolean {
    return this.#state !== 'inside' && this.#state !== 'ending' && this.options.rest?.done === true;
  }

  allowed(): Uint8Array {
    const { rest, endIds, budget } = this.options;
    const { open } = this.ids;
    if (this.#state === 'inside' && budget !== undefined && this.#spent >= budget) this.#state = 'ending';
    const mask = this.#allowed;
    if (this.#state === 'ending') {
      mask.fill(0);
      mask[this.#ending[this.#ended]!] = 1;
      return mask;
    }
    if (this.#state === 'inside') {
      mask.fill(1);
      if (rest) for (const id of endIds) mask[id] = 0;
      return mask;
    }
    if (this.#state === 'undecided' && this.#last.length > 0) {
      mask.fill(0);
      mask[open[this.#last.length]!] = 1;
      return mask;
    }
    if (!rest) return mask.fill(1);
    if (this.#state === 'answer') return rest.allowed();
    mask.set(rest.allowed());
    // Reasoning may come before the answer, and line feeds between the two.
    if (this.#state === 'undecided') mask[open[0]!] = 1;
    for (const blank of this.#blanks) mask[blank] = 1;
    return mask;
  }

  accept(token: number): void {
    const { rest } = this.options;
    switch (this.#state) {
      case 'undecided':
        this.#decide(token);
        break;
      case 'inside':
        this.#spent += 1;
        this.#last = [...this.#last, token].slice(-this.ids.close.length);
        if (endsWith(this.#last, this.ids.close)) this.#state = 'behind';
        break;
      case 'ending':
        this.#ended += 1;
        if (this.#ended === this.#ending.length) this.#state = 'behind';
        break;
      case 'behind':
        if (this.#blanks.includes(token) && rest?.allowed()[token] !== 1) break;
        this.#state = 'answer';
        rest?.accept(token);
        break;
      case 'answer':
        rest?.accept(token);
        break;
    }
  }

  #decide(token: number): void {
    const { open } = this.ids;
    const { rest } = this.options;
    if (token === open[this.#last.length]) {
      this.#last.push(token);
      if (this.#last.length < open.length) return;
      this.#last = [];
      this.#state = 'inside';
      return;
    }
    if (this.#last.length === 0 && this.#blanks.includes(token) && rest?.allowed()[token] !== 1) return;
    this.#state = 'answer';
    rest?.accept(token);
  }
}

function endsWith(tokens: readonly number[], end: readonly number[]): boolean {
  return tokens.length >= end.length && end.every((id, at) => tokens[tokens.length - end.length + at] === id);
}
