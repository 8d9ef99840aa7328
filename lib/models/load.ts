// Loads a decoder from a Hugging Face folder or a GGUF file, or makes one of random weights.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { isBlock } from '../core/dtype.js';
import { keep, scope } from '../core/scope.js';
import { computed, type Tensor, tensor } from '../core/tensor.js';
import { type Gguf, openGguf } from '../files/gguf.js';
import { readJson } from '../files/json.js';
import { openWeights, type Weights } from '../files/weights.js';
import { cast, toDevice } from '../ops/copy.js';
import { embedding } from '../ops/embedding.js';
import { dequantize } from '../ops/quant.js';
import { full, randn } from '../ops/random.js';
import { reshape } from '../ops/view.js';
import { decoderConfig } from './architectures.js';
import type { DecoderConfig } from './config.js';
import { Decoder } from './decoder.js';
import { ggufConfig, ggufRows, hfToGguf, isReordered } from './gguf-names.js';

export interface LoadOptions {
  /** The weights' format. Default: the file's own, or bf16 for a quantised file. */
  dtype?: DType | undefined;
  device: Device;
  signal?: AbortSignal | undefined;
}

/** The shapes of all weights by checkpoint name, for this config. */
export function weightShapes(config: DecoderConfig): Map<string, number[]> {
  const { hiddenSize: hidden, intermediateSize: inner, heads, kvHeads, headDim } = config;
  const shapes = new Map<string, number[]>();
  const layer = (path: string, out: number, from: number, bias: boolean): void => {
    shapes.set(`${path}.weight`, [out, from]);
    if (bias) shapes.set(`${path}.bias`, [out]);
  };
  layer('model.embed_tokens', config.vocabSize, hidden, false);
  for (let i = 0; i < config.layers; i++) {
    const block = `model.layers.${i}`;
    shapes.set(`${block}.input_layernorm.weight`, [hidden]);
    layer(`${block}.self_attn.q_proj`, heads * headDim, hidden, config.qkvBias);
    layer(`${block}.self_attn.k_proj`, kvHeads * headDim, hidden, config.qkvBias);
    layer(`${block}.self_attn.v_proj`, kvHeads * headDim, hidden, config.qkvBias);
    layer(`${block}.self_attn.o_proj`, hidden, heads * headDim, config.outputBias);
    shapes.set(`${block}.post_attention_layernorm.weight`, [hidden]);
    layer(`${block}.mlp.gate_proj`, inner, hidden, config.mlpBias);
    layer(`${block}.mlp.up_proj`, inner, hidden, config.mlpBias);
    layer(`${block}.mlp.down_proj`, hidden, inner, config.mlpBias);
  }
  shapes.set('model.norm.weight', [hidden]);
  if (!config.tied) layer('lm_head', config.vocabSize, hidden, false);
  return shapes;
}

/**
 * Loads config and weights from a folder or a GGUF file.
 *
 * @throws Error that names the file, the tensor or the field, and what was expected.
 */
export async function loadDecoder(path: string, options: LoadOptions): Promise<Decoder> {
  return statSync(path).isDirectory() ? loadFolder(path, options) : loadGguf(path, options);
}

async function loadFolder(folder: string, options: LoadOptions): Promise<Decoder> {
  const file = join(folder, 'config.json');
  const config = decoderConfig(file, readJson(file));
  const weights = openWeights(folder);
  try {
    const has = (name: string): boolean => weights.tensors.has(name);
    // The absence of one of the two says more than the config, and either may be the one that is stored.
    const tied = config.tied || !has('lm_head.weight') || !has('model.embed_tokens.weight');
    const stored = (name: string): string =>
      tied && name === 'model.embed_tokens.weight' && !has(name) ? 'lm_head.weight' : name;
    const read = (name: string): Tensor => toDevice(weights.tensor(stored(name)), options.device);
    return await assemble({ ...config, tied }, weights, stored, read, options);
  } finally {
    weights.close();
  }
}

async function loadGguf(path: string, options: LoadOptions): Promise<Decoder> {
  const gguf = openGguf(path);
  try {
    const config = decoderConfig(path, ggufConfig(gguf));
    const read = (name: string): Tensor => {
      const stored = toDevice(gguf.tensor(storedName(name)), options.device);
      const plain = isBlock(stored.dtype) ? dequantize(stored, options.dtype ?? 'bf16') : stored;
      return isReordered(name) ? inHuggingFaceOrder(plain, name, config) : plain;
    };
    return await assemble(config, gguf, storedName, read, { ...options, dtype: options.dtype ?? ggufDType(gguf) });
  } finally {
    gguf.close();
  }
}

const storedName = (name: string): string => hfToGguf(name) ?? name;

function inHuggingFaceOrder(x: Tensor, name: string, config: DecoderConfig): Tensor {
  const heads = name.includes('.q_proj.') ? config.heads : config.kvHeads;
  const rows = tensor(ggufRows(heads, config.headDim), { device: x.device });
  if (x.rank === 2) return embedding(x, rows);
  return reshape(embedding(reshape(x, [x.size, 1]), rows), [x.size]);
}

// The matrices decide: norms are stored as f32 whatever the file's format is.
function ggufDType(gguf: Gguf): DType {
  const stored = gguf.tensors.get('blk.0.attn_q.weight')?.dtype;
  return stored === 'f32' || stored === 'f16' || stored === 'bf16' ? stored : 'bf16';
}

// Takes each weight from the file, checked, in the asked format, and lets the event loop run in between.
async function assemble(
  config: DecoderConfig,
  file: Weights,
  stored: (name: string) => string,
  read: (name: string) => Tensor,
  options: LoadOptions,
): Promise<Decoder> {
  const { device } = options;
  const shapes = weightShapes(config);
  for (const [name, shape] of shapes) {
    const info = file.tensors.get(stored(name));
    if (!info) throw new Error(`${file.path}: tensor '${stored(name)}' is missing, expected [${shape}]`);
    if (info.shape.join() !== shape.join()) {
      throw new Error(`${file.path}: tensor '${stored(name)}' is [${info.shape}], expected [${shape}]`);
    }
  }
  const weights = new Map<string, Tensor>();
  try {
    let since = performance.now();
    for (const name of shapes.keys()) {
      options.signal?.throwIfAborted();
      weights.set(
        name,
        keep(
          scope(() => {
            const x = read(name);
            return options.dtype && x.dtype !== options.dtype ? cast(x, options.dtype) : x;
          }),
        ),
      );
      if (performance.now() - since > 5) {
        await new Promise((resolve) => setImmediate(resolve));
        since = performance.now();
      }
    }
    await computed(weights.values());
    const dtype = weights.get('model.layers.0.self_attn.q_proj.weight')!.dtype as DType;
    return new Decoder(config, weights, device, dtype);
  } catch (error) {
    for (const weight of weights.values()) weight.dispose();
    throw error;
  }
}

/** A decoder of seeded random weights, as for the first step of training: N(0, `deviation`²), norms 1, biases 0. */
export function randomDecoder(
  config: DecoderConfig,
  options: LoadOptions & { seed?: number; deviation?: number },
): Decoder {
  const { device, dtype = 'f32', seed = 0, deviation = 0.02 } = options;
  const weights = new Map<string, Tensor>();
  let index = 0;
  for (const [name, shape] of weightShapes(config)) {
    const drawn = (): Tensor => randn(shape, { seed: seed + 7919 * ++index, deviation, dtype, device });
    weights.set(
      name,
      keep(shape.length === 2 ? drawn() : full(shape, name.endsWith('.bias') ? 0 : 1, { dtype, device })),
    );
  }
  return new Decoder(config, weights, device, dtype);
}
