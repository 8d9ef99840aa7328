// The model in the repository for tests that compare it with itself. On the GPU in software it has its first two layers
// alone: what serves a model does the same for two layers as for six, and the emulation is slow.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { openSafetensors, type SavedTensor, saveSafetensors } from '../lib/files/safetensors.js';
import { isEmulated } from './device.js';

export const modelId = 'helvetia-small';
const whole = join(import.meta.dirname, '..', 'models', modelId);

async function shortened(layers: number): Promise<string> {
  const place = mkdtempSync(join(tmpdir(), 'helvetia-layers-'));
  afterAll(() => rmSync(place, { recursive: true, force: true }));
  const folder = join(place, modelId);
  cpSync(whole, folder, { recursive: true, filter: (path) => !path.endsWith('.safetensors') });
  const config = JSON.parse(readFileSync(join(whole, 'config.json'), 'utf8')) as object;
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, num_hidden_layers: layers }));
  using file = openSafetensors(join(whole, 'model.safetensors'));
  const kept = [...file.tensors].filter(([name]) => Number(/\.layers\.(\d+)\./.exec(name)?.[1] ?? 0) < layers);
  const tensors = kept.map(([name, { dtype, shape }]): [string, SavedTensor] => [
    name,
    { dtype, shape, bytes: file.read(name) },
  ]);
  await saveSafetensors(join(folder, 'model.safetensors'), new Map(tensors), { format: 'pt' });
  return folder;
}

/** Its folder. */
export const modelPath = isEmulated ? await shortened(2) : whole;
