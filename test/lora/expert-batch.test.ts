// Adapters over experts and routers beside each other in the engine: each request of a batch gets the tokens that whole
// forward passes with its adapter alone give.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Adapter } from '../../lib/lora/adapter.js';
import { loadModel, type Model } from '../../lib/model.js';
import { isEmulated, testDevice } from '../device.js';
import { normal } from '../engine/numbers.js';
import { readGolden, writeFolder } from '../golden/seeded.js';

const [gateUp, down] = ['mlp.experts.gate_up_proj', 'mlp.experts.down_proj'];
// Ranks that need more room one after the other, and parameters that only some have.
const chosen = [
  { r: 2, targetModules: ['q_proj'], targetParameters: [gateUp, down] },
  { r: 11, targetModules: ['o_proj'], targetParameters: [down] },
  { r: 5, targetModules: [], targetParameters: [gateUp, 'weight'] },
];

describe.each([
  ['qwen3_moe', 'mlp.gate.weight'],
  ['gpt_oss', 'mlp.router.weight'],
])('a batch of %s with adapters over its experts', (name, router) => {
  let folder: string;
  let model: Model;
  let adapters: Adapter[];
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'helvetia-expert-batch-'));
    await writeFolder(readGolden(name), folder);
    model = await loadModel(folder, { dtype: 'f32', device: testDevice });
    adapters = chosen.map(({ targetParameters, ...options }, i) => {
      const parameters = targetParameters.map((parameter) => (parameter === 'weight' ? router : parameter));
      const adapter = Adapter.create(model.decoder, { ...options, alpha: 8, targetParameters: parameters }, i + 1);
      for (const [n, { b }] of [...adapter.pairs.values()].entries()) b.write(normal(b.size, 100 * i + n, 0.3));
      return adapter;
    });
  });
  afterAll(() => {
    for (const adapter of adapters) adapter.dispose();
    model.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What whole passes choose behind the prompt and each of the tokens but the last. */
  async function likeliest(prompt: readonly number[], tokens: readonly number[], adapter?: Adapter): Promise<number[]> {
    using logits = model.forward([...prompt, ...tokens.slice(0, -1)], adapter ? { adapter } : {});
    const [values, vocab] = [await logits.data(), logits.dim(1)];
    return tokens.map((_, i) => {
      const row = values.subarray((prompt.length - 1 + i) * vocab, (prompt.length + i) * vocab);
      return row.indexOf(Math.max(...row));
    });
  }

  it('gives each request the tokens that it has alone', async () => {
    const requests = Array.from({ length: isEmulated ? 4 : 8 }, (_, i) => ({
      prompt: Array.from({ length: 3 + ((i * 5) % 11) }, (_, n) => (7 + 13 * n * (i + 1)) % 96),
      adapter: adapters[i % 4],
    }));
    const options = { maxNewTokens: isEmulated ? 2 : 8, temperature: 0, ignoreEos: true };
    const answers = await Promise.all(
      requests.map(({ prompt, adapter }) => model.generate(prompt, adapter ? { ...options, adapter } : options)),
    );
    for (const [i, { prompt, adapter }] of requests.entries()) {
      const { tokens } = answers[i]!;
      expect(tokens, `request ${i}`).toEqual(await likeliest(prompt, tokens, adapter));
      // The adapter matters: without it, the same text goes on otherwise.
      if (adapter && i < 4 && !isEmulated) expect(await likeliest(prompt, tokens), `request ${i}`).not.toEqual(tokens);
    }
  });
});
