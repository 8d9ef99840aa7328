// Tiny random models of every family against what transformers and PEFT give on them (test/golden/families.py): from a
// Hugging Face folder and from a GGUF file, whole and token by token, and through a LoRA run.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors } from '../../lib/files/safetensors.js';
import { loadModel, type Model } from '../../lib/model.js';
import { architectures } from '../../lib/models/architectures/index.js';
import { memoryPlan } from '../../lib/models/memory.js';
import { isEmulated, testDevice } from '../device.js';
import {
  floats,
  type Golden,
  goldenNames,
  productOf,
  readGolden,
  seeded,
  startOf,
  writeAdapter,
  writeFolder,
  writeGguf,
} from '../golden/seeded.js';

const supported = architectures.flatMap(({ types }) => types);
const isSupported = (name: string): boolean => supported.includes(name.split('.')[0]!);
const load = (path: string): Promise<Model> => loadModel(path, { dtype: 'f32', device: testDevice });
const relative = (got: number, want: number): number => Math.abs(got - want) / Math.abs(want);

let place: string;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'helvetia-families-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

async function folderOf(golden: Golden): Promise<string> {
  const folder = join(place, golden.name);
  mkdirSync(folder);
  await writeFolder(golden, folder);
  return folder;
}

describe.each(goldenNames.filter((name) => !isSupported(name)))('%s', (name) => {
  it('is refused with the list of what is supported', async () => {
    await expect(folderOf(readGolden(name)).then(load)).rejects.toThrow(
      /model_type '\w+' is not supported; supported: /,
    );
  });
});

// The GPU in software takes a minute for what a CPU does in a second: it gets one golden of each family, and no more than
// its kernels are needed for. What files hold, and how prompts are cut, is the CPU's; a window or a state is looked at.
const compared = goldenNames.filter((name) => isSupported(name) && !(isEmulated && name.includes('.')));

