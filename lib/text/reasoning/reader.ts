// Sets the reasoning of an answer apart from the rest while it streams. The rest goes on to another reader.
//
// A beginning of markup is held back until it is certain. White space around the reasoning belongs to the markup.

import type { AnswerEnd, AnswerReader, ToolEvent } from '../calls/answer-reader.js';
import { begunBy } from '../calls/reading.js';
import { type AnswerStart, type ReasoningMarkup, withoutStandIns } from './recognise.js';

export interface ReasoningReaderOptions {
  markup: ReasoningMarkup;
  start: AnswerStart;
  /** Reads the answer behind the reasoning. */
  rest: AnswerReader;
  /** Control tokens that begin calls, and so end reasoning that was left open. */
  callTokens?: ReadonlySet<number>;
}

export class ReasoningReader implements AnswerReader {
  #state: AnswerStart | 'answer';
  #held = '';
  /** Whether reasoning has given out text. */
  #begun = false;
  /** Whether white space is dropped before the answer. */
  #trims = false;
  /** Whether the answer stands in markup of its own. */
  #wrapped = false;
  #tokens = 0;
  /** Tokens of a beginning that is undecided. */
  #undecided = 0;

  constructor(private readonly options: ReasoningReaderOptions) {
    this.#state = options.start;
  }

  get complete(): boolean {
    return this.options.rest.complete;
  }

  get reasoningTokens(): number {
    return this.#tokens + this.options.rest.reasoningTokens;
  }

  push(text: string, token?: number): ToolEvent[] {
    const { markup, rest, callTokens } = this.options;
    if (this.#state === 'answer' && !this.#wrapped) return rest.push(text, token);
    const events: ToolEvent[] = [];
    const before = this.#state;
    const standIn = markup.standIn(token);
    this.#held += text + (standIn ?? '');
    this.#run(events, false);
    const begins = token !== undefined && callTokens?.has(token) === true;
    if (begins && this.#state !== 'answer') this.#begin(events);
    if (token !== undefined) this.#count(before);
    if (this.#state === 'answer' && standIn === undefined && token !== undefined) events.push(...rest.push('', token));
    return events;
  }

  end(how?: AnswerEnd): ToolEvent[] {
    const events: ToolEvent[] = [];
    this.#run(events, true);
    events.push(...this.options.rest.end(how));
    return events;
  }

  #count(before: AnswerStart | 'answer'): void {
    if (before === 'inside' || this.#state === 'inside') this.#tokens += 1 + this.#undecided;
    this.#undecided = this.#state === 'undecided' ? this.#undecided + 1 : 0;
  }

  #run(events: ToolEvent[], ended: boolean): void {
    while (this.#step(events, ended));
  }

  /** One state's work; false where it needs more text. */
  #step(events: ToolEvent[], ended: boolean): boolean {
    switch (this.#state) {
      case 'undecided':
        return this.#decide(ended);
      case 'inside':
        return this.#reason(events, ended);
      case 'behind':
        return this.#leave(ended);
      case 'answer':
        this.#answer(events, ended);
        return false;
    }
  }

  #decide(ended: boolean): boolean {
    const { open } = this.options.markup;
    const text = this.#held.trimStart();
    if (text.startsWith(open)) {
      this.#held = text.slice(open.length);
      this.#state = 'inside';
      return true;
    }
    if (open.startsWith(text) && !ended) return false;
    this.#state = 'behind';
    return true;
  }

  #reason(events: ToolEvent[], ended: boolean): boolean {
    const { open, close } = this.options.markup;
    if (!this.#begun) {
      this.#held = this.#held.trimStart();
      // Some models write the opening although the prompt ends with it.
      if (this.#held.startsWith(open)) this.#held = this.#held.slice(open.length).trimStart();
      else if (open.startsWith(this.#held) && !ended) return false;
    }
    const at = this.#held.indexOf(close);
    const until = at >= 0 ? at : ended ? this.#held.length : this.#held.length - begunBy(this.#held, [close]);
    const certain = this.#held.slice(0, until).trimEnd();
    this.#reasoning(certain, events);
    if (at < 0) {
      this.#held = ended ? '' : this.#held.slice(certain.length);
      if (ended) this.#state = 'answer';
      return false;
    }
    this.#held = this.#held.slice(at + close.length);
    this.#state = 'behind';
    this.#trims = true;
    return true;
  }

  #leave(ended: boolean): boolean {
    const { answerOpen, answerClose } = this.options.markup;
    const text = this.#held.trimStart();
    if (text === '' && !ended && (this.#trims || answerOpen !== '')) return false;
    if (answerOpen !== '' && text.startsWith(answerOpen)) {
      this.#held = text.slice(answerOpen.length);
      this.#wrapped = answerClose !== '';
    } else if (answerOpen !== '' && answerOpen.startsWith(text) && !ended) {
      return false;
    } else if (this.#trims) {
      this.#held = text;
      this.#wrapped = answerOpen === '' && answerClose !== '';
    }
    this.#state = 'answer';
    return true;
  }

  #answer(events: ToolEvent[], ended: boolean): void {
    const { markup, rest } = this.options;
    let text = this.#held;
    this.#held = '';
    if (this.#wrapped) {
      text = text.replaceAll(markup.answerClose, '');
      const held = ended ? 0 : begunBy(text, [markup.answerClose]);
      this.#held = text.slice(text.length - held);
      text = text.slice(0, text.length - held);
    }
    const plain = withoutStandIns(text);
    if (plain !== '') events.push(...rest.push(plain));
  }

  /** Ends reasoning that a call follows without its closing. */
  #begin(events: ToolEvent[]): void {
    const text = this.#held;
    this.#held = '';
    if (this.#state === 'inside') this.#reasoning(text.trimEnd(), events);
    else if (text.trim() !== '') events.push(...this.options.rest.push(withoutStandIns(text)));
    this.#state = 'answer';
  }

  #reasoning(text: string, events: ToolEvent[]): void {
    const plain = withoutStandIns(text);
    if (plain === '') return;
    this.#begun = true;
    events.push({ type: 'reasoning', text: plain });
  }
}
