// Times a server as its clients see it: streams over HTTP, one and several at a time, and node-llama-cpp beside it where
// it is installed. All answers have the same length, whatever the model would like to say.
import { cpuInfo } from '../core/device.js';
import type { Model } from '../model.js';
import { createServer } from '../server/index.js';
import { type Repeats, repeat, type Spread, seconds } from './measure.js';

export interface StreamShape {
  /** At a time. */
  streams: number;
  /** New tokens of each. */
  tokens: number;
}

/** Each its own, so that no stream profits from another's cached prompt. */
const promptOf = (run: number, stream: number): string =>
  `Letter ${run}.${stream}: a traveller writes home about the mountains, the weather and the people there.`;

/** New tokens per second of all streams together, prompts included in the time. */
export async function timeServer(model: Model, shapes: readonly StreamShape[], repeats: Repeats): Promise<Spread[]> {
  const server = createServer({ models: [{ id: 'bench', model }], logger: false });
  try {
    const { url } = await server.listen({ port: 0 });
    let run = 0;
    const results: Spread[] = [];
    for (const shape of shapes) {
      results.push(
        await repeat(repeats, () => {
          run++;
          return rate(shape, (stream) => streamTokens(url, promptOf(run, stream), shape.tokens, repeats.signal));
        }),
      );
    }
    return results;
  } finally {
    await server.close({ drainSeconds: 1 });
  }
}

async function rate({ streams }: StreamShape, one: (stream: number) => Promise<number>): Promise<number> {
  let tokens = 0;
  const taken = await seconds(async () => {
    const counts = await Promise.all(Array.from({ length: streams }, (_, stream) => one(stream)));
    tokens = counts.reduce((sum, count) => sum + count, 0);
  });
  return tokens / taken;
}

/** Reads one answer to its end and gives the number of tokens that the server counted. */
async function streamTokens(
  url: string,
  prompt: string,
  tokens: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'bench',
      prompt,
      max_tokens: tokens,
      temperature: 0,
      ignore_eos: true,
      stream: true,
      stream_options: { include_usage: true },
    }),
    ...(signal ? { signal } : {}),
  });
  const text = await response.text();
  const events = text.trim().split('\n\n');
  if (!response.ok || events.at(-1) !== 'data: [DONE]')
    throw new Error(`bench serve: the server answered ${text.slice(-300)}`);
  const { usage } = JSON.parse(events.at(-2)!.slice('data: '.length)) as { usage: { completion_tokens: number } };
  return usage.completion_tokens;
}

/** The part of node-llama-cpp 3 that is used. */
interface LlamaCpp {
  getLlama(options: { gpu: false }): Promise<{
    loadModel(options: { modelPath: string }): Promise<{
      tokenize(text: string): number[];
      createContext(options: { sequences: number; contextSize: number; threads: number }): Promise<{
        getSequence(): {
          evaluate(
            tokens: number[],
            options: { temperature: number; yieldEogToken: boolean },
          ): AsyncGenerator<number, void, void>;
        };
        dispose(): Promise<void>;
      }>;
      dispose(): Promise<void>;
    }>;
  }>;
}

/**
 * Undefined where node-llama-cpp is not installed. It takes GGUF files only, computes on the CPU here, and is called
 * without HTTP. Its sequences share its own batches; like ours they go on after the token that would end the answer.
 */
export async function timeLlamaCpp(
  path: string,
  shapes: readonly StreamShape[],
  repeats: Repeats,
): Promise<Spread[] | undefined> {
  const found = await installed();
  if (!found) return undefined;
  const llama = await found.getLlama({ gpu: false });
  // As many as ours: its own default may exceed the cores, and its threads spin while they wait for each other.
  const { threads } = cpuInfo();
  const model = await llama.loadModel({ modelPath: path });
  const results: Spread[] = [];
  for (const shape of shapes) {
    let run = 0;
    results.push(
      await repeat(repeats, async () => {
        run++;
        const prompts = Array.from({ length: shape.streams }, (_, stream) => model.tokenize(promptOf(run, stream)));
        const contextSize = shape.tokens + Math.max(...prompts.map(({ length }) => length)) + 1;
        const context = await model.createContext({ sequences: shape.streams, contextSize, threads });
        try {
          return await rate(shape, async (stream) => {
            const answer = context.getSequence().evaluate(prompts[stream]!, { temperature: 0, yieldEogToken: true });
            let count = 0;
            for await (const _ of answer) {
              repeats.signal?.throwIfAborted();
              if (++count === shape.tokens) break;
            }
            return count;
          });
        } finally {
          await context.dispose();
        }
      }),
    );
  }
  await model.dispose();
  return results;
}

async function installed(): Promise<LlamaCpp | undefined> {
  const name = 'node-llama-cpp'; // in a variable, so that the compiler does not look for its types
  try {
    return (await import(name)) as LlamaCpp;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}
