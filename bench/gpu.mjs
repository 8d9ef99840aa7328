// The GPU's figures, side by side with PyTorch in one run: matrix products, those of experts, attention, paged decoding, then
// an 8B shape: training steps, decoding, and what 32 adapters in a batch cost.
//
//   npm run build && node bench/gpu.mjs [--out bench/results] [--quick] [--seconds 540]
//
// First the results of large shapes are checked against sums in double precision: wrong figures are not worth having.
// Writes OUT/<gpu>.json after every figure; cut off, or out of --seconds, the same command goes on where it stopped.
// Inputs are random; several copies of each take turns, so that nothing is read from L2 which a model would read from
// memory. Medians of repeated runs, ours and PyTorch's alternating. Where python3 has no torch with CUDA, ours stand
// alone. --smoke runs tiny shapes, to try the program itself (HELVETIA_GPU=simt).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { spread } from '../dist/lib/bench/measure.js';
import { timeLora } from '../dist/lib/bench/models.js';
import { subject } from '../dist/lib/bench/subject.js';
import { cudaInfo, device as deviceOf, trimMemory } from '../dist/lib/core/device.js';
import { Adapter } from '../dist/lib/lora/adapter.js';
import { Model } from '../dist/lib/model.js';
import {
  attention,
  backward,
  cast,
  groupedMatmul,
  groupedOuter,
  matmul,
  pagedAttention,
  randn,
  scope,
  tensor,
} from '../dist/lib/tensor-api.js';
import { segmentsByChance, wrongs } from './gpu/correct.mjs';
import { Figures, quietly, Torch, time } from './gpu/timing.mjs';

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'bench/results' },
    quick: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '3600' },
  },
});
const { smoke } = values;
const repeats = smoke ? 1 : values.quick ? 3 : 7;
const device = deviceOf('cuda');
const root = join(import.meta.dirname, '..');

const query = (fields) =>
  spawnSync('nvidia-smi', [`--query-gpu=${fields}`, '--format=csv,noheader'], { encoding: 'utf8' }).stdout?.trim();
const gpu = cudaInfo();
const addon = process.env.HELVETIA_GPU === 'simt' ? 'build/simt/Release/helvetia.node' : 'build/Release/helvetia.node';
const facts = {
  gpu: gpu.name,
  capability: gpu.capability,
  processors: gpu.processors,
  driver: query('driver_version'),
  clocks: query('clocks.sm,clocks.max.sm,power.limit'),
  command: `node bench/gpu.mjs${values.quick ? ' --quick' : ''}${smoke ? ' --smoke' : ''}`,
  addon: createHash('sha256')
    .update(readFileSync(join(root, addon)))
    .digest('hex')
    .slice(0, 16),
};
const file = `${gpu.name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.json`;
const figures = new Figures(facts, [join(root, 'build', file), join(values.out, file)], Number(values.seconds));
const torch = smoke ? undefined : Torch.start();

/** Times ours and PyTorch's in turn. `rate` turns milliseconds into `unit`; `ours` gives what time() takes, and `before`. */
async function compare(name, unit, rate, ours, request) {
  if (!figures.wants(name)) return;
  const [mine, theirs] = [[], []];
  await scope(async () => {
    const { work, calls, before } = await ours();
    for (let i = 0; i < repeats; i++) {
      before?.();
      mine.push(await time(device, work, smoke ? 1 : calls));
      const other = request && (await torch?.time(request));
      if (other) theirs.push(other);
    }
  });
  const ms = { ours: spread(mine).median, ...(theirs.length ? { torch: spread(theirs).median } : {}) };
  figures.add(name, unit, mine.map(rate), theirs.map(rate), ms);
  trimMemory('cuda');
}

const draw = (shape, seed) => randn(shape, { seed, dtype: 'bf16', device });
/** Sets of inputs enough to fill L2 three times. */
const copies = (bytes, make) =>
  Array.from({ length: Math.max(1, Math.min(16, Math.ceil(180e6 / bytes))) }, (_, i) => make(i));
