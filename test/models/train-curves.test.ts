// Whole training runs against those of a public implementation (transformers, PEFT and torch's AdamW): the loss at every
// step, and the adapters at the end.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { device } from '../../lib/core/device.js';
import { openSafetensors, type SavedTensor, saveSafetensors } from '../../lib/files/safetensors.js';
import { Adapter } from '../../lib/lora/adapter.js';
import type { Decoder } from '../../lib/models/decoder.js';
import { loadDecoder } from '../../lib/models/load.js';
import { Tokenizer } from '../../lib/text/tokenizer/tokenizer.js';
import type { TokenRow } from '../../lib/train/data/rows.js';
import { finetune, trainFull } from '../../lib/train/finetune.js';
import type { TrainStep } from '../../lib/train/step.js';
import { isEmulated, testDevice } from '../device.js';

const shared = fileURLToPath(new URL('../../../shared/data/', import.meta.url));
const golden = join(shared, 'golden');
const smol = join(shared, 'smollm2-135m-instruct');

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'helvetia-curves-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'));

async function stepsOf(run: AsyncIterable<TrainStep>): Promise<TrainStep[]> {
  const out: TrainStep[] = [];
  for await (const step of run) out.push(step);
  return out;
}

function expectClose(what: string, found: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(found).toHaveLength(expected.length);
  const errors = found.map((value, i) => Math.abs(value / expected[i]! - 1));
  const worst = Math.max(...errors); // a NaN stays
  expect(worst, `${what}: worst relative error, in ${found}`).toBeLessThanOrEqual(tolerance);
}

/** Each trained matrix against the expected one: the distance as a share of how far training moved it. */
async function expectAdapter(adapter: Adapter, initFile: string, finalFile: string): Promise<void> {
  const values = (path: string): Map<string, Float32Array> => {
    using file = openSafetensors(path);
    return new Map([...file.tensors.keys()].map((name) => [name, new Float32Array(file.read(name).slice().buffer)]));
  };
  const [init, final] = [values(initFile), values(finalFile)];
  const found = await adapter.tensors();
  expect([...found.keys()].sort()).toEqual([...final.keys()].sort());
  const norm = (length: number, at: (i: number) => number): number => {
    let sum = 0;
    for (let i = 0; i < length; i++) sum += at(i) ** 2;
    return Math.sqrt(sum);
  };
  for (const [name, { bytes }] of found) {
    const got = new Float32Array(bytes.slice().buffer);
    const want = final.get(name)!;
    const start = init.get(name)!;
    const distance = norm(want.length, (i) => got[i]! - want[i]!);
    expect(
      distance / norm(want.length, (i) => want[i]! - start[i]!),
      `${name}: distance over movement`,
    ).toBeLessThanOrEqual(1e-2);
  }
}

const models = [
  { name: 'stories260K', folder: join(shared, 'stories260K', 'hf') },
  { name: 'tinystories656K', folder: join(shared, 'tinystories-656k') },
];

