// Language models inside models that see: config and tensors under their prefixes, what lies beside them, adapters by either
// name, and what is saved.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors, type SavedTensor, saveSafetensors } from '../../lib/files/safetensors.js';
import { isBeside, languageConfig, namesOf } from '../../lib/files/wrapped.js';
import { loadModel } from '../../lib/model.js';
import { testDevice as device } from '../device.js';
import { type Golden, readGolden, writeAdapter, writeFolder } from '../golden/seeded.js';

let place: string;
let folders = 0;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'helvetia-wrapped-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

/** The golden's folder with its tensors renamed, a tower beside them, and its config as `text_config`. */
async function wrap(golden: Golden, type: string, renamed: (name: string) => string): Promise<string> {
  const folder = join(place, `${golden.name}-inside-${++folders}`);
  mkdirSync(folder);
  await writeFolder(golden, folder);
  const file = join(folder, 'model.safetensors');
  const tensors = new Map<string, SavedTensor>();
  using stored = openSafetensors(file);
  for (const [name, { shape }] of stored.tensors) {
    tensors.set(renamed(name), { dtype: 'F32', shape, bytes: stored.read(name).slice() });
  }
  const tower: SavedTensor = { dtype: 'F32', shape: [3], bytes: new Uint8Array(12) };
  for (const name of ['model.visual.blocks.0.norm1.weight', 'mtp.fc.weight']) tensors.set(name, tower);
  await saveSafetensors(file, tensors, { format: 'pt' });
  const { tie_word_embeddings, eos_token_id, ...text } = golden.config;
  const outer = { model_type: type, tie_word_embeddings, eos_token_id, vision_config: { depth: 2 } };
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...outer, text_config: text }));
  return folder;
}

const under = (name: string): string => name.replace(/^model\./, 'model.language_model.');
const before = (name: string): string => `language_model.${name}`;

describe.each([
  ['qwen3_5_text', 'qwen3_5', under],
  ['gemma3_text', 'gemma3', before],
  ['gemma4_text', 'gemma4', under],
] as const)('%s inside %s', (name, type, renamed) => {
  const golden = readGolden(name);
  it('computes what it computes alone, and is saved as a language model', async () => {
    const alone = join(place, name);
    mkdirSync(alone);
    await writeFolder(golden, alone);
    using plain = await loadModel(alone, { dtype: 'f32', device });
    using model = await loadModel(await wrap(golden, type, renamed), { dtype: 'f32', device });
    const want = await plain.forward(golden.prompt).data();
    expect(await model.forward(golden.prompt).data()).toEqual(want);

    const saved = join(place, `${name}-saved`);
    await model.save(saved);
    const config = JSON.parse(readFileSync(join(saved, 'config.json'), 'utf8')) as Record<string, unknown>;
    expect(config.model_type).toBe(name);
    using again = await loadModel(saved, { dtype: 'f32', device });
    expect(await again.forward(golden.prompt).data()).toEqual(want);
  });

  it('takes adapters that name its modules by either prefix', async () => {
    using model = await loadModel(await wrap(golden, type, renamed), { dtype: 'f32', device });
    const folder = join(place, `${name}-adapter`);
    mkdirSync(folder);
    await writeAdapter(golden, folder);
    using usual = await model.loadAdapter(folder);
    const want = await model.forward(golden.prompt, { adapter: usual }).data();

    const file = join(folder, 'adapter_model.safetensors');
    const tensors = new Map<string, SavedTensor>();
    {
      using stored = openSafetensors(file);
      for (const [key, { shape }] of stored.tensors) {
        const [, path] = /^base_model\.model\.(.*)$/.exec(key)!;
        tensors.set(`base_model.model.${renamed(path!)}`, { dtype: 'F32', shape, bytes: stored.read(key).slice() });
      }
    }
    await saveSafetensors(file, tensors, { format: 'pt' });
    using other = await model.loadAdapter(folder);
    expect(await model.forward(golden.prompt, { adapter: other }).data()).toEqual(want);
  });
});

describe('a wrapped checkpoint', () => {
  it('has the language model under text_config, with what only the outer config says', () => {
    const outer = {
      model_type: 'qwen3_5',
      eos_token_id: 7,
      text_config: { model_type: 'qwen3_5_text', eos_token_id: null },
    };
    expect(languageConfig('config.json', outer)).toEqual({ model_type: 'qwen3_5_text', eos_token_id: 7 });
    const windowless = { model_type: 'mistral', sliding_window: null };
    expect(languageConfig('config.json', { model_type: 'mistral3', text_config: windowless })).toEqual(windowless);
    expect(languageConfig('config.json', { model_type: 'llama' })).toEqual({ model_type: 'llama' });
    expect(() => languageConfig('config.json', { text_config: 'no' })).toThrow(
      'config.json: text_config must be an object, got "no"',
    );
  });

  it('names tensors in the ways of transformers', () => {
    expect(namesOf('model.norm.weight')).toEqual([
      'model.norm.weight',
      'model.language_model.norm.weight',
      'language_model.model.norm.weight',
      'backbone.norm.weight',
      'norm.weight',
    ]);
    expect(['model.visual.x', 'vision_tower.x', 'mtp.layers.0.x', 'multi_modal_projector.x'].every(isBeside)).toBe(
      true,
    );
    expect(['model.layers.0.x', 'lm_head.weight', 'model.language_model.norm.weight'].some(isBeside)).toBe(false);
  });
});
