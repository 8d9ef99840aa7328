// What the memory pool holds at its peak beside what is in use at its peak, where lengths vary: a LoRA fine-tune on rows of
// unequal lengths, and prompts of unequal lengths that are answered together.
//
//   npm run build && node bench/memory.mjs MODEL [--steps 16] [--longest 240] [--device cpu]
import { parseArgs } from 'node:util';
import { loadModel } from '../dist/lib/index.js';
import { memory, resetPeak, trimMemory } from '../dist/lib/tensor-api.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    steps: { type: 'string', default: '16' },
    longest: { type: 'string', default: '240' },
    device: { type: 'string', default: 'cpu' },
  },
});
const [path] = positionals;
if (!path) throw new Error('bench/memory.mjs: name a model');
const steps = Number(values.steps);
const longest = Number(values.longest);

let state = 12345;
/** A whole number below `bound`; the same ones in each run. */
function below(bound) {
  state = (state * 1103515245 + 12345) % 2 ** 31;
  return Math.floor((state / 2 ** 31) * bound);
}
const ids = () => Array.from({ length: 1 + below(longest) }, () => 3 + below(500));

async function measured(name, work) {
  trimMemory(values.device);
  resetPeak(values.device);
  await work();
  const { peak, peakHeld } = memory(values.device);
  const megabytes = (bytes) => `${Math.round(bytes / 1e6)} MB`;
  console.log(`${name}: ${megabytes(peak)} in use, ${megabytes(peakHeld)} held: ${(peakHeld / peak).toFixed(2)} times`);
}

const model = await loadModel(path, { device: values.device });
await measured('LoRA', async () => {
  const data = Array.from({ length: 4 * steps }, ids).map((input_ids) => ({ input_ids, labels: input_ids }));
  (await model.finetune({ data, lora: { r: 8, alpha: 16 }, steps, batchSize: 4, learningRate: 1e-4 })).dispose();
});
await measured('serving', async () => {
  for (let round = 0; round < steps; round++) {
    const prompts = Array.from({ length: 1 + below(8) }, ids);
    await Promise.all(prompts.map((p) => model.generate(p, { maxNewTokens: 4 + below(40), ignoreEos: true })));
  }
});
model.dispose();
