// SmolLM2-135M-Instruct from its GGUF file against what transformers gives on the same dequantised weights.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors, type Safetensors } from '../../lib/files/safetensors.js';
import { loadModel, type Model } from '../../lib/model.js';
import type { ChatMessage } from '../../lib/text/template.js';
import { argmax, hasShared, shared, sharedJson } from '../shared.js';

interface Expected {
  chats: { messages: ChatMessage[]; prompt: string; prompt_ids: number[]; greedy: number[]; text: string }[];
  tokenizer: { text: string; ids: number[] }[];
  perplexity: { ids: number[]; mean_nll: number; argmax: number[]; kl_positions: number[] };
}

const name = 'smollm2-135m-instruct';
const file = shared(name, 'SmolLM2-135M-Instruct.Q4_1.gguf');
const there = hasShared(name);

/** Natural logarithms of a row's probabilities, in double precision. */
function logProbabilities(row: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(row);
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const total = Math.log(values.reduce((sum, x) => sum + Math.exp(x - most), 0)) + most;
  return values.map((x) => x - total);
}

describe.skipIf(!there)('SmolLM2-135M-Instruct', () => {
  let expected: Expected;
  let logits: Safetensors;
  let model: Model;

  beforeAll(async () => {
    expected = sharedJson<Expected>(name, 'expected.json');
    logits = openSafetensors(shared(name, 'expected.safetensors'));
    model = await loadModel(file, { dtype: 'f32' });
  });
  afterAll(() => {
    model?.dispose();
    logits?.close();
  });

  it('tokenises all 20 rows as recorded', () => {
    expect(expected.tokenizer).toHaveLength(20);
    for (const { text, ids } of expected.tokenizer) expect(model.tokenizer.encode(text), text).toEqual(ids);
  });

  it('renders all 8 chats as recorded', () => {
    expect(expected.chats).toHaveLength(8);
    for (const { messages, prompt, prompt_ids: ids } of expected.chats) {
      expect(model.tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true })).toBe(prompt);
      expect(model.tokenizer.encode(prompt, { addSpecialTokens: false })).toEqual(ids);
    }
  });

  it('answers all 8 chats with the recorded greedy tokens', async () => {
    for (const { messages, greedy } of expected.chats) {
      const { tokens, finishReason } = await model.chat(messages, { temperature: 0, maxNewTokens: greedy.length });
      const ended = greedy.at(-1) === 2; // <|im_end|> is recorded, and is not part of our tokens
      expect(tokens).toEqual(ended ? greedy.slice(0, -1) : greedy);
      expect(finishReason).toBe(ended ? 'stop' : 'length');
    }
  });

  it('gives the last logits of each prompt within 1e-3', async () => {
    const want = await logits.tensor('last_logits').data();
    const vocab = model.decoder.config.vocabSize;
    for (const [i, { prompt_ids: ids }] of expected.chats.entries()) {
      using got = model.forward(ids);
      const last = (await got.data()).subarray((ids.length - 1) * vocab);
      let worst = 0;
      for (let n = 0; n < vocab; n++) {
        const error = Math.abs(last[n]! - want[i * vocab + n]!);
        if (!(error <= worst)) worst = error;
      }
      expect(worst).toBeLessThanOrEqual(1e-3);
    }
  });

  async function perplexity(of: Model): Promise<{ nll: number; agreement: number; kl: number }> {
    const { ids, argmax: recorded, kl_positions: positions } = expected.perplexity;
    const reference = await logits.tensor('perplexity_logits').data();
    using got = of.forward(ids);
    const data = await got.data();
    const vocab = got.dim(1);
    const row = (i: number): Float32Array => data.subarray(i * vocab, (i + 1) * vocab) as Float32Array;
    let nll = 0;
    let agreed = 0;
    for (let i = 0; i + 1 < ids.length; i++) {
      nll -= logProbabilities(row(i))[ids[i + 1]!]!;
      if (argmax(row(i)) === recorded[i]) agreed++;
    }
    let kl = 0;
    positions.forEach((position, n) => {
      const p = logProbabilities(reference.subarray(n * vocab, (n + 1) * vocab));
      const q = logProbabilities(row(position));
      kl += p.reduce((sum, logP, token) => sum + Math.exp(logP) * (logP - q[token]!), 0);
    });
    return { nll: nll / (ids.length - 1), agreement: agreed / (ids.length - 1), kl: kl / positions.length };
  }

  it('has the recorded mean loss on Shakespeare within 1e-4', async () => {
    const { nll, agreement } = await perplexity(model);
    expect(Math.abs(nll - expected.perplexity.mean_nll)).toBeLessThanOrEqual(1e-4);
    expect(agreement).toBe(1);
  });

  it('stays within what bf16 explains: argmax agreement at least 0.97, mean KL at most 0.002', async () => {
    using rounded = await loadModel(file, { dtype: 'bf16' });
    expect(rounded.dtype).toBe('bf16');
    const { agreement, kl } = await perplexity(rounded);
    console.log(`bf16: argmax agreement ${agreement.toFixed(4)}, mean KL ${kl.toExponential(2)}`);
    expect(agreement).toBeGreaterThanOrEqual(0.97);
    expect(kl).toBeLessThanOrEqual(0.002);
  });
});
