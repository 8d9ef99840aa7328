// Serving beside a fine-tune: the time between two tokens of 32-token answers, of one stream and of 8 streams, while the
// device is idle otherwise and while a LoRA fine-tune of the same model runs. The promise is that serving stays within
// twice its idle figures, in the mean and at the 95th percentile; fails if it does not.
//
//   npm run build && node bench/serve-training.mjs [--model models/helvetia-small] [--data examples/data/demo.jsonl]
//     [--answers 24] [--batch-tokens 256]
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
    'batch-tokens': { type: 'string', default: '256' },
  },
});
const [answers, batchTokens] = [values.answers, values['batch-tokens']].map(Number);
if (!(answers >= 1) || !(batchTokens >= 1)) throw new Error('--answers and --batch-tokens must be numbers from 1 on');
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

/** The times between the tokens of all answers, of so many streams at once. */
async function measure(streams) {
  const between = [];
  for (let n = 0; n < answers; n += streams) {
    const answers = await Promise.all(Array.from({ length: streams }, (_, i) => answer(n + i)));
    between.push(...answers.flat());
  }
  return between;
}

function figures(between) {
  const sorted = between.toSorted((a, b) => a - b);
  if (sorted.length < 20) throw new Error(`${sorted.length} times between tokens are too few for a 95th percentile`);
  return {
    mean: sorted.reduce((sum, x) => sum + x, 0) / sorted.length,
    p50: sorted[Math.floor(sorted.length * 0.5)],
    p95: sorted[Math.floor(sorted.length * 0.95)],
  };
}

const each = async () => [await measure(1), await measure(8)];

await each(); // weights are read, times are known
const before = await each();

const run = model.finetune({
  data: rows,
  steps: 1_000_000,
  batchTokens,
  gradientCheckpointing: false,
  lora: { r: 8, alpha: 16 },
});
let trained = 0;
let ended = false;
const training = (async () => {
  for await (const { tokens } of run) trained += tokens;
})()
  .catch((error) => {
    if (error.name !== 'AbortError') throw error;
  })
  .finally(() => {
    ended = true;
  });
/** Resolves when a step of training ends. */
const step = async () => {
  for (const now = trained; now === trained && !ended; ) await new Promise((resolve) => setTimeout(resolve, 5));
};
const rate = async (during) => {
  const [from, began] = [trained, performance.now()];
  const result = await during();
  return { result, tokensPerSecond: ((trained - from) / (performance.now() - began)) * 1000 };
};
await step();
const alone = await rate(async () => {
  for (let i = 0; i < 3; i++) await step();
});
const beside = await rate(each);
run.cancel();
await training;
run.adapter?.dispose();
const after = await each(); // the machine may have changed its pace meanwhile
await model.engine.dispose();
model.dispose();

const ratios = [1, 8].map((streams, i) => {
  const [from, to] = [figures([...before[i], ...after[i]]), figures(beside.result[i])];
  const ratio = Object.fromEntries(Object.keys(from).map((name) => [name, to[name] / from[name]]));
  return { streams, idleMilliseconds: from, besideMilliseconds: to, ratio };
});
const trainingTokensPerSecond = { alone: alone.tokensPerSecond, beside: beside.tokensPerSecond };
console.log(JSON.stringify({ ratios, trainingTokensPerSecond }, null, 2));
const wrong = ratios.some(({ ratio }) => !(ratio.mean <= most && ratio.p95 <= most));
if (wrong) console.error(`serving took more than ${most} times its idle time per token`);
process.exitCode = wrong ? 1 : 0;
