// Adapters over experts: what they may target, how PEFT's format holds them, and what is refused. That they compute and
// train as PEFT's do is tested with the goldens of the families.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { device } from '../../lib/core/device.js';
import { AdapterBuffers } from '../../lib/engine/adapter-buffers.js';
import { openSafetensors, saveSafetensors } from '../../lib/files/safetensors.js';
import { Adapter } from '../../lib/lora/adapter.js';
import { decoderConfig } from '../../lib/models/architectures/index.js';
import { randomDecoder } from '../../lib/models/load.js';
import { readGolden } from '../golden/seeded.js';

const config = decoderConfig('config.json', readGolden('qwen3_moe').config);
const decoder = randomDecoder(config, { device: device('cpu') });
const both = ['mlp.experts.gate_up_proj', 'mlp.experts.down_proj'];
const first = 'base_model.model.model.layers.0';

describe('an adapter over experts', () => {
  let place: string;
  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), 'helvetia-experts-'));
    return () => rmSync(place, { recursive: true, force: true });
  });

  it('is held as PEFT holds it, and read again', async () => {
    using adapter = Adapter.create(decoder, { r: 2, targetModules: ['q_proj'], targetParameters: both }, 1);
    await adapter.save(place);
    using file = openSafetensors(join(place, 'adapter_model.safetensors'));
    const shapeOf = (name: string) => file.tensors.get(`${first}.${name}.weight`)?.shape;
    expect(shapeOf('mlp.experts.base_layer.lora_A')).toEqual([8 * 2, 48]);
    expect(shapeOf('mlp.experts.base_layer.lora_B')).toEqual([48, 8 * 2]);
    expect(shapeOf('mlp.experts.lora_A')).toEqual([8 * 2, 24]);
    expect(shapeOf('mlp.experts.lora_B')).toEqual([48, 8 * 2]);
    using again = await Adapter.load(place, decoder);
    expect(again.config).toEqual(adapter.config);
    expect([...again.pairs.keys()]).toEqual([...adapter.pairs.keys()]);
    const path = 'model.layers.1.mlp.experts.down_proj';
    expect(await again.pairs.get(path)!.a.data()).toEqual(await adapter.pairs.get(path)!.a.data());
  });

  it('has one holder where one parameter is targeted, and a rank of its own where a pattern says so', () => {
    const options = { r: 2, targetModules: ['mlp.gate'], targetParameters: ['gate_up_proj'] };
    using adapter = Adapter.create(decoder, { ...options, rankPattern: { '.*\\.gate_up_proj': 4 } }, 1);
    const names = adapter.namedParameters();
    expect(names.get(`${first}.mlp.experts.lora_A.weight`)?.shape).toEqual([8 * 4, 48]);
    expect(names.get(`${first}.mlp.gate.lora_A.weight`)?.shape).toEqual([2, 48]);
    expect(names.size).toBe(3 * 4);
  });

  it('leaves experts and routers alone unless they are named', () => {
    using adapter = Adapter.create(decoder, {}, 1);
    expect([...adapter.pairs.keys()].every((path) => path.includes('.self_attn.'))).toBe(true);
  });

  it('refuses names that fit nothing, and dropout', () => {
    expect(() => Adapter.create(decoder, { targetParameters: ['experts.up_proj'] }, 1)).toThrow(
      "lora: 'experts.up_proj' in option 'targetParameters' fits none of the layers",
    );
    expect(() => Adapter.create(decoder, { targetParameters: both, dropout: 0.1 }, 1)).toThrow(
      "lora: option 'dropout' must be 0 where 'targetParameters' are trained, as in PEFT",
    );
  });

  it('is fused where it has a pair for each expert, as of before transformers 5', async () => {
    using attention = Adapter.create(decoder, { r: 2, alpha: 3, targetModules: ['q_proj'] }, 1);
    await attention.save(place);
    const values = (shape: number[], from: number): Float32Array =>
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(from + i));
    const tensors = await attention.tensors();
    const pairs = new Map<string, { a: Float32Array; b: Float32Array }>();
    for (let layer = 0; layer < 3; layer++)
      for (let e = 0; e < 8; e++)
        for (const [i, [kind, out, from]] of (
          [
            ['gate', 24, 48],
            ['up', 24, 48],
            ['down', 48, 24],
          ] as const
        ).entries()) {
          const path = `model.layers.${layer}.mlp.experts.${e}.${kind}_proj`;
          const pair = {
            a: values([2, from], 31 * (layer * 8 + e) + i),
            b: values([out, 2], 17 * (layer * 8 + e) + i),
          };
          pairs.set(path, pair);
          for (const [which, x, shape] of [
            ['A', pair.a, [2, from]],
            ['B', pair.b, [out, 2]],
          ] as const)
            tensors.set(`base_model.model.${path}.lora_${which}.weight`, {
              dtype: 'F32',
              shape: [...shape],
              bytes: new Uint8Array(x.buffer),
            });
        }
    await saveSafetensors(join(place, 'adapter_model.safetensors'), tensors, { format: 'pt' });
    const file = join(place, 'adapter_config.json');
    const json = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    writeFileSync(file, JSON.stringify({ ...json, target_modules: ['q_proj', 'gate_proj', 'up_proj', 'down_proj'] }));

    using adapter = await Adapter.load(place, decoder);
    expect(adapter.config).toMatchObject({
      targetModules: ['q_proj'],
      targetParameters: ['gate_up_proj', 'down_proj'],
      rankPattern: { '.*\\.gate_up_proj': 4 },
      alphaPattern: { '.*\\.gate_up_proj': 6 },
    });
    // W + scaling B A, which is what fusing must not change.
    const { a, b, scaling } = adapter.pairs.get('model.layers.1.mlp.experts.gate_up_proj')!;
    expect(scaling).toBe(1.5);
    const [down, up] = [await a.data(), await b.data()];
    for (const [expert, row, col] of [
      [0, 0, 0],
      [5, 23, 47],
      [7, 24, 3],
      [3, 47, 11],
    ] as const) {
      const kind = row < 24 ? 'gate' : 'up';
      const one = pairs.get(`model.layers.1.mlp.experts.${expert}.${kind}_proj`)!;
      const want = one.b[(row % 24) * 2]! * one.a[col]! + one.b[(row % 24) * 2 + 1]! * one.a[48 + col]!;
      let got = 0;
      for (let j = 0; j < 4; j++) got += up[(row * 4 + j) * 8 + expert]! * down[(expert * 4 + j) * 48 + col]!;
      expect(got).toBeCloseTo(want, 5);
    }
    await adapter.save(place);
    using again = await Adapter.load(place, decoder);
    expect(again.config).toEqual(adapter.config);
  });

  it('is refused where its config and its weights differ, by name', async () => {
    using adapter = Adapter.create(decoder, { r: 2, targetModules: ['q_proj'], targetParameters: both }, 1);
    await adapter.save(place);
    const file = join(place, 'adapter_config.json');
    const json = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    writeFileSync(file, JSON.stringify({ ...json, target_parameters: both.slice(1) }));
    await expect(Adapter.load(place, decoder)).rejects.toThrow(
      `tensor '${first}.mlp.experts.base_layer.lora_A.weight' is for a parameter that ${file} does not target by 'target_parameters'`,
    );
    writeFileSync(file, JSON.stringify({ ...json, r: 3 }));
    await expect(Adapter.load(place, decoder)).rejects.toThrow('expected [3,48] for rank 3');
  });

  it('is not served by a model with other experts', () => {
    using adapter = Adapter.create(decoder, { r: 2, targetParameters: both }, 1);
    const fewer = decoderConfig('config.json', { ...readGolden('qwen3_moe').config, num_experts: 4 });
    const other = randomDecoder(fewer, { device: device('cpu') });
    const buffers = new AdapterBuffers(other, 2, 64);
    expect(() => buffers.load(0, adapter)).toThrow(
      "the adapter is not for this model: 'model.layers.0.mlp.experts.gate_up_proj' is missing or of another shape",
    );
    buffers.dispose();
    other.dispose();
  });
});
