// Times what a whole model does: reading a prompt, decoding, a training step of LoRA.
import { seeded } from '../check/case.js';
import { Engine } from '../engine/engine.js';
import type { Decoder } from '../models/decoder.js';
import { type GenerationDefaults, settingsOf } from '../text/options.js';
import { finetune } from '../train/finetune.js';
import { type Repeats, repeat, type Spread, spread } from './measure.js';

const greedy: GenerationDefaults = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, endIds: [] };

export function randomIds(vocabSize: number, length: number, seed: number): number[] {
  const random = seeded(seed);
  return Array.from({ length }, () => Math.floor(random() * vocabSize));
}

/**
 * Runs one greedy generation; milliseconds to the first token and to the last.
 *
 * @throws RangeError if the model's context, or the memory for it, has no room for so many tokens after the prompt; Error
 *   if fewer tokens came.
 */
async function timeGeneration(
  decoder: Decoder,
  prompt: readonly number[],
  tokens: number,
  signal: AbortSignal,
): Promise<{ first: number; last: number }> {
  const sampling = settingsOf({}, greedy);
  const engine = new Engine(decoder);
  try {
    if (prompt.length + tokens > engine.capacity) {
      const sizes = `a prompt of ${prompt.length} tokens and ${tokens} new ones`;
      throw new RangeError(`bench: ${sizes} do not fit into ${engine.capacity} tokens, all that one sequence may have`);
    }
    const started = performance.now();
    const times: number[] = [];
    for await (const _ of engine.submit({ prompt, sampling, maxNewTokens: tokens, endIds: [], signal }))
      times.push(performance.now() - started);
    if (times.length !== tokens) throw new Error(`bench: ${tokens} tokens were asked for, and ${times.length} came`);
    return { first: times[0]!, last: times.at(-1)! };
  } finally {
    await engine.dispose();
  }
}

/** New tokens per second after a prompt, for one sequence; the first waits for the prompt and does not count. */
export function timeDecode(
  decoder: Decoder,
  options: Repeats & { promptTokens: number; tokens: number },
): Promise<Spread> {
  const signal = options.signal ?? new AbortController().signal;
  const prompt = randomIds(decoder.config.vocabSize, options.promptTokens, 1);
  return repeat(options, async () => {
    const { first, last } = await timeGeneration(decoder, prompt, options.tokens, signal);
    return (1000 * (options.tokens - 1)) / (last - first);
  });
}

/** Prompt tokens per second, up to and including the first new token. */
export function timePrefill(decoder: Decoder, options: Repeats & { tokens: number }): Promise<Spread> {
  const signal = options.signal ?? new AbortController().signal;
  const prompt = randomIds(decoder.config.vocabSize, options.tokens, 1);
  return repeat(options, async () => {
    const { first } = await timeGeneration(decoder, prompt, 1, signal);
    return (1000 * options.tokens) / first;
  });
}

export interface LoraTiming extends Repeats {
  rows: number;
  seqLength: number;
  rank: number;
  checkpointing: boolean;
}

/** Tokens per second of whole training steps: forward, backward, clip and optimizer, every linear layer targeted. */
export async function timeLora(decoder: Decoder, options: LoraTiming): Promise<Spread> {
  const { rows, seqLength, rank, repeats, warmup, signal } = options;
  const steps = warmup + repeats;
  const data = Array.from({ length: rows * steps }, (_, i) => {
    const ids = randomIds(decoder.config.vocabSize, seqLength, i + 1);
    return { input_ids: ids, labels: ids };
  });
  const run = finetune(decoder, undefined, {
    data,
    steps,
    batchSize: rows,
    seqLength,
    shuffle: false,
    lora: { r: rank },
    gradientCheckpointing: options.checkpointing,
    ...(signal ? { signal } : {}),
  });
  const values: number[] = [];
  let before = performance.now();
  for await (const _ of run) {
    const now = performance.now();
    values.push((1000 * rows * seqLength) / (now - before));
    before = now;
  }
  (await run).dispose();
  return spread(values.slice(warmup));
}
