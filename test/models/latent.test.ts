// Latent attention beyond its goldens: adapters over the up-projection in the absorbed form, prompts in runs that are
// worth expanding, and what a token's latent takes of the memory.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { shapes } from '../../lib/bench/shapes/index.js';
import type { Adapter } from '../../lib/lora/adapter.js';
import { loadModel, type Model } from '../../lib/model.js';
import { decoderConfig } from '../../lib/models/architectures/index.js';
import { blockBytes, blockSize, memoryPlan } from '../../lib/models/memory.js';
import { testDevice } from '../device.js';
import { type Golden, readGolden, writeAdapter, writeFolder } from '../golden/seeded.js';

let place: string;
let model: Model;
const golden = readGolden('deepseek_v3');

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), 'helvetia-latent-'));
  const folder = join(place, 'model');
  mkdirSync(folder);
  await writeFolder(golden, folder);
  model = await loadModel(folder, { dtype: 'f32', device: testDevice });
});
afterAll(() => {
  model?.dispose();
  rmSync(place, { recursive: true, force: true });
});

async function adapterOf(name: string, changed: Golden): Promise<Adapter> {
  const folder = join(place, name);
  mkdirSync(folder);
  await writeAdapter(changed, folder);
  return model.loadAdapter(folder);
}

/** The likeliest token behind each of the last `count` positions but one, of one pass over all. */
async function likeliest(ids: readonly number[], count: number, adapter?: Adapter): Promise<number[]> {
  using logits = model.forward(ids, adapter ? { adapter } : {});
  const vocab = logits.dim(1);
  const all = await logits.data();
  return Array.from({ length: count }, (_, n) => {
    const at = ids.length - 1 - count + n;
    const row = Array.from(all.subarray(at * vocab, (at + 1) * vocab));
    return row.indexOf(Math.max(...row));
  });
}

it('adds adapters over kv_b_proj in the absorbed form, each to its own rows of a batch', async () => {
  using first = await adapterOf('first', golden);
  // Another adapter, of other numbers and a smaller scale.
  using second = await adapterOf('second', {
    ...golden,
    salt: `${golden.salt}.second`,
    lora: { ...golden.lora, scale: 0.125 },
  });
  const options = { maxNewTokens: 10, temperature: 0, ignoreEos: true };
  const asked = [first, undefined, second, first].map((adapter, i) => {
    const prompt = golden.prompt.slice(0, 20 + 5 * i);
    return { prompt, adapter, answer: model.generate(prompt, adapter ? { ...options, adapter } : options) };
  });
  const answers = await Promise.all(asked.map(({ answer }) => answer));
  for (const [i, { tokens }] of answers.entries()) {
    const { prompt, adapter } = asked[i]!;
    expect(await likeliest([...prompt, ...tokens], tokens.length, adapter), `answer ${i}`).toEqual(tokens);
  }
  expect(answers[0]!.tokens).not.toEqual(answers[1]!.tokens.slice(0, 10));
});

it('attends to long prompts in runs, with an adapter and without', async () => {
  using chunked = await loadModel(model.path, { dtype: 'f32', device: testDevice });
  chunked.configureEngine({ maxBatch: 2, stepTokens: 40 });
  const folder = join(place, 'chunked');
  mkdirSync(folder);
  await writeAdapter(golden, folder);
  using own = await chunked.loadAdapter(folder);
  using adapter = await model.loadAdapter(folder);
  const prompt = [...golden.prompt, ...golden.prompt.toReversed(), ...golden.prompt].slice(0, 90);
  const options = { maxNewTokens: 4, temperature: 0, ignoreEos: true };
  const [plain, adapted] = await Promise.all([
    chunked.generate(prompt, options),
    chunked.generate(prompt, { ...options, adapter: own }),
  ]);
  expect(plain.tokens).toEqual(await likeliest([...prompt, ...plain.tokens], 4));
  expect(adapted.tokens).toEqual(await likeliest([...prompt, ...adapted.tokens], 4, adapter));
});

it('keeps a latent and a rotated key of each token, once for all heads', () => {
  const config = decoderConfig('config.json', { ...shapes['deepseek-v3'] });
  const { groups } = memoryPlan(config);
  expect(groups).toHaveLength(1);
  expect(blockBytes(groups[0]!, 'bf16') / blockSize).toBe(61 * (512 + 64) * 2);
});
