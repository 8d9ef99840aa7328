// The GPU's figures, side by side with PyTorch in one run: matrix products, attention, paged decoding, training steps and
// decoding of an 8B shape, and what many adapters cost.
//
//   npm run build && node bench/gpu.mjs [--out bench/results] [--quick]
//
// Writes OUT/<gpu>.json. Inputs are random; several copies of each take turns, so that nothing is read from L2 which a
// model would read from memory. Medians of repeated runs, ours and PyTorch's alternating. Where python3 has no torch with
// CUDA, ours stand alone.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { spread } from '../dist/lib/bench/measure.js';
import { timeLora } from '../dist/lib/bench/models.js';
import { subject } from '../dist/lib/bench/subject.js';
import { cudaInfo, device as deviceOf } from '../dist/lib/device.js';
import { Model } from '../dist/lib/model.js';
import {
  attention,
  backward,
  loraGrouped,
  matmul,
  noGrad,
  pagedAttention,
  randn,
  scope,
  tensor,
} from '../dist/lib/tensor-api.js';

const { values } = parseArgs({
  options: { out: { type: 'string', default: 'bench/results' }, quick: { type: 'boolean', default: false } },
});
const device = deviceOf('cuda');
const repeats = values.quick ? 3 : 10;
const dtype = 'bf16';
const l2 = 64e6;

/** Milliseconds of one call: calls enough for 20 ms are queued at once, so that what is timed is the device. */
async function time(work) {
  const many = async (count) => {
    const started = performance.now();
    for (let i = 0; i < count; i++) work(i);
    await device.idle();
    return performance.now() - started;
  };
  await many(2);
  const once = (await many(4)) / 4;
  const count = Math.max(1, Math.min(200, Math.ceil(20 / once)));
  return (await many(count)) / count;
}

/** PyTorch in a process of its own: one JSON line in, the milliseconds out. */
class Torch {
  #process = spawn('python3', [join(import.meta.dirname, 'gpu-torch.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
  #lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();

  async time(request) {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const { value } = await this.#lines.next();
    return value === undefined ? undefined : JSON.parse(value).milliseconds;
  }

  close() {
    this.#process.stdin.end();
  }
}

const hasTorch =
  spawnSync('python3', ['-c', 'import torch; torch.cuda.is_available() or exit(1)'], { stdio: 'ignore' }).status === 0;
const torch = hasTorch ? new Torch() : undefined;
if (!torch) console.error('python3 has no torch with CUDA: ours stand alone');

const results = [];

/** Times ours and PyTorch's in turn. `rate` turns milliseconds into `unit`. */
async function compare(name, unit, rate, ours, request) {
  const [mine, theirs] = [[], []];
  await scope(async () => {
    const work = await ours();
    for (let i = 0; i < repeats; i++) {
      mine.push(rate(await time(work)));
      const other = request && torch ? await torch.time(request) : undefined;
      if (other) theirs.push(rate(other));
    }
  });
  const entry = { name, unit, ours: spread(mine), ...(theirs.length ? { torch: spread(theirs) } : {}) };
  if (theirs.length) entry.ratio = entry.ours.median / entry.torch.median;
  results.push(entry);
  const other = theirs.length ? `   torch ${entry.torch.median.toFixed(0)}   ratio ${entry.ratio.toFixed(3)}` : '';
  console.error(`${name.padEnd(52)} ${entry.ours.median.toFixed(1).padStart(9)} ${unit}${other}`);
}

const draw = (shape, seed) => randn(shape, { seed, dtype, device });
const copies = (bytes, make) =>
  Array.from({ length: Math.max(1, Math.min(8, Math.ceil((3 * l2) / bytes))) }, (_, i) => make(i));
const quietly = (work) => (i) => scope(() => noGrad(() => void work(i)));

async function copyBandwidth() {
  const x = tensor(new Float32Array(1 << 28), { device });
  const { add } = await import('../dist/lib/tensor-api.js');
  const milliseconds = [];
  for (let i = 0; i < repeats; i++) milliseconds.push(await time(quietly(() => add(x, 0))));
  x.dispose();
  return (2 * 4 * 2 ** 28) / spread(milliseconds).median / 1e6;
}

