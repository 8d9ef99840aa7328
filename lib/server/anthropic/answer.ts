// An answer as Anthropic's Messages have it: blocks of thinking, text and tool use, whole or as a stream of events.
import { newId } from '../ids.js';
import { argumentsObject, type Usage } from '../openai/answers.js';
import type { ChatRun } from '../openai/chat-run.js';

type ContentBlock =
  | { type: 'thinking'; thinking: string; signature: string }
  | { type: 'text'; text: string; citations: null }
  | { type: 'tool_use'; id: string; name: string; input: unknown };

interface Open {
  index: number;
  type: ContentBlock['type'];
}

/** Any text serves: what a conversation brings back is read, and no signature is checked. */
const signature = (): string => newId('sig_');

export class MessageAnswer {
  readonly #id = newId('msg_');

  constructor(
    private readonly model: string,
    private readonly run: ChatRun,
    /** Whether the text of thinking is left out. */
    private readonly hidesThinking: boolean,
  ) {}

  async whole(): Promise<object> {
    const content: ContentBlock[] = [];
    let written = '';
    for await (const event of this.#events()) {
      const last = content.at(-1);
      if (event.type === 'content_block_start') {
        content.push({ ...event.content_block });
        written = '';
      } else if (event.type === 'content_block_stop') {
        if (last?.type === 'tool_use') last.input = argumentsObject(written);
      } else {
        const { delta } = event;
        if (delta.type === 'text_delta' && last?.type === 'text') last.text += delta.text;
        else if (delta.type === 'thinking_delta' && last?.type === 'thinking') last.thinking += delta.thinking;
        else if (delta.type === 'signature_delta' && last?.type === 'thinking') last.signature = delta.signature;
        else if (delta.type === 'input_json_delta') written += delta.partial_json;
      }
    }
    return { ...this.#head(), content, ...this.#end(), usage: usageOf(this.run.usage()) };
  }

  async *stream(): AsyncGenerator<object, void, void> {
    const begun = { input_tokens: this.run.promptTokens, output_tokens: 0 };
    const usage = { ...begun, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
    const message = { ...this.#head(), content: [], stop_reason: null, stop_sequence: null, usage };
    yield { type: 'message_start', message };
    yield* this.#events();
    yield { type: 'message_delta', delta: this.#end(), usage: usageOf(this.run.usage()) };
    yield { type: 'message_stop' };
  }

  /** The events of blocks. Blocks follow each other. */
  async *#events(): AsyncGenerator<BlockEvent, void, void> {
    let open: Open | undefined;
    let count = 0;
    const close = function* (): Generator<BlockEvent> {
      if (!open) return;
      if (open.type === 'thinking') yield changed(open.index, { type: 'signature_delta', signature: signature() });
      yield { type: 'content_block_stop', index: open.index };
      open = undefined;
    };
    for await (const { events } of this.run) {
      for (const event of events) {
        if (event.type === 'call') {
          yield* close();
          open = { index: count++, type: 'tool_use' };
          const id = event.id.replace(/^call_/, 'toolu_');
          yield started(open.index, { type: 'tool_use', id, name: event.name, input: {} });
        } else if (event.type === 'arguments') {
          if (open) yield changed(open.index, { type: 'input_json_delta', partial_json: event.text });
        } else {
          const type = event.type === 'reasoning' ? 'thinking' : 'text';
          if (open?.type !== type) {
            yield* close();
            open = { index: count++, type };
            yield started(
              open.index,
              type === 'text' ? { type, text: '', citations: null } : { type, thinking: '', signature: '' },
            );
          }
          if (type === 'text') yield changed(open.index, { type: 'text_delta', text: event.text });
          else if (!this.hidesThinking) yield changed(open.index, { type: 'thinking_delta', thinking: event.text });
        }
      }
    }
    yield* close();
  }

  #head() {
    return { id: this.#id, type: 'message', role: 'assistant', model: this.model };
  }

  #end() {
    const finish = this.run.finishReason(0);
    const stop = this.run.stopString(0);
    const reasons = { stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use' } as const;
    return {
      stop_reason: stop !== undefined && finish === 'stop' ? 'stop_sequence' : reasons[finish],
      stop_sequence: stop ?? null,
    };
  }
}

type Delta =
  | { type: 'text_delta'; text: string }
  | { type: 'thinking_delta'; thinking: string }
  | { type: 'signature_delta'; signature: string }
  | { type: 'input_json_delta'; partial_json: string };

interface Started {
  type: 'content_block_start';
  index: number;
  content_block: ContentBlock;
}

interface Changed {
  type: 'content_block_delta';
  index: number;
  delta: Delta;
}

type BlockEvent = Started | Changed | { type: 'content_block_stop'; index: number };

const started = (index: number, block: ContentBlock): Started => ({
  type: 'content_block_start',
  index,
  content_block: block,
});

const changed = (index: number, delta: Delta): Changed => ({ type: 'content_block_delta', index, delta });

/** Cached tokens are not among `input_tokens`. */
function usageOf({ prompt_tokens: prompt, completion_tokens: output, ...details }: Usage) {
  const cached = details.prompt_tokens_details.cached_tokens;
  return {
    input_tokens: prompt - cached,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
    output_tokens: output,
    output_tokens_details: { thinking_tokens: details.completion_tokens_details.reasoning_tokens },
    service_tier: 'standard',
  };
}