describe.each(compared)('%s', (name) => {
  const golden = readGolden(name);
  const { prompt, greedy, lora } = golden;
  let model: Model;
  beforeAll(async () => {
    model = await load(await folderOf(golden));
  });
  afterAll(() => model?.dispose());

  async function expectLogits(of: Model): Promise<void> {
    using logits = of.forward(prompt);
    const got = await logits.data();
    const vocab = logits.dim(1);
    for (const [at, text] of Object.entries(golden.logits)) {
      const want = floats(text);
      expect(want).toHaveLength(vocab);
      const row = got.subarray(Number(at) * vocab, (Number(at) + 1) * vocab);
      want.forEach((x, n) => expect(Math.abs(row[n]! - x), `logit ${n} at ${at}`).toBeLessThanOrEqual(1e-4));
    }
  }

  async function expectGreedy(of: Model): Promise<number> {
    const options = { maxNewTokens: greedy.length, temperature: 0, ignoreEos: true };
    const { tokens, usage } = await of.generate(prompt, options);
    expect(tokens).toEqual(greedy);
    return usage.cachedTokens;
  }

  it('gives the logits of transformers within 1e-4', () => expectLogits(model));

  // A GPU rounds what lies between the weights to their format; a CPU does not.
  it.skipIf(testDevice !== 'cpu')('gives them from weights in bf16 and f16, which hold the same numbers', async () => {
    for (const dtype of ['bf16', 'f16'] as const) {
      using narrow = await loadModel(model.path, { dtype, device: testDevice });
      await expectLogits(narrow);
    }
  });

  it('gives its greedy tokens through the KV cache, again from a cached prefix', async () => {
    expect(await expectGreedy(model)).toBe(0);
    await expectGreedy(model);
  });

  it('gives them where the prompt comes in chunks', async ({ skip }) => {
    const { groups, states } = memoryPlan(model.decoder.config);
    const plain = states.length === 0 && groups.every(({ window }) => window === undefined);
    skip(isEmulated && plain, 'layers that keep all keys are the same in each family');
    using chunked = await load(model.path);
    chunked.configureEngine({ maxBatch: 2, stepTokens: 7 });
    await expectGreedy(chunked);
  });

  it.skipIf(!golden.gguf || isEmulated)('gives both from a GGUF file', async () => {
    const file = join(place, `${name}.gguf`);
    writeGguf(golden, file);
    using other = await load(file);
    await expectLogits(other);
    await expectGreedy(other);
  });

  const saved = 'is saved with an adapter merged in under the names and shapes of transformers, and loads again';
  it.skipIf(isEmulated)(saved, async () => {
    const folder = join(place, `${name}.start`);
    mkdirSync(folder);
    await writeAdapter(golden, folder);
    using adapter = await model.loadAdapter(folder);
    const merged = join(place, `${name}.merged`);
    {
      using whole = model.mergeAdapter(adapter);
      await whole.save(merged);
    }
    using file = openSafetensors(join(merged, 'model.safetensors'));
    // Checkpoints of GPT-2 have names with and without the prefix.
    const named = (tensors: [name: string, shape: readonly number[]][]) =>
      Object.fromEntries(tensors.map(([tensor, shape]) => [tensor.replace(/^transformer\./, ''), shape]));
    expect(named([...file.tensors].map(([tensor, { shape }]) => [tensor, shape]))).toEqual(
      named(Object.entries(golden.weights).map(([tensor, [shape]]) => [tensor, shape])),
    );
    using again = await load(merged);
    using want = model.forward(prompt, { adapter });
    using got = again.forward(prompt);
    const expected = await want.data();
    (await got.data()).forEach((x, i) => expect(Math.abs(x - expected[i]!), `logit ${i}`).toBeLessThanOrEqual(1e-4));
  });

  it('follows the LoRA run of PEFT', async () => {
    const folder = join(place, `${name}.adapter`);
    mkdirSync(folder);
    await writeAdapter(golden, folder);
    using start = await model.loadAdapter(folder);
    const steps = isEmulated ? 2 : lora.losses.length;
    const { learningRate, betas, eps, maxGradNorm, batchSize } = lora;
    const run = model.finetune({
      data: lora.rows.slice(0, steps * batchSize).map(({ ids, masked }) => ({
        input_ids: ids,
        labels: ids.map((id, i) => (i < masked ? -100 : id)),
      })),
      adapter: start,
      shuffle: false,
      steps,
      batchSize,
      learningRate,
      betas,
      eps,
      maxGradNorm,
      schedule: 'constant',
      weightDecay: 0,
    });
    let step = 0;
    for await (const { loss, gradNorm } of run) {
      expect(relative(loss, lora.losses[step]!), `loss of step ${step + 1}`).toBeLessThanOrEqual(1e-4);
      expect(relative(gradNorm, lora.norms[step]!), `gradient norm of step ${step + 1}`).toBeLessThanOrEqual(1e-3);
      step++;
    }
    expect(step).toBe(steps);
    using after = await run;
    if (steps < lora.losses.length) return;

    const before = startOf(golden);
    const tensors = await after.tensors();
    expect([...tensors.keys()].sort()).toEqual([...before.keys()].sort());
    for (const [tensor, { bytes }] of tensors) {
      const [shape, norm, product] = lora.tensors[tensor]!;
      const change = new Float32Array(bytes.slice().buffer).map((x, i) => x - before.get(tensor)![i]!);
      expect(relative(Math.sqrt(productOf(change, change)), norm), `norm of ${tensor}`).toBeLessThanOrEqual(1e-3);
      const probe = seeded(`${golden.salt}/${tensor}.probe`, shape, 1);
      // An error of 1e-3 of the change, in a direction of its own, has about that share of the probe's length in it.
      const error = Math.abs(productOf(change, probe) - product);
      expect(error, `product of ${tensor}`).toBeLessThanOrEqual(1e-3 * norm * Math.sqrt(productOf(probe, probe)));
    }
  });
});