// Llama 3.1 8B's linear layers, [out, in].
const layers8b = [
  [6144, 4096],
  [4096, 4096],
  [28672, 4096],
  [4096, 14336],
];

async function products() {
  const shapes = [[4096, 4096, 4096], [8192, 8192, 8192], ...layers8b.map(([n, k]) => [4096, n, k])];
  for (const [m, n, k] of shapes) {
    const bytes = 2 * (m * k + n * k + m * n);
    await compare(
      `matmul bf16 ${m} × ${n} × ${k}`,
      'TFLOP/s',
      (ms) => (2 * m * n * k) / ms / 1e9,
      () => {
        const sets = copies(bytes, (i) => [draw([m, k], 2 * i), draw([n, k], 2 * i + 1)]);
        return quietly((i) => matmul(...sets[i % sets.length], { transposeB: true }));
      },
      { what: 'matmul', m, n, k },
    );
  }
  for (const m of [1, 4, 8]) {
    for (const [n, k] of layers8b) {
      await compare(
        `matrix-vector bf16 ${m} × ${n} × ${k}`,
        'GB/s',
        (ms) => (2 * n * k) / ms / 1e6,
        () => {
          const weights = copies(2 * n * k, (i) => draw([n, k], i));
          const x = draw([m, k], 99);
          return quietly((i) => matmul(x, weights[i % weights.length], { transposeB: true }));
        },
        { what: 'matmul', m, n, k },
      );
    }
  }
}

async function attentions() {
  const [heads, kvHeads, d] = [32, 8, 128];
  for (const tokens of [2048, 8192, 16384]) {
    const flops = 4 * heads * d * ((tokens * tokens) / 2);
    const inputs = () => {
      const [q, k, v, grad] = [heads, kvHeads, kvHeads, heads].map((count, i) => draw([tokens, count, d], i));
      return { q, k, v, grad, options: { boundaries: tensor(Int32Array.of(0, tokens), { device }), scale: d ** -0.5 } };
    };
    await compare(
      `attention causal ${tokens}, 32/8 heads × 128, forward`,
      'TFLOP/s',
      (ms) => flops / ms / 1e9,
      () => {
        const { q, k, v, options } = inputs();
        return quietly(() => attention(q, k, v, options));
      },
      { what: 'attention', tokens, heads, kvHeads, d },
    );
    await compare(
      `attention causal ${tokens}, 32/8 heads × 128, forward and backward`,
      'TFLOP/s',
      (ms) => (3.5 * flops) / ms / 1e9,
      () => {
        const { q, k, v, grad, options } = inputs();
        for (const x of [q, k, v]) x.requiresGrad = true;
        return () =>
          scope(() => {
            backward(attention(q, k, v, options), grad);
            for (const x of [q, k, v]) {
              x.grad?.dispose();
              x.grad = undefined;
            }
          });
      },
      { what: 'attention-both', tokens, heads, kvHeads, d },
    );
  }
}

async function paged() {
  const [heads, kvHeads, d, blockSize, context] = [32, 8, 128, 32, 4096];
  for (const batch of [1, 8, 32, 64]) {
    const perSequence = context / blockSize;
    const bytes = 2 * 2 * batch * context * kvHeads * d;
    await compare(
      `paged decode, batch ${batch}, ${context} keys, 32/8 heads × 128`,
      'GB/s',
      (ms) => bytes / ms / 1e6,
      () => {
        const shape = [batch * perSequence, kvHeads, blockSize, d];
        const caches = copies(bytes, (i) => [draw(shape, 2 * i), draw(shape, 2 * i + 1)]);
        const q = draw([batch, heads, d], 7);
        const order = Int32Array.from({ length: batch * perSequence }, (_, i) => (i * 7919) % (batch * perSequence));
        const options = {
          blockTables: tensor(order, { shape: [batch, perSequence], device }),
          boundaries: tensor(
            Int32Array.from({ length: batch + 1 }, (_, i) => i),
            { device },
          ),
          lengths: tensor(new Int32Array(batch).fill(context), { device }),
          scale: d ** -0.5,
        };
        return quietly((i) => pagedAttention(q, ...caches[i % caches.length], options));
      },
      { what: 'decode', batch, context, heads, kvHeads, d },
    );
  }
}