const inTurns = (sets, work) => (i) => work(sets[i % sets.length]);

async function correctness() {
  const name = 'results of large shapes';
  if (!figures.wants(name, 60)) return;
  const wrong = await wrongs(device, smoke);
  if (wrong.length) throw new Error(wrong.join('; '));
  figures.add(name, 'wrong', [0]);
}

async function bandwidth() {
  const size = smoke ? 1 << 12 : 1 << 28;
  await compare(
    'copy of 1 GiB, read and written',
    'GB/s',
    (ms) => (2 * 4 * size) / ms / 1e6,
    () => {
      const x = randn([size], { seed: 1, device });
      return { work: quietly(() => cast(x, 'f32', { copy: true })), calls: 2 };
    },
    { what: 'copy', size },
  );
}

// Llama 3.1 8B's linear layers, [out, in].
const layers8b = smoke
  ? [[96, 64]]
  : [
      [6144, 4096],
      [4096, 4096],
      [28672, 4096],
      [4096, 14336],
    ];

async function products() {
  const squares = smoke
    ? [[64, 64, 64]]
    : [
        [4096, 4096, 4096],
        [8192, 8192, 8192],
      ];
  const linear = (m, n, k, unit, rate, adds = false) =>
    compare(
      `${m > 8 ? 'matmul' : 'matrix-vector'} bf16 ${m} × ${n} × ${k}${adds ? ' + residual' : ''}`,
      unit,
      rate,
      () => {
        const weights = copies(2 * n * k, (i) => draw([n, k], i));
        const x = draw([m, k], 99);
        const options = { transposeB: true, ...(adds ? { residual: draw([m, n], 98) } : {}) };
        return { work: quietly(inTurns(weights, (weight) => matmul(x, weight, options))) };
      },
      { what: 'matmul', m, n, k, residual: adds },
    );
  for (const [m, n, k] of [...squares, ...layers8b.map(([n, k]) => [4096, n, k])])
    await linear(m, n, k, 'TFLOP/s', (ms) => (2 * m * n * k) / ms / 1e9);
  // Attention's and the MLP's output projections add the residual stream where their sums are stored.
  for (const [n, k] of layers8b.slice(smoke ? 0 : 1).filter(([n]) => n === 4096 || smoke))
    await linear(4096, n, k, 'TFLOP/s', (ms) => (2 * 4096 * n * k) / ms / 1e9, true);
  for (const m of [1, 4, 8, 16, 32, 64])
    for (const [n, k] of layers8b) await linear(m, n, k, 'GB/s', (ms) => (2 * n * k) / ms / 1e6);
}

// Gate and up of Qwen3-30B-A3B and of Mixtral 8x7B: experts, those of a token, [out, in].
const mixtures = smoke
  ? [[4, 2, 96, 64]]
  : [
      [128, 8, 1536, 2048],
      [8, 2, 28672, 4096],
    ];