describe.skipIf(!existsSync(golden))('the 30-step curves (skipped without ../shared/data)', () => {
  const curves = () => json(join(golden, 'train_curves.json'));
  // The GPU in software takes seconds for a step, which is the same each time.
  const steps = isEmulated ? 5 : 30;

  async function batches(model: string, tokenizer: Tokenizer): Promise<TokenRow[]> {
    const text = readFileSync(join(shared, 'tinyshakespeare', 'input.txt'), 'utf8').slice(0, 60_000);
    const ids = tokenizer.encode(text, { addSpecialTokens: false });
    const rows = Array.from({ length: 4 * steps }, (_, i) => ({ input_ids: ids.slice(64 * i, 64 * (i + 1)) }));
    expect(rows.slice(0, 4).map(({ input_ids }) => input_ids)).toEqual(curves()[`${model}_full`].first_batch_ids);
    return rows;
  }

  const common = {
    epochs: 1,
    batchSize: 4,
    seqLength: 64,
    shuffle: false,
    schedule: 'constant',
    maxGradNorm: 0,
  } as const;

  describe.each(isEmulated ? models.slice(0, 1) : models)('$name', ({ name, folder: path }) => {
    let decoder: Decoder;
    let data: TokenRow[];
    beforeAll(async () => {
      decoder = await loadDecoder(path, { dtype: 'f32', device: device(testDevice) });
      data = await batches(name, (await Tokenizer.fromFolder(path))!);
    });
    afterAll(() => decoder.dispose());

    it('all weights', async () => {
      const run = trainFull(decoder, undefined, { ...common, data, learningRate: 1e-3, weightDecay: 0.01 });
      const found = await stepsOf(run);
      (await run).dispose();
      const expected: [number, number][] = curves()[`${name}_full`].loss_gradnorm.slice(0, steps);
      expectClose(
        'loss',
        found.map(({ loss }) => loss),
        expected.map(([loss]) => loss),
        1e-3,
      );
      expectClose(
        'gradient norm',
        found.map(({ gradNorm }) => gradNorm),
        expected.map(([, norm]) => norm),
        5e-3,
      );
    });

    it.each([false, true])('LoRA, gradient checkpointing: %s', async (gradientCheckpointing) => {
      const start = await goldenInit(name);
      using initial = await Adapter.load(start, decoder);
      const run = finetune(decoder, undefined, {
        ...common,
        data,
        adapter: initial,
        learningRate: 5e-3,
        weightDecay: 0,
        gradientCheckpointing,
      });
      const found = await stepsOf(run);
      using adapter = await run;
      expectClose(
        'loss',
        found.map(({ loss }) => loss),
        curves()[`${name}_lora`].loss.slice(0, steps),
        1e-3,
      );
      if (isEmulated) return;
      await expectAdapter(
        adapter,
        join(start, 'adapter_model.safetensors'),
        join(golden, `${name}-lora-adapter`, 'adapter_model.safetensors'),
      );
    });
  });

  // The recorded start bears the training names ("lora_A.default.weight"), which PEFT drops when it saves.
  async function goldenInit(name: string): Promise<string> {
    const start = mkdtempSync(join(folder, 'init-'));
    using file = openSafetensors(join(golden, `${name}-lora-init.safetensors`));
    const tensors = new Map<string, SavedTensor>();
    for (const [key, { dtype, shape }] of file.tensors) {
      tensors.set(key.replace('.default.', '.'), { dtype, shape, bytes: file.read(key) });
    }
    await saveSafetensors(join(start, 'adapter_model.safetensors'), tensors);
    await copyFile(join(golden, `${name}-lora-adapter`, 'adapter_config.json'), join(start, 'adapter_config.json'));
    return start;
  }
});

describe.skipIf(!existsSync(smol) || isEmulated)('SmolLM2-135M-Instruct (skipped without ../shared/data)', () => {
  it('a 12-step LoRA run with clipping and masked labels', { timeout: 600_000 }, async () => {
    const recorded = json(join(smol, 'lora', 'expected.json'));
    const decoder = await loadDecoder(join(smol, 'SmolLM2-135M-Instruct.Q4_1.gguf'), {
      dtype: 'f32',
      device: device(testDevice),
    });
    using initial = await Adapter.load(join(smol, 'lora', 'init'), decoder);
    using file = openSafetensors(join(smol, 'lora', 'batches.safetensors'));
    const numbers = (name: string): number[] => Array.from(new BigInt64Array(file.read(name).slice().buffer), Number);
    const [ids, labels] = [numbers('input_ids'), numbers('labels')];
    const data = Array.from({ length: 48 }, (_, i) => ({
      input_ids: ids.slice(128 * i, 128 * (i + 1)),
      labels: labels.slice(128 * i, 128 * (i + 1)),
    }));
    const run = finetune(decoder, undefined, {
      data,
      adapter: initial,
      epochs: 1,
      batchSize: 4,
      seqLength: 128,
      shuffle: false,
      learningRate: recorded.learning_rate,
      schedule: 'constant',
      maxGradNorm: 1,
    });
    const found = await stepsOf(run);
    using adapter = await run;
    const expected: { loss: number; grad_norm: number }[] = recorded.steps;
    expectClose(
      'loss',
      found.map(({ loss }) => loss),
      expected.map(({ loss }) => loss),
      1e-3,
    );
    expectClose(
      'gradient norm',
      found.map(({ gradNorm }) => gradNorm),
      expected.map(({ grad_norm }) => grad_norm),
      5e-3,
    );
    await expectAdapter(
      adapter,
      join(smol, 'lora', 'init', 'adapter_model.safetensors'),
      join(smol, 'lora', 'final', 'adapter_model.safetensors'),
    );
  });
});
