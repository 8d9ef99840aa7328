// Prompts and decoding of each kind of layer beside node-llama-cpp, on one GGUF file of random weights each: the model's own
// shape, or its first layers with fewer experts, so that a small machine holds it. The two take turns; ratios are of pairs.
//
//   npm run build && node bench/llama-cpp.mjs --llama FOLDER [--only NAME,…] [--rounds 3] [--out bench/results/NAME.json]
//
// FOLDER has node-llama-cpp in its node_modules. Both have the machine's threads or --threads, 16-bit weights and greedy
// choices. Where other work runs beside, --threads 1 --clock cpu counts the process's own seconds on a processor.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = (path) => import(pathToFileURL(join(root, 'dist/lib', path)).href);
const { values } = parseArgs({
  options: {
    llama: { type: 'string' },
    only: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    'prompt-tokens': { type: 'string', default: '256' },
    tokens: { type: 'string', default: '48' },
    threads: { type: 'string' },
    clock: { type: 'string', default: 'wall' },
    out: { type: 'string' },
    // What a process of its own is started with, to time one of the two on one file.
    file: { type: 'string' },
  },
});
const promptTokens = Number(values['prompt-tokens']);
const tokens = Number(values.tokens);
const cpuTime = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const now = () => (values.clock === 'cpu' ? cpuTime() : performance.now());
const promptOf = (length) => Array.from({ length }, (_, i) => 300 + ((i * 7919) % 20000));

// --- One GGUF file of random weights ---------------------------------------------------------------------------------

/** What is timed: a named shape, what is changed of it, and its keys in GGUF beside the common ones. */
const subjects = {
  'llama-3.2-1b': { arch: 'llama', keys: () => ({}) },
  'qwen3-30b-a3b': {
    arch: 'qwen3moe',
    change: { num_hidden_layers: 6, num_experts: 32 },
    keys: (c) => ({
      expert_count: c.num_experts,
      expert_used_count: c.num_experts_per_tok,
      expert_feed_forward_length: c.moe_intermediate_size,
    }),
  },
  'gemma-3-1b': { arch: 'gemma3', keys: (c) => ({ 'attention.sliding_window': c.sliding_window }) },
  'qwen3.5-0.8b': {
    arch: 'qwen35',
    keys: (c) => ({
      'ssm.conv_kernel': c.linear_conv_kernel_dim,
      'ssm.state_size': c.linear_key_head_dim,
      'ssm.group_count': c.linear_num_key_heads,
      'ssm.time_step_rank': c.linear_num_value_heads,
      'ssm.inner_size': c.linear_num_value_heads * c.linear_value_head_dim,
      full_attention_interval: c.full_attention_interval,
      'rope.dimension_count': c.head_dim * c.partial_rotary_factor,
      'rope.dimension_sections': [11, 11, 10, 0],
    }),
  },
  'lfm2-1.2b': {
    arch: 'lfm2',
    keys: (c, config) => ({
      'shortconv.l_cache': c.conv_L_cache,
      'attention.head_count_kv': config.layers.map((_, i) =>
        c.full_attn_idxs.includes(i) ? c.num_key_value_heads : 0,
      ),
      feed_forward_length: config.layers[0].weights.find(({ gguf }) => gguf.name.endsWith('ffn_up.weight')).shape[0],
    }),
  },
};