/** Products of tokens with the matrices of experts that are chosen by chance, beside the dense ones of as many rows. */
async function experts() {
  for (const [count, chosen, n, k] of mixtures) {
    const what = { what: 'grouped', count, n, k };
    const one = (kind, tokens, unit, rate, make, request) => {
      const starts = segmentsByChance(tokens * chosen, count);
      const busy = starts.filter((start, e) => e > 0 && start > starts[e - 1]).length;
      const name = `experts bf16, ${kind}, ${tokens} tokens × ${chosen} of ${count} × ${n} × ${k}`;
      const setup = () => {
        const segments = tensor(starts, { device });
        return { work: quietly(inTurns(make(tokens * chosen), (work) => work(segments))) };
      };
      const torchs = request && { ...what, ...request, starts: [...starts] };
      return compare(name, unit, (ms) => rate(tokens * chosen, busy) / ms, setup, torchs);
    };
    const flops = (rows) => (2 * rows * n * k) / 1e9;
    const weights = (m, width) => copies(2 * count * n * k, (i) => [draw([count, n, k], i), draw([m, width], 99)]);
    const forward = (m) =>
      weights(m, k).map(
        ([b, x]) =>
          (segments) =>
            groupedMatmul(x, b, segments, { transposeB: true }),
      );
    const backward = (m) =>
      weights(m, n).map(
        ([b, dy]) =>
          (segments) =>
            groupedMatmul(dy, b, segments),
      );
    const outer = (m) =>
      copies(2 * m * n, (i) => [draw([m, n], i), draw([m, 16], 99)]).map(
        ([dy, hidden]) =>
          (segments) =>
            groupedOuter(dy, hidden, segments),
      );
    for (const tokens of smoke ? [1] : [1, 4, 16, 64])
      await one('decoding', tokens, 'GB/s', (_, busy) => (2 * busy * n * k) / 1e6, forward, { transposed: true });
    for (const tokens of smoke ? [40] : [512, 4096])
      await one('forward', tokens, 'TFLOP/s', flops, forward, { transposed: true });
    const trained = smoke ? 40 : 4096;
    await one('backward', trained, 'TFLOP/s', flops, backward, { transposed: false });
    await one('gradient of a pair of rank 16', trained, 'GB/s', (rows) => (2 * rows * (n + 16)) / 1e6, outer);
  }
}

async function attentions() {
  const [heads, kvHeads, d] = smoke ? [4, 2, 64] : [32, 8, 128];
  for (const tokens of smoke ? [64] : [2048, 8192, 16384]) {
    const flops = 4 * heads * d * ((tokens * tokens) / 2);
    const sets = (gradients) => {
      const options = { boundaries: tensor(Int32Array.of(0, tokens), { device }), scale: d ** -0.5 };
      return copies(2 * tokens * d * (2 * heads + 2 * kvHeads), (i) => {
        const [q, k, v, grad] = [heads, kvHeads, kvHeads, heads].map((n, j) => draw([tokens, n, d], 4 * i + j));
        for (const x of gradients ? [q, k, v] : []) x.requiresGrad = true;
        return { q, k, v, grad, options };
      }).slice(0, 4);
    };
    const name = `attention causal ${tokens}, ${heads}/${kvHeads} heads × ${d}`;
    const request = { tokens, heads, kvHeads, d };
    await compare(
      `${name}, forward`,
      'TFLOP/s',
      (ms) => flops / ms / 1e9,
      () => ({ work: quietly(inTurns(sets(false), ({ q, k, v, options }) => attention(q, k, v, options))) }),
      { what: 'attention', ...request },
    );
    await compare(
      `${name}, backward`,
      'TFLOP/s',
      (ms) => (2.5 * flops) / ms / 1e9,
      () => {
        // Replayed are the calls of the backward pass alone; what they read was made before, and stays with the recording.
        const [{ q, k, v, grad, options }] = sets(true);
        let out;
        const before = () => {
          for (const x of [q, k, v]) {
            x.grad?.dispose();
            x.grad = undefined;
          }
          out = attention(q, k, v, options);
        };
        return { before, work: () => backward(out, grad), calls: 1 };
      },
      { what: 'attention-backward', ...request },
    );
  }
}

async function paged() {
  const [heads, kvHeads, d, blockSize, context] = smoke ? [4, 2, 64, 16, 64] : [32, 8, 128, 32, 4096];
  for (const batch of smoke ? [2] : [1, 8, 32, 64]) {
    const perSequence = context / blockSize;
    const bytes = 2 * 2 * batch * context * kvHeads * d;
    await compare(
      `paged decode, batch ${batch}, ${context} keys, ${heads}/${kvHeads} heads × ${d}`,
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
        return { work: quietly(inTurns(caches, ([k, v]) => pagedAttention(q, k, v, options))) };
      },
      { what: 'decode', batch, context, heads, kvHeads, d },
    );
  }
}

const shape = smoke ? 'smollm2-135m' : 'llama-3.1-8b';
const [streams, rank, trained, newTokens] = smoke ? [2, 4, 32, 4] : [32, 16, 4096, 128];
const names = {
  lora: `${shape}, LoRA r=${rank} on all layers, ${trained} tokens a step`,
  one: `${shape}, decoding 1 stream`,
  plain: `${shape}, decoding ${streams} streams`,
  adapters: `${shape}, decoding ${streams} streams, each with an adapter of its own`,
};

