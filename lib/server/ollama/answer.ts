// An answer as Ollama's clients read it: a line of JSON for each piece, calls whole, and figures in the last line.
import type { ToolEvent } from '../../text/calls/answer-reader.js';
import { argumentsObject } from '../openai/answers.js';
import type { ChatRun } from '../openai/chat-run.js';

interface Call {
  id: string;
  name: string;
  text: string;
}

/** What one line says. */
export interface Said {
  content: string;
  thinking: string;
  calls: Call[];
}

export class OllamaAnswer {
  readonly #begun = performance.now();
  #first: number | undefined;
  /** A call that is not whole yet. */
  #call: Call | undefined;

  constructor(
    private readonly model: string,
    private readonly run: ChatRun,
    /** What a piece is called: a message, or a response. */
    private readonly write: (said: Said) => object,
  ) {}

  async *lines(): AsyncGenerator<object, void, void> {
    for await (const { events, end } of this.run) {
      this.#first ??= performance.now();
      const said = this.#said(events, end !== undefined);
      const isEmpty = said.content === '' && said.thinking === '' && said.calls.length === 0;
      if (!isEmpty) yield { ...this.#head(), ...this.write(said), done: false };
    }
    yield { ...this.#head(), ...this.write({ content: '', thinking: '', calls: [] }), ...this.#end() };
  }

  async whole(): Promise<object> {
    const all: Said = { content: '', thinking: '', calls: [] };
    for await (const { events, end } of this.run) {
      this.#first ??= performance.now();
      const { content, thinking, calls } = this.#said(events, end !== undefined);
      all.content += content;
      all.thinking += thinking;
      all.calls.push(...calls);
    }
    return { ...this.#head(), ...this.write(all), ...this.#end() };
  }

  #said(events: readonly ToolEvent[], ended: boolean): Said {
    const said: Said = { content: '', thinking: '', calls: [] };
    const close = (): void => {
      if (this.#call) said.calls.push(this.#call);
      this.#call = undefined;
    };
    for (const event of events) {
      if (event.type === 'arguments') {
        if (this.#call) this.#call.text += event.text;
        continue;
      }
      close();
      if (event.type === 'call') this.#call = { id: event.id, name: event.name, text: '' };
      else if (event.type === 'text') said.content += event.text;
      else said.thinking += event.text;
    }
    if (ended) close();
    return said;
  }

  #head() {
    return { model: this.model, created_at: new Date().toISOString() };
  }

  #end() {
    const now = performance.now();
    const first = this.#first ?? now;
    const { prompt_tokens: prompt, completion_tokens: completion } = this.run.usage();
    return {
      done: true,
      done_reason: this.run.finishReason(0) === 'length' ? 'length' : 'stop',
      total_duration: nanoseconds(now - this.#begun),
      load_duration: 0,
      prompt_eval_count: prompt,
      prompt_eval_duration: nanoseconds(first - this.#begun),
      eval_count: completion,
      eval_duration: nanoseconds(now - first),
    };
  }
}

const nanoseconds = (milliseconds: number): number => Math.round(milliseconds * 1e6);

export const asMessage = ({ content, thinking, calls }: Said): object => ({
  message: {
    role: 'assistant',
    content,
    ...(thinking === '' ? {} : { thinking }),
    ...(calls.length === 0
      ? {}
      : {
          tool_calls: calls.map(({ id, name, text }, index) => ({
            id,
            function: { index, name, arguments: argumentsObject(text) },
          })),
        }),
  },
});

export const asResponse = ({ content, thinking }: Said): object => ({
  response: content,
  ...(thinking === '' ? {} : { thinking }),
});
