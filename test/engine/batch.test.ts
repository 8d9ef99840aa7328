// Many requests in one batch: each is answered as if it were alone.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Adapter } from '../../lib/lora/adapter.js';
import { loadModel, type Model } from '../../lib/model.js';
import type { GenerateOptions } from '../../lib/text/options.js';
import { normal } from './numbers.js';

const folder = join(import.meta.dirname, '..', '..', 'models', 'helvetia-small');

interface Asked {
  ids: number[];
  options: GenerateOptions;
}

describe.each(['bf16', 'f32'] as const)('a batch in %s', (dtype) => {
  let model: Model;
  let adapters: Adapter[];
  beforeAll(async () => {
    model = await loadModel(folder, { dtype });
    adapters = Array.from({ length: 8 }, (_, i) => {
      const adapter = Adapter.create(model.decoder, { r: 2 + 2 * i, alpha: 16 }, i + 1);
      for (const [n, { b }] of [...adapter.pairs.values()].entries()) b.write(normal(b.size, 100 * i + n, 0.02));
      return adapter;
    });
  });
  afterAll(() => {
    for (const adapter of adapters) adapter.dispose();
    model.dispose();
  });

  // Lengths from 1 to some hundred tokens; one in five has no adapter.
  const asked = (count: number, temperature: number): Asked[] =>
    Array.from({ length: count }, (_, i) => ({
      ids: Array.from({ length: 1 + ((i * 37) % 190) }, (_, n) => 10 + ((n * n + i * 91 + n) % 1000)),
      options: {
        maxNewTokens: 10 + ((i * 13) % 40),
        temperature,
        seed: i,
        ignoreEos: true,
        ...(i % 5 === 4 ? {} : { adapter: adapters[i % 8]! }),
      },
    }));

  it.each([0, 1])('of 32 mixed requests with 8 adapters equals each alone, at temperature %d', async (temperature) => {
    const requests = asked(32, temperature);
    const together = await Promise.all(requests.map(({ ids, options }) => model.generate(ids, options)));
    for (const [i, { ids, options }] of requests.entries()) {
      expect(together[i]!.tokens, `request ${i}`).toEqual((await model.generate(ids, options)).tokens);
    }
    expect(new Set(together.map(({ tokens }) => tokens.slice(0, 8).join())).size).toBeGreaterThan(16);
  });

  it('gives log probabilities that do not depend on the batch, to the last bit', async () => {
    const ids = Array.from({ length: 70 }, (_, n) => 10 + ((n * 17) % 900));
    const options = { maxNewTokens: 12, temperature: 0, topLogprobs: 3, ignoreEos: true };
    const read = async (): Promise<number[]> => {
      const out: number[] = [];
      for await (const { top } of model.generateTokens(ids, options)) out.push(...top!.map(({ logprob }) => logprob));
      return out;
    };
    const alone = await read();
    const others = asked(31, 0).map(({ ids, options }) => model.generate(ids, options));
    expect(await read()).toEqual(alone);
    await Promise.all(others);
  });
});
