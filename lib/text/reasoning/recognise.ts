// Which reasoning form a model has, seen from its chat templates and its vocabulary; and its markup in that vocabulary.

import { perTokenizer } from '../chat/probe.js';
import type { Tokenizer } from '../tokenizer/tokenizer.js';
import type { ReasoningForm } from './forms/form.js';
import { reasoningForms } from './forms/index.js';

/** The markup of a model's reasoning; undefined where the model has none. */
export const reasoningOf = perTokenizer((tokenizer): ReasoningMarkup | undefined => {
  const template = tokenizer.templateTexts.join('\n');
  const hasToken = (text: string): boolean => tokenizer.tokenToId(text) !== undefined;
  const form = template === '' ? undefined : reasoningForms.find((one) => one.recognises({ template, hasToken }));
  return form && new ReasoningMarkup(form, tokenizer);
});

/** Noncharacters of Unicode that stand for control tokens, which have no text in an answer. */
const firstStandIn = 0xfde0;
const standIns = /[\ufde0-\ufdef]/g;

/** Where an answer begins: within reasoning, behind it, or where its first words decide. */
export type AnswerStart = 'inside' | 'behind' | 'undecided';

/** A form's markup as texts in which a noncharacter stands for each control token. */
export class ReasoningMarkup {
  readonly open: string;
  readonly close: string;
  readonly answerOpen: string;
  readonly answerClose: string;
  /** By control token. */
  readonly #standIns = new Map<number, string>();

  constructor(
    readonly form: ReasoningForm,
    readonly tokenizer: Tokenizer,
  ) {
    const { open, close, answer } = form;
    const texts = [open, close, answer?.open ?? '', answer?.close ?? ''];
    const controls: [text: string, standIn: string][] = [];
    for (const id of tokenizer.specialIds) {
      const text = tokenizer.idToToken(id);
      if (!text || !texts.some((one) => one.includes(text))) continue;
      const standIn = String.fromCharCode(firstStandIn + controls.length);
      controls.push([text, standIn]);
      this.#standIns.set(id, standIn);
    }
    const written = (text: string): string =>
      controls.reduce((result, [control, standIn]) => result.replaceAll(control, standIn), text);
    [this.open, this.close, this.answerOpen, this.answerClose] = texts.map(written) as [string, string, string, string];
  }

  /** A control token of the markup as `open` and the others have it; undefined for another token. */
  standIn(token: number | undefined): string | undefined {
    return token === undefined ? undefined : this.#standIns.get(token);
  }

  /**
   * Where an answer to `prompt`, a rendered conversation, begins. `continued` is the text of an answer that goes on at the
   * prompt's end.
   */
  start(prompt: string, continued?: string): AnswerStart {
    const { open, close } = this.form;
    if (continued !== undefined) {
      return continued.lastIndexOf(open) > continued.lastIndexOf(close) ? 'inside' : 'behind';
    }
    const end = prompt.trimEnd();
    if (end.endsWith(open.trimEnd())) return 'inside';
    return end.endsWith(close) ? 'behind' : 'undecided';
  }
}

export const withoutStandIns = (text: string): string => text.replace(standIns, '');
