// gpt-oss's checkpoints in MXFP4: blocks and exponents, as they are published, against numbers unpacked by hand.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { device } from '../../lib/core/device.js';
import { type SavedTensor, saveSafetensors } from '../../lib/files/safetensors.js';
import { decoderConfig } from '../../lib/models/architectures/index.js';
import { weightsOf } from '../../lib/models/config.js';
import { loadDecoder, randomDecoder } from '../../lib/models/load.js';
import { storedParts } from '../../lib/models/pieces.js';
import { readGolden } from '../golden/seeded.js';

const [experts, hidden, inner] = [3, 64, 32];
const json = {
  ...readGolden('gpt_oss').config,
  hidden_size: hidden,
  intermediate_size: inner,
  num_local_experts: experts,
  num_hidden_layers: 1,
  layer_types: ['full_attention'],
};
const layer = 'model.layers.0.mlp.experts';
const numbers = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];

/** Bytes of blocks and of exponents, which differ everywhere. */
const bytesOf = (count: number, first: number, span: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => first + ((i * 37) % span));

describe('gpt-oss in MXFP4', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'helvetia-gpt-oss-'));
    return () => rmSync(folder, { recursive: true, force: true });
  });

  it('is unpacked as it is loaded', async () => {
    const config = decoderConfig('config.json', json);
    const made = randomDecoder(config, { device: device('cpu') });
    const tensors = new Map<string, SavedTensor>();
    for (const weight of weightsOf(config))
      for (const { name, shape, part } of storedParts(weight, made.weights.get(weight.name)!)) {
        using x = part();
        if (!/experts\.(gate_up|down)_proj$/.test(name))
          tensors.set(name, { dtype: 'F32', shape, bytes: await x.bytes() });
      }
    made.dispose();
    const packed = (name: string, rows: number, cols: number) => {
      const blocks = bytesOf((experts * rows * cols) / 2, 0, 256);
      const scales = bytesOf((experts * rows * cols) / 32, 120, 12);
      const shape = [experts, rows, cols / 32];
      tensors.set(`${layer}.${name}_blocks`, { dtype: 'U8', shape: [...shape, 16], bytes: blocks });
      tensors.set(`${layer}.${name}_scales`, { dtype: 'U8', shape, bytes: scales });
      return (expert: number, row: number, col: number): number => {
        const at = (expert * rows + row) * cols + col;
        const byte = blocks[Math.floor(at / 2)]!;
        return numbers[at % 2 === 0 ? byte & 15 : byte >> 4]! * 2 ** (scales[Math.floor(at / 32)]! - 127);
      };
    };
    const both = packed('gate_up_proj', 2 * inner, hidden);
    const down = packed('down_proj', hidden, inner);
    writeFileSync(join(folder, 'config.json'), JSON.stringify(json));
    await saveSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' });

    const decoder = await loadDecoder(folder, { device: device('cpu'), dtype: 'f32' });
    const valuesOf = (name: string) => decoder.weights.get(name)!.data();
    const gateUp = await valuesOf(`${layer}.gate_up`);
    // Gate and up come in turns; here the gate's rows come first.
    for (const [expert, row, col] of [
      [0, 0, 0],
      [1, 5, 33],
      [2, 31, 63],
    ] as const) {
      const at = (r: number): number => gateUp[(expert * 2 * inner + r) * hidden + col]!;
      expect(at(row)).toBe(both(expert, 2 * row, col));
      expect(at(inner + row)).toBe(both(expert, 2 * row + 1, col));
    }
    const downs = await valuesOf(`${layer}.down`);
    expect([...downs]).toEqual(
      Array.from(downs, (_, i) => down(Math.floor(i / (hidden * inner)), Math.floor(i / inner) % hidden, i % inner)),
    );
    decoder.dispose();
  });
});
