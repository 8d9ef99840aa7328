// The contract of a reasoning form: the markup by which a family of models sets its reasoning apart from its answer. A form
// is one file beside this one, and one line of the catalogue.

export interface ReasoningForm {
  readonly name: string;
  /** Begins the reasoning, at the start of an answer or at the end of the prompt. */
  readonly open: string;
  readonly close: string;
  /** Markup around the answer that follows, which is left out; the model may end before its `close`. */
  readonly answer?: { readonly open: string; readonly close?: string };
  /** What ends the reasoning before calls, where that is not `close`. */
  readonly closeBeforeCalls?: string;
  /** What ends the reasoning early, where more than `close` must be written before the answer. */
  readonly ending?: string;
  /** The tool dialect of the family reads reasoning itself, because every part of its answers has a header. */
  readonly inDialect?: true;
  /** Whether a model writes its reasoning this way. The first of the catalogue that says so is taken. */
  recognises(model: ReasoningFacts): boolean;
}

/** What a form is recognised by. */
export interface ReasoningFacts {
  /** The model's chat templates. */
  template: string;
  /** Whether the vocabulary has the text as one token. */
  hasToken(text: string): boolean;
}
