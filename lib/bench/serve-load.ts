// A crowd of clients for a server: most stream answers and compare them with what the same prompt gave alone; some read
// slowly, some leave in the middle, some send what no server should take.
import { mix } from '../train/random.js';

export interface LoadOptions {
  /** Of the server, without `/v1`. */
  url: string;
  model: string;
  seconds: number;
  /** It goes on until there are so many, however long that takes. */
  answers?: number;
  clients: number;
  seed: number;
  apiKey?: string;
}

export interface LoadResult {
  /** Streamed to their end and compared. */
  answers: number;
  /** Answers that differ from what the prompt gives alone. */
  mixed: string[];
  /** Requests that failed though nothing was wrong with them. */
  failures: string[];
  left: number;
  slow: number;
  refused: number;
}

const prompts = ['goats', 'the sea', 'a lost key', 'bread', 'winter', 'a clock', 'rain', 'the moon'];
const badBodies = [
  '',
  '{',
  '[]',
  '{"model": 1}',
  '{"model": "none", "messages": []}',
  `{"messages": ${'['.repeat(500)}`,
];

/** Runs them all; resolves when the last has ended. */
export async function serveLoad(options: LoadOptions): Promise<LoadResult> {
  const result: LoadResult = { answers: 0, mixed: [], failures: [], left: 0, slow: 0, refused: 0 };
  const alone = new Map<string, string>();
  for (const prompt of prompts) {
    alone.set(prompt, await stream(options, prompt, async () => true));
  }
  const end = performance.now() + options.seconds * 1000;
  const { answers = 0 } = options;
  const client = async (index: number): Promise<void> => {
    let drawn = 0;
    const random = (): number => mix(options.seed, index, drawn++) / 2 ** 32;
    while (performance.now() < end || result.answers < answers) {
      const prompt = prompts[Math.floor(random() * prompts.length)]!;
      try {
        await act(options, result, prompt, alone.get(prompt)!, random);
      } catch (error) {
        result.failures.push((error as Error).message);
      }
    }
  };
  await Promise.all(Array.from({ length: options.clients }, (_, index) => client(index)));
  return result;
}

async function act(
  options: LoadOptions,
  result: LoadResult,
  prompt: string,
  expected: string,
  random: () => number,
): Promise<void> {
  const what = random();
  if (what < 0.1) {
    const status = await bad(options, badBodies[Math.floor(random() * badBodies.length)]!);
    if (status < 400 || status >= 500) throw new Error(`a bad body was answered ${status}`);
    result.refused++;
    return;
  }
  if (what < 0.25) {
    let chunks = Math.floor(random() * 20);
    await stream(options, prompt, async () => chunks-- > 0);
    result.left++;
    return;
  }
  const slow = what < 0.35;
  const text = await stream(options, prompt, async () => {
    if (slow) await new Promise((resolve) => setTimeout(resolve, 20 + 40 * random()));
    return true;
  });
  result.answers++;
  if (slow) result.slow++;
  if (text !== expected) result.mixed.push(`${prompt}: ${JSON.stringify(text)}, alone ${JSON.stringify(expected)}`);
}

const headersOf = ({ apiKey }: LoadOptions): Record<string, string> => ({
  'content-type': 'application/json',
  ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}),
});

async function bad(options: LoadOptions, body: string): Promise<number> {
  const url = `${options.url}/v1/chat/completions`;
  const response = await fetch(url, { method: 'POST', headers: headersOf(options), body });
  await response.text();
  return response.status;
}

/** The text of an answer; `goOn` is asked after each chunk, and ends the connection by false. */
async function stream(options: LoadOptions, prompt: string, goOn: () => Promise<boolean>): Promise<string> {
  const response = await fetch(`${options.url}/v1/chat/completions`, {
    method: 'POST',
    headers: headersOf(options),
    body: JSON.stringify({
      model: options.model,
      messages: [{ role: 'user', content: `Tell me about ${prompt}.` }],
      max_tokens: 32,
      temperature: 0,
      stream: true,
    }),
  });
  if (!response.ok || !response.body)
    throw new Error(`a good request was answered ${response.status}: ${await response.text()}`);
  const decoder = new TextDecoder();
  let pending = '';
  let text = '';
  let done = false;
  for await (const bytes of response.body) {
    const events = (pending + decoder.decode(bytes, { stream: true })).split('\n\n');
    pending = events.pop()!;
    for (const event of events) {
      if (!event.startsWith('data: ')) continue;
      if (event === 'data: [DONE]') done = true;
      else text += contentOf(event.slice('data: '.length));
    }
    if (!(await goOn())) return text; // leaving the loop closes the connection
  }
  if (!done) throw new Error(`an answer broke off after ${JSON.stringify(text)}`);
  return text;
}

function contentOf(json: string): string {
  const chunk = JSON.parse(json) as { error?: { message: string }; choices?: { delta: { content?: string } }[] };
  if (chunk.error) throw new Error(`an answer failed on its way: ${chunk.error.message}`);
  return chunk.choices?.[0]?.delta.content ?? '';
}