/** Metadata: whole numbers are u32, others f32. */
function metadata(arch, json, config, extra) {
  const headDim = json.head_dim ?? json.hidden_size / json.num_attention_heads;
  const own = {
    block_count: config.layers.length,
    context_length: Math.min(json.max_position_embeddings, 32768),
    embedding_length: json.hidden_size,
    feed_forward_length: json.intermediate_size ?? 0,
    'attention.head_count': json.num_attention_heads,
    'attention.head_count_kv': json.num_key_value_heads,
    'attention.key_length': headDim,
    'attention.value_length': headDim,
    'attention.layer_norm_rms_epsilon': { f32: json.rms_norm_eps ?? json.norm_eps },
    'rope.freq_base': { f32: json.rope_theta },
    'rope.dimension_count': headDim,
    vocab_size: json.vocab_size,
    ...extra,
  };
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).padStart(2, '0').toUpperCase()}>`);
  const words = ['<unk>', '<s>', '</s>', ...bytes];
  while (words.length < json.vocab_size) words.push(`w${words.length}`);
  return {
    'general.architecture': arch,
    'general.name': 'random',
    ...Object.fromEntries(Object.entries(own).map(([key, value]) => [`${arch}.${key}`, value])),
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.tokens': words,
    'tokenizer.ggml.scores': { f32: words.map((_, i) => -i) },
    'tokenizer.ggml.token_type': { i32: words.map((_, i) => (i === 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1)) },
    'tokenizer.ggml.bos_token_id': 1,
    'tokenizer.ggml.eos_token_id': 2,
  };
}

const types = { u32: 4, i32: 5, f32: 6, string: 8, array: 9 };
const u32 = (x) => Buffer.from(Uint32Array.of(x).buffer);
const u64 = (x) => Buffer.from(BigUint64Array.of(BigInt(x)).buffer);
const text = (x) => Buffer.concat([u64(Buffer.byteLength(x)), Buffer.from(x)]);
const scalars = {
  u32,
  i32: (x) => Buffer.from(Int32Array.of(x).buffer),
  f32: (x) => Buffer.from(Float32Array.of(x).buffer),
  string: text,
};

function field(value) {
  const kind = typeof value === 'string' || typeof value[0] === 'string' ? 'string' : 'u32';
  const [type, plain] = value?.constructor === Object ? Object.entries(value)[0] : [kind, value];
  if (!Array.isArray(plain)) return Buffer.concat([u32(types[type]), scalars[type](plain)]);
  const head = [u32(types.array), u32(types[type]), u64(plain.length)];
  return Buffer.concat([...head, ...plain.map(scalars[type])]);
}

/** Writes the file, tensor by tensor: matrices in f16, all else in f32, by the names and shapes that parts declare. */
async function writeRandom(name, path) {
  const [{ shapes }, { decoderConfig }, { weightsOf, activeParameterCount, parameterCount }] = await Promise.all(
    ['bench/shapes/index.js', 'models/architectures/index.js', 'models/config.js'].map(dist),
  );
  const { arch, change, keys } = subjects[name];
  const json = { ...shapes[name], ...change };
  const config = decoderConfig(name, json);
  const tensors = weightsOf(config).flatMap(({ gguf, shape }) => gguf.pieces ?? [{ name: gguf.name, shape }]);
  const wide = ({ name, shape }) => shape.length < 2 || /conv|ffn_gate_inp/.test(name);
  const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);
  const bytesOf = (tensor) => sizeOf(tensor.shape) * (wide(tensor) ? 4 : 2);
  const aligned = (n) => Math.ceil(n / 32) * 32;
  const pairs = Object.entries(metadata(arch, json, config, keys(json, config)));
  let at = 0;
  const infos = tensors.map((tensor) => {
    const offset = at;
    at += aligned(bytesOf(tensor));
    const dims = tensor.shape.toReversed();
    return Buffer.concat([
      text(tensor.name),
      u32(dims.length),
      ...dims.map(u64),
      u32(wide(tensor) ? 0 : 1),
      u64(offset),
    ]);
  });
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(pairs.length),
    ...pairs.flatMap(([key, value]) => [text(key), field(value)]),
    ...infos,
  ]);
  const file = openSync(path, 'w');
  writeSync(file, Buffer.concat([head, Buffer.alloc(aligned(head.length) - head.length)]));
  const halves = noise();
  for (const tensor of tensors) {
    const bytes = Buffer.alloc(aligned(bytesOf(tensor)));
    if (wide(tensor)) {
      // Norms around 1; what decays is -e^x in the file.
      const value = tensor.name.endsWith('ssm_a') ? -1 : tensor.name.includes('norm') ? 1 : 0.02;
      new Float32Array(bytes.buffer, bytes.byteOffset, sizeOf(tensor.shape)).fill(value);
    } else {
      for (let done = 0; done < bytes.length; done += halves.length) halves.copy(bytes, done);
    }
    writeSync(file, bytes);
  }
  closeSync(file);
  return {
    parameters: parameterCount(config),
    activeParameters: activeParameterCount(config),
    layers: config.layers.length,
  };
}

/** Two megabytes of f16 between -0.06 and 0.06, of a seeded generator. Their number is odd, so that rows differ. */
function noise() {
  const out = Buffer.alloc(2 * ((1 << 20) - 1));
  let state = 1;
  for (let i = 0; i < out.length; i += 2) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    // Exponents of 2^-7 to 2^-5 beside ten random bits and a sign.
    out.writeUInt16LE(((state >>> 16) & 0x83ff) | ((8 + ((state >>> 30) % 3)) << 10), i);
  }
  return out;
}

// --- Each of the two, in a process of its own --------------------------------------------------------------------------

/** Tokens per second of the prompt up to the first token, and of those after it. */
function ratesOf(times) {
  const [first] = times;
  return { prefill: (1000 * promptTokens) / first, decode: (1000 * (times.length - 1)) / (times.at(-1) - first) };
}

async function timeHelvetia(path) {
  const { loadModel } = await dist('index.js');
  const model = await loadModel(path, { device: 'cpu' });
  const run = async (prompt, count) => {
    const started = now();
    const times = [];
    for await (const _ of model.generateTokens(prompt, { maxNewTokens: count, temperature: 0, ignoreEos: true }))
      times.push(now() - started);
    return times;
  };
  await run(promptOf(8), 2);
  return ratesOf(await run(promptOf(promptTokens), tokens));
}

async function timeLlama(path, folder) {
  const { getLlama } = await import(
    pathToFileURL(createRequire(join(folder, 'package.json')).resolve('node-llama-cpp')).href
  );
  const { availableParallelism } = await import('node:os');
  const llama = await getLlama({ gpu: false, build: 'never' });
  const model = await llama.loadModel({ modelPath: path });
  const run = async (prompt, count) => {
    const threads = Number(values.threads ?? availableParallelism());
    const context = await model.createContext({ contextSize: promptTokens + tokens + 8, batchSize: 512, threads });
    const started = now();
    const times = [];
    for await (const _ of context.getSequence().evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
      times.push(now() - started);
      if (times.length === count) break;
    }
    await context.dispose();
    return times;
  };
  await run(promptOf(8), 2);
  return ratesOf(await run(promptOf(promptTokens), tokens));
}

/** Runs this file again for one of the two. */
function timed(path, more) {
  const threads = values.threads ? ['--threads', values.threads] : [];
  const args = [fileURLToPath(import.meta.url), '--file', path, '--tokens', values.tokens];
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [...args, '--prompt-tokens', values['prompt-tokens'], '--clock', values.clock, ...threads, ...more],
    { encoding: 'utf8', env: { ...process.env, ...(values.threads ? { HELVETIA_THREADS: values.threads } : {}) } },
  );
  if (status !== 0) throw new Error(`${stderr}${stdout}`.trim());
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

if (values.file) {
  const rates = values.llama ? await timeLlama(values.file, values.llama) : await timeHelvetia(values.file);
  console.log(JSON.stringify(rates));
  process.exit(0);
}

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const place = mkdtempSync(join(tmpdir(), 'helvetia-llama-cpp-'));
const results = [];
try {
  for (const name of values.only?.split(',') ?? Object.keys(subjects)) {
    const path = join(place, `${name}.gguf`);
    const facts = await writeRandom(name, path);
    console.error(`${name}: ${facts.layers} layers, ${(statSync(path).size / 1e9).toFixed(2)} GB`);
    const ours = [];
    const theirs = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      ours.push(timed(path, []));
      if (values.llama) theirs.push(timed(path, ['--llama', values.llama]));
    }
    const of = (what) => ({
      helvetia: median(ours.map((one) => one[what])),
      ...(values.llama
        ? {
            llamaCpp: median(theirs.map((one) => one[what])),
            ratio: median(ours.map((one, i) => one[what] / theirs[i][what])),
          }
        : {}),
    });
    const result = {
      name,
      ...facts,
      promptTokens,
      tokens,
      clock: values.clock,
      threads: values.threads ?? 'all',
      prefill: of('prefill'),
      decode: of('decode'),
    };
    console.error(JSON.stringify(result));
    results.push(result);
    rmSync(path);
  }
} finally {
  rmSync(place, { recursive: true, force: true });
}
if (values.out) {
  mkdirSync(dirname(values.out), { recursive: true });
  writeFileSync(values.out, `${JSON.stringify(results, null, 2)}\n`);
}
console.log(JSON.stringify(results, null, 2));
