// Layers that read the keys and values of earlier ones: what they keep, and that checkpoints change no gradient.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadModel } from '../../lib/model.js';
import { decoderConfig } from '../../lib/models/architectures/index.js';
import { memoryPlan } from '../../lib/models/memory.js';
import { sharing, unusedKeys } from '../../lib/models/sharing.js';
import { testDevice as device } from '../device.js';
import { readGolden, writeFolder } from '../golden/seeded.js';

const golden = readGolden('gemma4_text.plain');
const configOf = (more: Record<string, unknown> = {}) => decoderConfig('config.json', { ...golden.config, ...more });

it('keep nothing of their own: the memory is that of the layers before them', () => {
  const { groups } = memoryPlan(configOf());
  expect(groups.map(({ window, layers }) => [window, layers.length])).toEqual([
    [9, 5],
    [undefined, 1],
  ]);
  expect(groups[1]!.layers[0]).toMatchObject({ headDim: 20 });
});

it('read the last layer of their kind before them', () => {
  const kinds = (['sliding', 'full', 'sliding', 'full', 'sliding', 'full'] as const).map(
    (kind) => `${kind}_attention` as const,
  );
  const { from, sourceOf } = sharing('config.json', kinds, 2);
  expect([from, ...kinds.map((_, i) => sourceOf(i))]).toEqual([4, undefined, undefined, 2, 3, 2, 3]);
  expect(sharing('config.json', kinds, 0).sourceOf(5)).toBe(undefined);
  for (const readers of [6, 7]) {
    expect(() => sharing('config.json', kinds, readers)).toThrow(
      `config.json: num_kv_shared_layers (${readers}) leaves no sliding_attention layer whose keys and values the last layers could read`,
    );
  }
  expect(() => configOf({ num_kv_shared_layers: 9 })).toThrow('num_kv_shared_layers (9) leaves no');
});

it('may have keys and values in files, which nothing reads', () => {
  const unused = unusedKeys(4, 6);
  const named = (layer: number) => [
    `model.language_model.layers.${layer}.self_attn.k_norm.weight`,
    `blk.${layer}.attn_v.weight`,
  ];
  expect([3, 4, 5, 6].map((layer) => named(layer).map(unused))).toEqual([
    [false, false],
    [true, true],
    [true, true],
    [false, false],
  ]);
  expect(unused('model.layers.5.self_attn.q_proj.weight')).toBe(false);
});

it('pass gradients on to these, and to per-layer embeddings, in the same bits with checkpoints', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'helvetia-sharing-'));
  try {
    await writeFolder(golden, folder);
    using model = await loadModel(folder, { dtype: 'f32', device });
    const trained = async (gradientCheckpointing: boolean): Promise<unknown> => {
      const data = golden.lora.rows.slice(0, 4).map(({ ids }) => ({ input_ids: ids, labels: ids }));
      const settings = { batchSize: 2, shuffle: false, learningRate: 0.01, lora: { r: 2, dropout: 0.1 } } as const;
      using adapter = await model.finetune({ data, ...settings, gradientCheckpointing });
      return [...(await adapter.tensors())].map(([name, { bytes }]) => [name, Buffer.from(bytes).toString('base64')]);
    };
    expect(await trained(true)).toEqual(await trained(false));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
