// Serving beside a fine-tune: the time between two tokens of 32-token answers, of one stream and of 8 streams, while the
// device is idle otherwise and while a LoRA fine-tune of the same model runs. The promise is that serving stays within
// twice its idle figures, in the mean and at the 95th percentile; fails if it does not.
//
//   npm run build && node bench/serve-training.mjs [--model models/helvetia-small] [--data examples/data/demo.jsonl]
//     [--answers 24] [--batch-tokens 512]
//
// `--data` is JSONL of chats, prompts with completions, or GSM8K's questions with answers.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadModel } from '../dist/lib/index.js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values } = parseArgs({
  options: {
    model: { type: 'string', default: here('../models/helvetia-small') },
    data: { type: 'string', default: here('../examples/data/demo.jsonl') },
    answers: { type: 'string', default: '24' }, // of each measurement
    'batch-tokens': { type: 'string', default: '512' },
  },
});
const most = 2;
const length = 32;

const model = await loadModel(values.model);
const rows = readFileSync(values.data, 'utf8')
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line))
  .map((row) => ('question' in row ? { prompt: row.question, completion: row.answer } : row));

/** Milliseconds between the tokens of one answer. */
async function answer(seed) {
  const between = [];
  let last;
  const prompt = `Question ${seed}: why is the sky blue in the morning and red in the evening?`;
  for await (const _ of model.generate(prompt, { maxNewTokens: length, ignoreEos: true, seed })) {
    const now = performance.now();
    if (last !== undefined) between.push(now - last);
    last = now;
  }
  return between;
}

/** Of so many streams at once: mean, median and 95th percentile in milliseconds. */
async function measure(streams) {
  const between = [];
  for (let n = 0; n < Number(values.answers); n += streams) {
    const answers = await Promise.all(Array.from({ length: streams }, (_, i) => answer(n + i)));
    between.push(...answers.flat());
  }
  between.sort((a, b) => a - b);
  return {
    mean: between.reduce((sum, x) => sum + x, 0) / between.length,
    p50: between[Math.floor(between.length * 0.5)],
    p95: between[Math.floor(between.length * 0.95)],
  };
}

const each = async () => [await measure(1), await measure(8)];

await each(); // weights are read, times are known
const idle = await each();

const run = model.finetune({
  data: rows,
  steps: 1_000_000,
  batchTokens: Number(values['batch-tokens']),
  gradientCheckpointing: false,
  lora: { r: 8, alpha: 16 },
});
let trained = 0;
const steps = [];
const training = (async () => {
  for await (const { tokens } of run) {
    trained += tokens;
    steps.push(tokens);
  }
})().catch((error) => {
  if (error.name !== 'AbortError') throw error;
});
while (steps.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));

const rate = async (during) => {
  const [before, began] = [trained, performance.now()];
  const result = await during();
  return { result, tokensPerSecond: ((trained - before) / (performance.now() - began)) * 1000 };
};
const alone = await rate(() => new Promise((resolve) => setTimeout(resolve, 10_000)));
const beside = await rate(each);
run.cancel();
await training;
run.adapter?.dispose();
await model.engine.dispose();
model.dispose();

const ratios = [1, 8].map((streams, i) => {
  const [from, to] = [idle[i], beside.result[i]];
  const ratio = Object.fromEntries(Object.keys(from).map((name) => [name, to[name] / from[name]]));
  return { streams, idleMilliseconds: from, besideMilliseconds: to, ratio };
});
const trainingTokensPerSecond = { alone: alone.tokensPerSecond, beside: beside.tokensPerSecond };
console.log(JSON.stringify({ ratios, trainingTokensPerSecond }, null, 2));
const wrong = ratios.some(({ ratio }) => !(ratio.mean <= most && ratio.p95 <= most));
if (wrong) console.error(`serving took more than ${most} times its idle time per token`);
process.exitCode = wrong ? 1 : 0;
