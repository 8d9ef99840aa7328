// A fetch that checks what comes back, as it is on the wire: JSON bodies and the events of streams, whatever address of
// OpenAI's they answer, against the specification, where that is there.
import type OpenAI from 'openai';
import { answerSchema, expectValid } from './specification.js';

export function checking(plain: typeof fetch): typeof fetch {
  return async (input, init) => {
    const response = await plain(input, init);
    const { pathname } = new URL(input instanceof Request ? input.url : input);
    const [type = ''] = (response.headers.get('content-type') ?? '').split(';');
    const method = init?.method ?? 'GET';
    const path = pathname.replace(/^\/v1/, '');
    const answer = answerSchema(method, path, type) ?? eventsOf(answerSchema(method, path, 'application/json'), type);
    if (answer === undefined) return response;
    if (type === 'application/json') {
      expectAnswer(response.ok ? answer : 'ErrorResponse', await response.clone().json());
      return response;
    }
    return new Response(response.body!.pipeThrough(checkedEvents(answer)), response);
  };
}

/** Completions have one shape for whole answers and events. */
const eventsOf = (schema: string | undefined, type: string): string | undefined =>
  schema === 'CreateCompletionResponse' && type === 'text/event-stream' ? schema : undefined;

function checkedEvents(schema: string): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder();
  let text = '';
  return new TransformStream({
    transform(chunk, controller) {
      text += decoder.decode(chunk, { stream: true });
      const events = text.split('\n\n');
      text = events.pop()!;
      for (const event of events) {
        if (!event.startsWith('data: {')) continue;
        const body = JSON.parse(event.slice('data: '.length)) as object;
        expectAnswer('error' in body ? 'ErrorResponse' : schema, body);
      }
      controller.enqueue(chunk);
    },
  });
}

function expectAnswer(schema: string, body: unknown): void {
  if (schema === 'CreateCompletionResponse') expectValid(schema, completed(body as OpenAI.Completion));
  else if (schema === 'CreateEmbeddingResponse') expectValid(schema, decoded(body as Embedded));
  else if (schema === 'OpenAIFile') expectValid(schema, purposed(body as Purposed));
  else if (schema === 'ListFilesResponse') {
    const { data, ...rest } = body as { data: Purposed[] };
    expectValid(schema, { ...rest, data: data.map(purposed) });
  } else expectValid(schema, body);
}

interface Purposed {
  purpose: string;
}

/** The specification takes files for `evals`, and leaves the word out of what it answers. */
const purposed = (file: Purposed): Purposed => (file.purpose === 'evals' ? { ...file, purpose: 'user_data' } : file);

/** Without the nulls that OpenAI sends and its specification leaves out: in events, and for a prompt's first token. */
function completed({ usage, ...body }: OpenAI.Completion): object {
  const choices = body.choices.map(({ finish_reason, logprobs, ...choice }) => ({
    ...choice,
    finish_reason: finish_reason ?? 'stop',
    logprobs: logprobs && {
      ...logprobs,
      token_logprobs: logprobs.token_logprobs?.map((logprob) => logprob ?? 0),
      top_logprobs: logprobs.top_logprobs?.map((top) => top ?? {}),
    },
  }));
  return { ...body, choices, ...(usage ? { usage } : {}) };
}

interface Embedded {
  data: { embedding: number[] | string }[];
}

/** The specification has no base64, which the official client asks for. */
function decoded({ data, ...body }: Embedded): object {
  const numbers = (base64: string): number[] => {
    const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
    return [...new Float32Array(bytes.buffer)];
  };
  const vectors = data.map(({ embedding, ...entry }) => ({
    ...entry,
    embedding: typeof embedding === 'string' ? numbers(embedding) : embedding,
  }));
  return { ...body, data: vectors };
}
