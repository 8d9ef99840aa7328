// npm run pretrain: makes models/helvetia-small from nothing. Writes the tokenizer, trains all weights on the generated
// corpus with this library's own training, and saves them as bf16.
//
//   npm run pretrain -- [--steps N] [--out FOLDER] [--checkpoints FOLDER]
//
// Ctrl-C ends it; with --checkpoints the next run goes on from there.
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { device as deviceOf } from '../../lib/core/device.js';
import { scope } from '../../lib/core/scope.js';
import { readJson } from '../../lib/files/json.js';
import { type SavedTensor, saveSafetensors } from '../../lib/files/safetensors.js';
import { decoderConfig } from '../../lib/models/architectures/index.js';
import { randomDecoder } from '../../lib/models/load.js';
import { cast } from '../../lib/ops/copy.js';
import { Tokenizer } from '../../lib/text/tokenizer/tokenizer.js';
import type { Row } from '../../lib/train/data/rows.js';
import { trainFull } from '../../lib/train/finetune.js';
import { documents, sampleEval } from './corpus.js';
import { writeTokenizer } from './tokenizer.js';

const home = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'models', 'helvetia-small');

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '6000' },
    out: { type: 'string', default: home },
    checkpoints: { type: 'string' },
  },
});

/** Documents as rows of tokens: all of them are learned, the marks of the chat format too. */
function* rows(texts: Iterable<string>, tokenizer: Tokenizer): Generator<Row> {
  for (const text of texts) {
    const ids = tokenizer.encode(text, { addSpecialTokens: false });
    yield { input_ids: ids, labels: ids };
  }
}

async function main(): Promise<void> {
  const out = resolve(values.out);
  mkdirSync(out, { recursive: true });
  for (const file of ['config.json', 'generation_config.json', 'tokenizer_config.json', 'README.md']) {
    if (!existsSync(join(out, file))) copyFileSync(join(home, file), join(out, file));
  }
  writeTokenizer(out);
  const tokenizer = (await Tokenizer.fromFolder(out))!;
  const config = decoderConfig(join(out, 'config.json'), readJson(join(out, 'config.json')));
  const device = deviceOf('auto');
  const decoder = randomDecoder(config, { device, seed: 1 });
  const parameters = [...decoder.weights.values()].reduce((sum, { size }) => sum + size, 0);
  const steps = Number(values.steps);
  console.log(`training ${parameters.toLocaleString('en')} parameters on ${device} for ${steps} steps`);

  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort(new Error('stopped by Ctrl-C')));
  const run = trainFull(decoder, undefined, {
    data: rows(documents(1), tokenizer),
    shuffle: false,
    steps,
    batchTokens: 2048,
    seqLength: config.contextLength,
    learningRate: 3e-3,
    schedule: 'cosine',
    warmupSteps: 50,
    weightDecay: 0.1,
    betas: [0.9, 0.95],
    evalData: [...rows(sampleEval(200), tokenizer)],
    evalEvery: 250,
    signal: stop.signal,
    ...(values.checkpoints ? { checkpointDir: values.checkpoints, checkpointEvery: 250, resume: true } : {}),
  });
  const started = performance.now();
  for await (const { step, loss, evalLoss, tokensPerSecond } of run) {
    if (step % 25 !== 0 && evalLoss === undefined && step !== steps) continue;
    const minutes = ((performance.now() - started) / 60_000).toFixed(1);
    const held = evalLoss === undefined ? '' : `, held-out loss ${evalLoss.toFixed(4)}`;
    console.log(
      `step ${step}/${steps}: loss ${loss.toFixed(4)}${held}, ${Math.round(tokensPerSecond)} tokens/s, ${minutes} min`,
    );
  }
  const trained = await run;

  const tensors = new Map<string, SavedTensor>();
  for (const [name, weight] of trained.weights) {
    using rounded = scope(() => cast(weight, 'bf16'));
    tensors.set(name, { dtype: 'BF16', shape: weight.shape, bytes: await rounded.bytes() });
  }
  await saveSafetensors(join(out, 'model.safetensors'), tensors, { format: 'pt' });
  console.log(`wrote ${join(out, 'model.safetensors')}`);
}

main().catch((error: unknown) => {
  console.error(`pretrain: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