/** Tokens per second while all of `count` streams decode; the i-th with `adapters[i]`. */
async function decoding(model, count, adapters, seed) {
  const run = async (stream) => {
    const prompt = Array.from({ length: 128 }, (_, t) => (t * 7919 + (seed * count + stream) * 104729) % 40000);
    const options = { maxNewTokens: newTokens, ignoreEos: true, ...(adapters ? { adapter: adapters[stream] } : {}) };
    const times = [];
    for await (const _ of model.generate(prompt, options)) times.push(performance.now());
    return times;
  };
  const runs = await Promise.all(Array.from({ length: count }, (_, stream) => run(stream)));
  if (runs.some(({ length }) => length !== newTokens)) throw new Error(`a stream gave fewer than ${newTokens} tokens`);
  const [began, ended] = [Math.max(...runs.map((times) => times[0])), Math.min(...runs.map((times) => times.at(-1)))];
  if (ended <= began) throw new Error('the streams did not decode together: their tokens are too few');
  return (1000 * runs.flat().filter((at) => at > began && at <= ended).length) / (ended - began);
}

async function wholeModel() {
  const wanted = Object.values(names).filter((name) => figures.wants(name, 150));
  if (wanted.length === 0) return;
  const decoder = await subject({ shape, dtype: 'bf16', device });
  const rounds = Math.min(repeats, 5);
  if (wanted.includes(names.lora)) {
    const warmup = smoke ? 0 : 3;
    const timing = { rows: 1, seqLength: trained, rank, checkpointing: false, repeats: rounds, warmup };
    figures.add(names.lora, 'tokens/s', await timeLora(decoder, timing));
  }
  const defaults = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, endIds: [] };
  const model = new Model(shape, '.', decoder, undefined, defaults);
  model.configureEngine({ maxBatch: streams, adapterSlots: streams, maxLoraRank: rank });
  const measure = async (name, count, adapters) => {
    if (!wanted.includes(name)) return;
    const rates = [];
    for (let i = -1; i < rounds; i++) {
      const rate = await decoding(model, count, adapters, i + 2);
      if (i >= 0) rates.push(rate); // the first records its steps
    }
    figures.add(name, 'tokens/s', rates);
  };
  await measure(names.one, 1);
  await measure(names.plain, streams);
  if (wanted.includes(names.adapters)) {
    const make = (_, i) => Adapter.create(decoder, { r: rank }, i + 1);
    const adapters = Array.from({ length: streams }, make);
    await measure(names.adapters, streams, adapters);
    for (const adapter of adapters) adapter.dispose();
  }
  await model.engine.dispose();
  model.dispose();
  await device.idle();
  trimMemory('cuda'); // PyTorch's model needs the room
}

async function torchLora() {
  const name = `${shape}, LoRA r=${rank}, transformers + PEFT`;
  if (!torch || !figures.wants(name, 150)) return;
  const ms = await torch.time({ what: 'lora', tokens: trained, rank });
  if (ms) figures.add(name, 'tokens/s', [], [(1000 * trained) / ms], { torch: ms });
}

for (const part of [correctness, bandwidth, products, experts, attentions, paged, wholeModel, torchLora])
  await figures.part(part.name, part);
torch?.close();
figures.write({ clocksAfter: query('clocks.sm') });
const value = (name) => figures.results.find((entry) => entry.name === name)?.ours?.median;
if (value(names.adapters) && value(names.plain))
  console.error(
    `${streams} adapters leave ${((100 * value(names.adapters)) / value(names.plain)).toFixed(1)} % of the speed without`,
  );
if (figures.left.length) console.error(`no time was left for: ${figures.left.join('; ')}: run it again`);
console.error(`wrote ${join(values.out, file)}`);
process.exitCode = figures.failures.length ? 1 : figures.left.length ? 3 : 0;
