// A tensor that no part claims is refused, but for those that are known to be of no use.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { device } from '../../lib/core/device.js';
import { loadDecoder } from '../../lib/models/load.js';
import { readGolden, writeFolder, writeGguf } from '../golden/seeded.js';

async function loaded(name: string, more: Record<string, number[]>, gguf = false): Promise<number> {
  const golden = readGolden(name);
  for (const [tensor, shape] of Object.entries(more)) {
    golden.weights[tensor] = [shape, 1, 0];
    if (golden.gguf) golden.gguf.tensors[tensor] = [tensor];
  }
  const folder = mkdtempSync(join(tmpdir(), 'helvetia-unclaimed-'));
  try {
    const file = join(folder, 'model.gguf');
    if (gguf) writeGguf(golden, file);
    else await writeFolder(golden, folder);
    const decoder = await loadDecoder(gguf ? file : folder, { device: device('cpu'), dtype: 'f32' });
    decoder.dispose();
    return decoder.weights.size;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

it('a bias that the config does not mention, or a scale of a quantised weight, is refused by name', async () => {
  await expect(loaded('mistral', { 'model.layers.0.self_attn.q_proj.bias': [48] })).rejects.toThrow(
    /: tensor 'model\.layers\.0\.self_attn\.q_proj\.bias' has no place in a mistral model of this config$/,
  );
  const scales = { 'model.layers.0.mlp.up_proj.weight_scale': [1], 'model.layers.0.mlp.down_proj.weight_scale': [1] };
  await expect(loaded('mistral', scales)).rejects.toThrow(/weight_scale' \(and 1 more\) has no place/);
  await expect(loaded('mistral.nemo', { 'blk.0.attn_sinks.weight': [4] }, true)).rejects.toThrow(
    /: tensor 'blk\.0\.attn_sinks\.weight' has no place in a llama model of this config$/,
  );
});

it('buffers that older files have, and an output stored beside the embedding that it is tied to, are not', async () => {
  const buffers = { 'model.layers.0.self_attn.rotary_emb.inv_freq': [6] };
  expect(await loaded('mistral', buffers)).toBe(await loaded('mistral', {}));
  expect(await loaded('llama', { 'lm_head.weight': [96, 48] })).toBe(await loaded('llama', {}));
  const masks = { 'transformer.h.0.attn.bias': [1, 1, 4, 4], 'transformer.h.0.attn.masked_bias': [1] };
  expect(await loaded('gpt2', masks)).toBe(await loaded('gpt2', {}));
  const neox = { 'gpt_neox.layers.0.attention.bias': [1, 1, 4, 4], 'gpt_neox.layers.0.attention.masked_bias': [1] };
  expect(await loaded('gpt_neox', neox)).toBe(await loaded('gpt_neox', {}));
  expect(await loaded('glm4', { 'model.layers.3.eh_proj.weight': [48, 96] })).toBe(await loaded('glm4', {}));
  const keys = { 'model.layers.8.self_attn.k_proj.weight': [40, 40] };
  expect(await loaded('gemma4_text.plain', keys)).toBe(await loaded('gemma4_text.plain', {}));
  await expect(loaded('gemma4_text.plain', { 'model.layers.5.self_attn.v_norm.weight': [20] })).rejects.toThrow(
    /v_norm.weight' has no place/,
  );
});
