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
import { isEmulated, testDevice } from '../device.js';
import { type Golden, readGolden, writeAdapter, writeFolder, writeGguf } from '../golden/seeded.js';

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
  const options = { maxNewTokens: isEmulated ? 2 : 10, temperature: 0, ignoreEos: true };
  const asked = [first, undefined, second, first].map((adapter, i) => {
    const prompt = golden.prompt.slice(0, 12 + 5 * i);
    return { prompt, adapter, answer: model.generate(prompt, adapter ? { ...options, adapter } : options) };
  });
  const answers = await Promise.all(asked.map(({ answer }) => answer));
  for (const [i, { tokens }] of answers.entries()) {
    const { prompt, adapter } = asked[i]!;
    expect(await likeliest([...prompt, ...tokens], tokens.length, adapter), `answer ${i}`).toEqual(tokens);
  }
});

it('attends to long prompts in runs, with an adapter and without', async () => {
  using chunked = await loadModel(model.path, { dtype: 'f32', device: testDevice });
  chunked.configureEngine({ maxBatch: 2, stepTokens: 40 });
  const folder = join(place, 'chunked');
  mkdirSync(folder);
  await writeAdapter(golden, folder);
  using own = await chunked.loadAdapter(folder);
  using adapter = await model.loadAdapter(folder);
  const prompt = [...golden.prompt, ...golden.prompt.toReversed(), ...golden.prompt].slice(0, 83);
  const options = { maxNewTokens: 2, temperature: 0, ignoreEos: true };
  const [plain, adapted] = await Promise.all([
    chunked.generate(prompt, options),
    chunked.generate(prompt, { ...options, adapter: own }),
  ]);
  expect(plain.tokens).toEqual(await likeliest([...prompt, ...plain.tokens], 2));
  expect(adapted.tokens).toEqual(await likeliest([...prompt, ...adapted.tokens], 2, adapter));
});

it.skipIf(testDevice !== 'cpu')('gives the same bits beside others and however a prompt is cut', async () => {
  const folder = join(place, 'bits');
  mkdirSync(folder);
  await writeAdapter(golden, folder);
  const read = async (stepTokens: number, beside: boolean): Promise<number[]> => {
    using own = await loadModel(model.path, { dtype: 'f32', device: testDevice });
    own.configureEngine({ maxBatch: 4, stepTokens });
    using adapter = await own.loadAdapter(folder);
    const others = beside
      ? [adapter, undefined].map((at) =>
          own.generate(golden.prompt.slice(3), { ...more, ...(at ? { adapter: at } : {}) }),
        )
      : [];
    const out: number[] = [];
    for await (const { top } of own.generateTokens(golden.prompt, { ...more, adapter, topLogprobs: 3 }))
      out.push(...top!.map(({ logprob }) => logprob));
    await Promise.all(others);
    return out;
  };
  const more = { maxNewTokens: 6, temperature: 0, ignoreEos: true };
  const alone = await read(64, false);
  expect(alone).toHaveLength(18);
  expect(await read(64, true)).toEqual(alone);
  expect(await read(11, true)).toEqual(alone);
});

it.skipIf(isEmulated)('reads GGUF files that have the up-projection whole', async () => {
  const { heads, keys, values } = { heads: 4, keys: 24, values: 12 };
  const { gguf } = golden;
  const named = (inside: string): string => `deepseek2.attention.${inside}`;
  const old: Golden = {
    ...golden,
    gguf: {
      ...gguf!,
      keys: gguf!.keys.flatMap((entry): NonNullable<Golden['gguf']>['keys'] => {
        const [key] = entry;
        if (key.endsWith('_mla')) return [];
        if (key === named('key_length')) return [[key, 'u32', keys]];
        if (key === named('value_length')) return [[key, 'u32', values]];
        if (key === named('head_count_kv')) return [[key, 'u32', heads]];
        return [entry];
      }),
      tensors: Object.fromEntries(
        Object.entries(gguf!.tensors).map(([name, stored]): [string, typeof stored] => {
          const [layer] = /(?<=layers\.)\d+/.exec(name) ?? [];
          return [name, name.endsWith('kv_b_proj.weight') ? [`blk.${layer}.attn_kv_b.weight`] : stored];
        }),
      ),
    },
  };
  const file = join(place, 'old.gguf');
  writeGguf(old, file);
  using other = await loadModel(file, { dtype: 'f32', device: testDevice });
  using got = other.forward(golden.prompt);
  using want = model.forward(golden.prompt);
  expect(await got.data()).toEqual(await want.data());
});

it('takes Kimi K2 by its own name, and refuses what it would compute wrongly by the name of the key', () => {
  const { rope_scaling, ...v3 } = { ...shapes['deepseek-v3'] };
  const kimi = { ...v3, rope_scaling, model_type: 'kimi_k2', n_routed_experts: 384, n_group: 1, topk_group: 1 };
  expect(decoderConfig('config.json', kimi).modelType).toBe('kimi_k2');
  const lite = { ...shapes['deepseek-v2-lite'] };
  expect(() => decoderConfig('config.json', { ...lite, norm_topk_prob: true })).toThrow(/norm_topk_prob/);
  expect(() => decoderConfig('config.json', { ...lite, scoring_func: 'sigmoid' })).toThrow(/scoring_func/);
  expect(() => decoderConfig('config.json', { ...lite, num_experts_per_tok: null })).toThrow(/num_experts_per_tok/);
  expect(() => decoderConfig('config.json', { ...kimi, topk_method: 'greedy' })).toThrow(/topk_method/);
  expect(() => decoderConfig('config.json', { ...kimi, num_key_value_heads: 8 })).toThrow(/num_key_value_heads/);
  expect(() => decoderConfig('config.json', { ...kimi, mlp_layer_types: ['dense'] })).toThrow(/mlp_layer_types/);
  const small = { ...shapes['mistral-small-4'] };
  const rope = { rope_type: 'default', rope_theta: 1e4, original_max_position_embeddings: 8192 };
  expect(() => decoderConfig('config.json', { ...small, rope_parameters: rope })).toThrow(/llama_4_scaling_beta/);
});

it('keeps a latent and a rotated key of each token, once for all heads', () => {
  const config = decoderConfig('config.json', { ...shapes['deepseek-v3'] });
  const { groups } = memoryPlan(config);
  expect(groups).toHaveLength(1);
  expect(blockBytes(groups[0]!, 'bf16') / blockSize).toBe(61 * (512 + 64) * 2);
});
