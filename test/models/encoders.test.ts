// Tiny random models of vectors and scores against what transformers gives on them (test/golden/encoders.py): from a Hugging
// Face folder with the modules of sentence-transformers and from a GGUF file, alone and in batches of any composition.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel, type Model } from '../../lib/model.js';
import { isEmulated, testDevice } from '../device.js';
import { type EncoderGolden, encoderNames, floats, readEncoder, writeFolder, writeGguf } from '../golden/seeded.js';

const load = (path: string, dtype: 'f32' | 'bf16' | 'f16' = 'f32'): Promise<Model> =>
  loadModel(path, { dtype, device: testDevice });

let place: string;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'helvetia-encoders-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

type Text = EncoderGolden['texts'][number];

/** A text's vector, or its logit alone. */
async function resultOf({ engine, decoder }: Model, { ids, types, vector }: Text): Promise<Float32Array> {
  if (vector !== undefined) return engine.embed(ids, { types });
  return Float32Array.of(await engine.rate(ids, decoder.config.ranker!, { types }));
}

const wanted = ({ vector, score }: Text): Float32Array =>
  vector === undefined ? Float32Array.of(score!) : floats(vector);

async function expectResults(of: Model, texts: readonly Text[], within = 1e-4): Promise<Float32Array[]> {
  const got = await Promise.all(texts.map((text) => resultOf(of, text)));
  for (const [n, text] of texts.entries()) {
    const want = wanted(text);
    expect(got[n]).toHaveLength(want.length);
    want.forEach((x, i) => expect(Math.abs(got[n]![i]! - x), `number ${i} of text ${n}`).toBeLessThanOrEqual(within));
  }
  return got;
}

// The GPU in software gets one golden of each family.
const compared = encoderNames.filter((name) => !(isEmulated && name.includes('.')));

describe.each(compared)('%s', (name) => {
  const golden = readEncoder(name);
  const { texts } = golden;
  let model: Model;
  beforeAll(async () => {
    const folder = join(place, name);
    mkdirSync(folder);
    await writeFolder(golden, folder);
    model = await load(folder);
  });
  afterAll(() => model?.dispose());

  it('gives the vectors and scores of transformers within 1e-4', async () => {
    await expectResults(model, texts);
  });

  it.skipIf(testDevice !== 'cpu')('gives them from weights in bf16 and f16, which hold the same numbers', async () => {
    for (const dtype of ['bf16', 'f16'] as const) {
      using narrow = await load(model.path, dtype);
      // Where there is a KV cache, it holds keys and values in the weights' format.
      await expectResults(narrow, texts, narrow.decoder.config.bidirectional ? 1e-4 : 1e-2);
    }
  });

  it('gives a text the same bits alone and in any company, a text longer than a step too', async () => {
    using other = await load(model.path);
    other.configureEngine({ maxBatch: 3, stepTokens: 16 });
    const together = await expectResults(model, [...texts, ...texts]);
    const shuffled = await expectResults(other, texts.toReversed());
    for (const [n, text] of texts.entries()) {
      expect(await resultOf(model, text), `text ${n} alone`).toEqual(together[n]);
      expect(together[texts.length + n]).toEqual(together[n]);
      expect(shuffled.at(-1 - n), `text ${n} in other steps`).toEqual(together[n]);
    }
  });

  it.skipIf(!golden.gguf)('gives them from a GGUF file', async () => {
    const file = join(place, `${name}.gguf`);
    writeGguf(golden, file);
    using other = await load(file);
    await expectResults(other, texts);
  });
});
