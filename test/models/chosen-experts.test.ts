// Decoding with a mixture of experts reads the weights of the chosen ones alone: counted by the pages of a checkpoint, used
// in place, that a token brings into memory.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { noGrad } from '../../lib/core/autograd.js';
import { device } from '../../lib/core/device.js';
import { scope } from '../../lib/core/scope.js';
import { type SavedTensor, saveSafetensors } from '../../lib/files/safetensors.js';
import { decoderConfig } from '../../lib/models/architectures/index.js';
import { bytesPerToken, weightBytes, weightsOf } from '../../lib/models/config.js';
import { type Decoder, packed } from '../../lib/models/decoder.js';
import { loadDecoder, randomDecoder } from '../../lib/models/load.js';
import { storedParts } from '../../lib/models/pieces.js';

const json = {
  model_type: 'granitemoe',
  vocab_size: 64,
  hidden_size: 256,
  intermediate_size: 384,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_local_experts: 32,
  num_experts_per_tok: 2,
  max_position_embeddings: 128,
  tie_word_embeddings: true,
};
const config = decoderConfig('config.json', json);
const cpu = device('cpu');

describe.skipIf(process.platform !== 'linux')('a token of a mixture of experts', () => {
  let folder: string;
  let file: string;
  let decoder: Decoder;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'helvetia-chosen-'));
    file = join(folder, 'model.safetensors');
    const made = randomDecoder(config, { device: cpu, dtype: 'bf16', deviation: 0.1 });
    const tensors = new Map<string, SavedTensor>();
    for (const weight of weightsOf(config))
      for (const { name, shape, part } of storedParts(weight, made.weights.get(weight.name)!)) {
        using x = part();
        tensors.set(name, { dtype: 'BF16', shape, bytes: await x.bytes() });
      }
    made.dispose();
    writeFileSync(join(folder, 'config.json'), JSON.stringify(json));
    await saveSafetensors(file, tensors, { format: 'pt' });
    decoder = await loadDecoder(folder, { device: cpu });
  });
  afterAll(() => {
    decoder.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Bytes of the file that this process has in memory. */
  function resident(): number {
    const maps = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
    return maps
      .filter((map) => map.split('\n')[0]!.endsWith(file))
      .reduce((sum, map) => sum + 1024 * Number(/^Rss:\s+(\d+) kB/m.exec(map)![1]), 0);
  }

  async function read(tokens: number): Promise<number> {
    const hidden = scope(() =>
      noGrad(() => decoder.hidden(packed([Array.from({ length: tokens }, (_, i) => (i * 29) % 64)], cpu))),
    );
    await hidden.data();
    hidden.dispose();
    return resident();
  }

  it('reads the experts that it is sent to, and no others', async () => {
    const before = resident();
    const one = (await read(1)) - before;
    const [perToken, all] = [bytesPerToken(config, 'bf16'), weightBytes(config, 'bf16')];
    expect(perToken).toBeLessThan(all / 6);
    // A page fault brings neighbours along, 64 kB at either end of what is read: two matrices of two experts, and
    // the rest.
    const more = 2 * 65536 * (2 * 2 + 1);
    expect(one).toBeGreaterThan(0.9 * perToken);
    expect(one).toBeLessThan(perToken + more);
    // That all are read where there are tokens for all shows that pages tell.
    expect(await read(120)).toBeGreaterThan(0.9 * statSync(file).size);
  });
});
