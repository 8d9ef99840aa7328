// The model in the repository against what transformers and PEFT give on it (test/golden/make.py).
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors, type Safetensors, type SavedTensor, saveSafetensors } from '../../lib/files/safetensors.js';
import { peftConfig } from '../../lib/lora/config.js';
import { loadModel, type Model } from '../../lib/model.js';
import type { ChatMessage } from '../../lib/text/template.js';

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
    for (const { messages, greedy } of expected.chats) {
      const { tokens } = await model.chat(messages, { temperature: 0, maxNewTokens: 40 });
      expect(tokens).toEqual(ends.has(greedy.at(-1)!) ? greedy.slice(0, -1) : greedy);
    }
  });

  it('follows the LoRA run of PEFT: losses and norms within 1e-3, weights within 1e-2', async () => {
    const { r, alpha, learningRate, batches, steps } = expected.lora;
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
      using before = await model.loadAdapter(start);

      const run = model.finetune({
        data: batches.flat(),
        adapter: before,
        shuffle: false,
        steps: steps.length,
        batchSize: batches[0]!.length,
        learningRate,
        schedule: 'constant',
        weightDecay: 0,
        maxGradNorm: 1,
      });
      let count = 0;
      for await (const step of run) {
        const want = steps[count++]!;
        expect(relative(step.loss, want.loss), `loss of step ${count}`).toBeLessThanOrEqual(1e-3);
        expect(relative(step.gradNorm, want.grad_norm), `gradient norm of step ${count}`).toBeLessThanOrEqual(1e-3);
      }
      expect(count).toBe(steps.length);

      using after = await run;
      let squares = 0;
      let errors = 0;
      for (const [name, { bytes, shape }] of await after.tensors()) {
        const got = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
        const want = await tensors.tensor(`final.${name}`).data();
        expect(want).toHaveLength(shape.reduce((a, b) => a * b, 1));
        want.forEach((x, i) => {
          squares += x * x;
          errors += (got[i]! - x) ** 2;
        });
      }
      expect(squares).toBeGreaterThan(0);
      expect(Math.sqrt(errors / squares)).toBeLessThanOrEqual(1e-2);
    } finally {
      rmSync(start, { recursive: true, force: true });
    }
  });
});