async function adapters() {
  const [rows, rank, slots] = [32, 16, 32];
  for (const [n, k] of layers8b) {
    const make = (withAdapters) => () => {
      const weights = copies(2 * n * k, (i) => draw([n, k], i));
      const x = draw([rows, k], 50);
      const groups = {
        a: draw([slots, rank, k], 51),
        b: draw([slots, n, rank], 52),
        scalings: tensor(new Float32Array(slots).fill(2), { device }),
        order: tensor(
          Int32Array.from({ length: rows }, (_, i) => i),
          { device },
        ),
        segments: tensor(
          Int32Array.from({ length: slots + 1 }, (_, i) => i),
          { device },
        ),
      };
      return quietly((i) => {
        const out = matmul(x, weights[i % weights.length], { transposeB: true });
        if (withAdapters) loraGrouped(out, x, groups);
      });
    };
    const name = `${rows} rows × ${n} × ${k}`;
    await compare(`${name}, no adapter`, 'ms', (ms) => ms, make(false));
    await compare(`${name}, 32 adapters of rank 16`, 'ms', (ms) => ms, make(true));
  }
}

async function wholeModel() {
  const shape = 'llama-3.1-8b';
  const decoder = await subject({ shape, dtype, device });
  const lora = await timeLora(decoder, {
    rows: 1,
    seqLength: 4096,
    rank: 16,
    checkpointing: false,
    repeats,
    warmup: 3,
  });
  results.push({ name: `${shape}, LoRA r=16, 4096 tokens a step`, unit: 'tokens/s', ours: lora });
  console.error(`${shape} LoRA step: ${lora.median.toFixed(0)} tokens/s`);

  const defaults = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, endIds: [] };
  const model = new Model(shape, '.', decoder, undefined, defaults);
  for (const streams of [1, 32]) {
    const rates = [];
    for (let i = 0; i < Math.min(repeats, 5); i++) {
      const prompt = (seed) => Array.from({ length: 128 }, (_, t) => (t * 7919 + seed * 104729) % 128000);
      const tokens = 128;
      const run = async (seed) => {
        let first = 0;
        for await (const _ of model.generate(prompt(seed), { maxNewTokens: tokens, ignoreEos: true }))
          first ||= performance.now();
        return { first, last: performance.now() };
      };
      const ends = await Promise.all(Array.from({ length: streams }, (_, s) => run(i * streams + s)));
      const began = Math.max(...ends.map(({ first }) => first));
      rates.push((1000 * streams * (tokens - 1)) / (Math.max(...ends.map(({ last }) => last)) - began));
    }
    results.push({ name: `${shape}, decoding ${streams} streams`, unit: 'tokens/s', ours: spread(rates) });
    console.error(`${shape} decode, ${streams} streams: ${spread(rates).median.toFixed(0)} tokens/s`);
  }
  if (torch) {
    const ms = await torch.time({ what: 'lora', tokens: 4096, rank: 16, repeats: Math.min(repeats, 5) });
    if (ms)
      results.push({
        name: `${shape}, LoRA r=16, transformers + PEFT`,
        unit: 'tokens/s',
        torch: spread([4096e3 / ms]),
      });
  }
  model.dispose();
}

const query = (fields) =>
  spawnSync('nvidia-smi', [`--query-gpu=${fields}`, '--format=csv,noheader'], { encoding: 'utf8' }).stdout?.trim();
const gpu = cudaInfo();
const facts = {
  gpu: gpu.name,
  capability: gpu.capability,
  driver: query('driver_version'),
  clocks: query('clocks.sm,clocks.max.sm,power.limit'),
  command: `node bench/gpu.mjs${values.quick ? ' --quick' : ''}`,
  copyGBps: await copyBandwidth(),
};
console.error(`${gpu.name}: copies ${facts.copyGBps.toFixed(0)} GB/s`);
for (const part of [products, attentions, paged, adapters, wholeModel]) await part();
torch?.close();
mkdirSync(values.out, { recursive: true });
const file = join(values.out, `${gpu.name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.json`);
writeFileSync(file, `${JSON.stringify({ ...facts, clocksAfter: query('clocks.sm'), results }, null, 2)}\n`);
console.error(`wrote ${file}`);
