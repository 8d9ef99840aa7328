// Adapters of before transformers 5, which have a pair for each expert, each dense and each shared projection: read as PEFT
// reads them (test/golden/old_experts.py), written in the form that PEFT gives them, and read again.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors, type SavedTensor, saveSafetensors } from '../../lib/files/safetensors.js';
import { loadModel, type Model } from '../../lib/model.js';
import { isEmulated, testDevice } from '../device.js';
import { floats, type Golden, readGolden, seeded, writeFolder } from '../golden/seeded.js';

const recorded = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'golden', 'old-experts.json'), 'utf8')) as {
  config: { r: number; target_modules: string[] };
  scale: number;
  logits: string;
};

/** Pairs for each module of the checkpoint that the config's names mean. */
async function writeOld({ weights }: Golden, to: string): Promise<void> {
  const { config, scale } = recorded;
  const tensors = new Map<string, SavedTensor>();
  for (const [name, [shape]] of Object.entries(weights)) {
    const path = name.replace(/\.weight$/, '');
    if (!config.target_modules.includes(path.split('.').at(-1)!)) continue;
    for (const [kind, size] of [
      ['A', [config.r, shape[1]!]],
      ['B', [shape[0]!, config.r]],
    ] as const) {
      const key = `base_model.model.${path}.lora_${kind}.weight`;
      const values = seeded(`old/${key}`, size, scale);
      tensors.set(key, { dtype: 'F32', shape: [...size], bytes: new Uint8Array(values.buffer) });
    }
  }
  mkdirSync(to);
  await saveSafetensors(join(to, 'adapter_model.safetensors'), tensors, { format: 'pt' });
  writeFileSync(join(to, 'adapter_config.json'), JSON.stringify(config));
}

describe.each(isEmulated ? ['qwen3_moe'] : ['qwen3_moe', 'glm4_moe'])('an old adapter of %s', (name) => {
  const golden = readGolden(name);
  let place: string;
  let model: Model;
  beforeAll(async () => {
    place = mkdtempSync(join(tmpdir(), 'helvetia-old-experts-'));
    await writeFolder(golden, place);
    await writeOld(golden, join(place, 'old'));
    model = await loadModel(place, { dtype: 'f32', device: testDevice });
  });
  afterAll(() => {
    model.dispose();
    rmSync(place, { recursive: true, force: true });
  });

  async function last(folder: string): Promise<Float32Array> {
    using adapter = await model.loadAdapter(join(place, folder));
    using logits = model.forward(golden.prompt, { adapter });
    return ((await logits.data()) as Float32Array).slice(-logits.dim(1));
  }

  it.runIf(name === 'qwen3_moe')("gives the logits of PEFT's fused one within 1e-4", async () => {
    const got = await last('old');
    floats(recorded.logits).forEach((x, i) => expect(Math.abs(got[i]! - x), `logit ${i}`).toBeLessThanOrEqual(1e-4));
  });

  it.skipIf(isEmulated)('is written with the experts fused, and gives the same numbers', async () => {
    using adapter = await model.loadAdapter(join(place, 'old'));
    await adapter.save(join(place, 'new'));
    using file = openSafetensors(join(place, 'new', 'adapter_model.safetensors'));
    const kinds = new Set([...file.tensors.keys()].map((key) => key.replace(/^.*layers\.\d+\./, '')));
    const modules = ['self_attn.q_proj', 'mlp.gate', 'mlp.experts', 'mlp.experts.base_layer'];
    const dense = ['gate', 'up', 'down'].flatMap((kind) => [`mlp.${kind}_proj`, `mlp.shared_experts.${kind}_proj`]);
    const all = name === 'glm4_moe' ? [...modules, ...dense] : modules;
    expect([...kinds].sort()).toEqual(all.flatMap((path) => [`${path}.lora_A.weight`, `${path}.lora_B.weight`]).sort());
    expect(await last('new')).toEqual(await last('old'));
  });
});
