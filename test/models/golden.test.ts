// The model in the repository against what transformers and PEFT give on it (test/golden/make.py).
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors, type Safetensors, type SavedTensor, saveSafetensors } from '../../lib/files/safetensors.js';
import type { Adapter } from '../../lib/lora/adapter.js';
import { peftConfig } from '../../lib/lora/config.js';
import { loadModel, type Model } from '../../lib/model.js';
import type { ChatMessage } from '../../lib/text/template.js';
import { isEmulated, testDevice } from '../device.js';

interface Expected {
  chats: { messages: ChatMessage[]; text: string; ids: number[]; greedy: number[] }[];
  lora: {
    r: number;
    alpha: number;
    learningRate: number;
    batches: { input_ids: number[]; labels: number[] }[][];
    steps: { loss: number; grad_norm: number }[];
  };
}

const golden = join(import.meta.dirname, '..', 'golden');
const folder = join(import.meta.dirname, '..', '..', 'models', 'helvetia-small');

const relative = (got: number, want: number): number => Math.abs(got - want) / Math.abs(want);

describe('the model in the repository', () => {
  const expected = JSON.parse(readFileSync(join(golden, 'expected.json'), 'utf8')) as Expected;
  const count = isEmulated ? 2 : expected.lora.steps.length;
  let tensors: Safetensors;
  let model: Model;

  beforeAll(async () => {
    tensors = openSafetensors(join(golden, 'expected.safetensors'));
    model = await loadModel(folder, { dtype: 'f32' });
  });
  afterAll(() => {
    model?.dispose();
    tensors?.close();
  });

  it('renders and tokenises chats as transformers does', () => {
    for (const { messages, text, ids } of expected.chats) {
      expect(model.tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true })).toBe(text);
      expect(model.tokenizer.encode(text, { addSpecialTokens: false })).toEqual(ids);
    }
  });

  it('gives the logits of transformers within 1e-3', async () => {
    const vocab = model.decoder.config.vocabSize;
    for (const [i, { ids }] of expected.chats.entries()) {
      using logits = model.forward(ids);
      const last = (await logits.data()).subarray((ids.length - 1) * vocab);
      const want = await tensors.tensor(`last_logits.${i}`).data();
      expect(want).toHaveLength(vocab);
      want.forEach((x, n) => expect(Math.abs(last[n]! - x)).toBeLessThanOrEqual(1e-3));
    }
  });

  it('gives the greedy tokens of transformers', async () => {
    const ends = new Set(model.decoder.config.eosIds);
    const maxNewTokens = isEmulated ? 10 : 40;
    for (const { messages, greedy } of expected.chats) {
      const { tokens } = await model.chat(messages, { temperature: 0, maxNewTokens });
      expect(tokens).toEqual((ends.has(greedy.at(-1)!) ? greedy.slice(0, -1) : greedy).slice(0, maxNewTokens));
    }
  });

  it('follows the LoRA run of PEFT: losses and norms within 1e-3, weights within 1e-2', async () => {
    const { losses, norms, after } = await trained(model, count);
    expect(losses).toHaveLength(count);
    for (const [i, loss] of losses.entries()) {
      const want = expected.lora.steps[i]!;
      expect(relative(loss, want.loss), `loss of step ${i + 1}`).toBeLessThanOrEqual(1e-3);
      expect(relative(norms[i]!, want.grad_norm), `gradient norm of step ${i + 1}`).toBeLessThanOrEqual(1e-3);
    }
    if (count < expected.lora.steps.length) return;
    let squares = 0;
    let errors = 0;
    for (const [name, got] of after) {
      const want = await tensors.tensor(`final.${name}`).data();
      expect(want).toHaveLength(got.length);
      want.forEach((x, i) => {
        squares += x * x;
        errors += (got[i]! - x) ** 2;
      });
    }
    expect(squares).toBeGreaterThan(0);
    expect(Math.sqrt(errors / squares)).toBeLessThanOrEqual(1e-2);
  });

  // On a GPU these go through tensor cores. The weights are bf16 in the file already; what differs from the recorded f32 is
  // that activations are rounded, some eight times in each of six layers, by at most 2^-9 of their size each: 2^-9 √48, or
  // 1.4 %, where errors add up by their squares. Twice that is allowed.
  const narrow = 2 * 2 ** -9 * Math.sqrt(48);

  it('gives in bf16 the same logits within the roundings of activations', async () => {
    using bf16 = await loadModel(folder, { dtype: 'bf16', device: testDevice });
    const vocab = bf16.decoder.config.vocabSize;
    for (const [i, { ids }] of expected.chats.entries()) {
      using logits = bf16.forward(ids);
      const last = (await logits.data()).subarray((ids.length - 1) * vocab);
      const want = await tensors.tensor(`last_logits.${i}`).data();
      expect(distance(last, want) / distance(want, new Float32Array(vocab))).toBeLessThanOrEqual(narrow);
    }
  });

  it('learns in bf16 what PEFT learned in f32', async () => {
    using bf16 = await loadModel(folder, { dtype: 'bf16', device: testDevice });
    const { losses, norms, before, after } = await trained(bf16, count);
    const wide = await trained(model, count);
    for (let i = 0; i < count; i++) {
      const want = expected.lora.steps[i]!;
      expect(relative(losses[i]!, want.loss), `loss of step ${i + 1}`).toBeLessThanOrEqual(narrow);
      expect(relative(norms[i]!, want.grad_norm), `gradient norm of step ${i + 1}`).toBeLessThanOrEqual(2 * narrow);
    }
    // AdamW's first steps are the signs of gradients: small ones may turn. The directions must still agree.
    let [product, own, other] = [0, 0, 0];
    for (const [name, got] of after) {
      const [start, want] = [before.get(name)!, wide.after.get(name)!];
      got.forEach((x, i) => {
        product += (x - start[i]!) * (want[i]! - start[i]!);
        own += (x - start[i]!) ** 2;
        other += (want[i]! - start[i]!) ** 2;
      });
    }
    expect(product / Math.sqrt(own * other)).toBeGreaterThan(0.95);
  });

  interface Run {
    losses: number[];
    norms: number[];
    before: Map<string, Float32Array>;
    after: Map<string, Float32Array>;
  }

  /** The recorded run's first steps, from its adapter. */
  async function trained(of: Model, count: number): Promise<Run> {
    const { r, alpha, learningRate, batches } = expected.lora;
    const start = mkdtempSync(join(tmpdir(), 'helvetia-golden-'));
    try {
      const init = new Map<string, SavedTensor>();
      for (const [name, { shape }] of tensors.tensors) {
        if (name.startsWith('init.')) init.set(name.slice(5), { dtype: 'F32', shape, bytes: tensors.read(name) });
      }
      await saveSafetensors(join(start, 'adapter_model.safetensors'), init, { format: 'pt' });
      const config = peftConfig({
        r,
        loraAlpha: alpha,
        loraDropout: 0,
        targetModules: 'all-linear',
        excludeModules: undefined,
        useRslora: false,
        rankPattern: {},
        alphaPattern: {},
        baseModel: undefined,
      });
      writeFileSync(join(start, 'adapter_config.json'), JSON.stringify(config));
      using adapter = await of.loadAdapter(start);
      const before = await numbersOf(adapter);
      const run = of.finetune({
        data: batches.slice(0, count).flat(),
        adapter,
        shuffle: false,
        steps: count,
        batchSize: batches[0]!.length,
        learningRate,
        schedule: 'constant',
        weightDecay: 0,
        maxGradNorm: 1,
      });
      const [losses, norms]: number[][] = [[], []];
      for await (const { loss, gradNorm } of run) {
        losses!.push(loss);
        norms!.push(gradNorm);
      }
      expect(losses).toHaveLength(count);
      using after = await run;
      return { losses: losses!, norms: norms!, before, after: await numbersOf(after) };
    } finally {
      rmSync(start, { recursive: true, force: true });
    }
  }
});

async function numbersOf(adapter: Adapter): Promise<Map<string, Float32Array>> {
  const out = new Map<string, Float32Array>();
  for (const [name, { bytes }] of await adapter.tensors()) out.set(name, new Float32Array(bytes.slice().buffer));
  return out;
}

const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.sqrt(Array.from(a, (x, i) => (x - b[i]!) ** 2).reduce((sum, x) => sum + x, 0));
