// Loads a decoder from a Hugging Face folder or a GGUF file, or makes one of random weights.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { isBlock } from '../core/dtype.js';
import { keep, scope } from '../core/scope.js';
import { computed, type Tensor, tensor } from '../core/tensor.js';
import { openWeights } from '../files/folder-weights.js';
import { type Gguf, openGguf } from '../files/gguf.js';
import { readJson } from '../files/json.js';
import type { Weights } from '../files/weights.js';
import { languageConfig, namesOf } from '../files/wrapped.js';
import { TimeSlice } from '../flow/pause.js';
import { cast, contiguous, toDevice } from '../ops/copy.js';
import { affine } from '../ops/elementwise.js';
import { embedding } from '../ops/embedding.js';
import { dequantize } from '../ops/quant.js';
import { full, randn } from '../ops/random.js';
import { reshape, transpose } from '../ops/view.js';
import type { Piece, Weight } from '../parts/part.js';
import { decoderConfig } from './architectures/index.js';
import { type DecoderConfig, weightsOf } from './config.js';
import { Decoder } from './decoder.js';
import { ggufConfig } from './gguf.js';
import { withPoolingType } from './gguf-pooling.js';
import { gatherPieces, piecesIn, type Stored } from './pieces.js';
import { withModules } from './sentence.js';
import { refuseUnclaimed } from './unclaimed.js';

export interface LoadOptions {
  /** The weights' format. Default: the file's own, or bf16 for a quantised file. */
  dtype?: DType | undefined;
  device: Device;
  signal?: AbortSignal | undefined;
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
  const json = languageConfig(file, readJson(file));
  const { folders } = withModules(folder, decoderConfig(file, json));
  const weights = openWeights(folder, folders);
  try {
    const has = (name: string): boolean => weights.tensors.has(name);
    const named = (name: string): string => namesOf(name).find(has) ?? name;
    let config = decoderConfig(file, json);
    // The absence of one of the two says more than the config, and either may be the one that is stored.
    const [table] = config.embedding.weights;
    const [head = table] = decoderConfig(file, { ...json, tie_word_embeddings: false }).head.weights;
    const tied = config.head.tied || !has(named(head.name)) || !has(named(table.name));
    if (tied !== config.head.tied) config = decoderConfig(file, { ...json, tie_word_embeddings: tied });
    config = withModules(folder, config).config;
    const whole = ({ name, shape, stored, transposed }: Weight): Stored => ({
      name: named(tied && name === table.name && !has(named(name)) ? head.name : name),
      shape: stored ?? (transposed ? shape.toReversed() : shape),
    });
    const pieces = (weight: Weight): readonly Piece[] | undefined =>
      piecesIn(weights, whole(weight), weight.pieces, weight.packed)?.map((piece) => ({
        ...piece,
        name: named(piece.name),
      }));
    const read = (weight: Weight): Tensor => {
      const parts = pieces(weight);
      const tensorOf = (name: string): Tensor => toDevice(weights.tensor(name), options.device);
      if (parts)
        return gatherPieces(weight.shape, parts, tensorOf, { ...options, dtype: weight.dtype ?? options.dtype });
      const x = weights.tensor(whole(weight).name);
      return toDevice(weight.transposed ? contiguous(transpose(x)) : reshape(x, weight.shape), options.device);
    };
    // Tied weights may be stored twice.
    const twice = [named(head.name), named(table.name)];
    const stored = (weight: Weight): readonly Stored[] =>
      pieces(weight)?.flatMap((piece) => (piece.exponents ? [piece, piece.exponents] : [piece])) ?? [whole(weight)];
    return await assemble(config, weights, stored, read, options, twice);
  } finally {
    weights.close();
  }
}

async function loadGguf(path: string, options: LoadOptions): Promise<Decoder> {
  const gguf = openGguf(path);
  try {
    const config = withPoolingType(gguf, decoderConfig(path, ggufConfig(gguf)));
    const dtype = options.dtype ?? ggufDType(gguf, config);
    const tensorOf = (name: string): Tensor => {
      const stored = toDevice(gguf.tensor(name), options.device);
      return isBlock(stored.dtype) ? dequantize(stored, dtype) : stored;
    };
    const whole = ({ gguf: { name, stored }, shape }: Weight): Stored => ({ name, shape: stored ?? shape });
    const pieces = (weight: Weight) => piecesIn(gguf, whole(weight), weight.gguf.pieces);
    const read = (weight: Weight): Tensor => {
      const { name, rows, columns, shift = 0, read } = weight.gguf;
      const parts = pieces(weight);
      if (parts) return gatherPieces(weight.shape, parts, tensorOf, { ...options, dtype: weight.dtype ?? dtype });
      const plain = reshape(tensorOf(name), weight.shape);
      const ordered = rows ? gathered(plain, rows) : plain;
      const whole = columns ? transpose(gathered(contiguous(transpose(ordered)), columns)) : ordered;
      const shifted = shift === 0 ? whole : affine(whole, 1, -shift);
      return contiguous(read ? read(shifted) : shifted);
    };
    const stored = (weight: Weight): readonly Stored[] => pieces(weight) ?? [whole(weight)];
    return await assemble(config, gguf, stored, read, { ...options, dtype });
  } finally {
    gguf.close();
  }
}

function gathered(x: Tensor, rows: Int32Array): Tensor {
  const at = tensor(rows, { device: x.device });
  if (x.rank === 2) return embedding(x, at);
  return reshape(embedding(reshape(x, [x.size, 1]), at), [x.size]);
}

// The matrices decide: norms are stored as f32 whatever the file's format is.
function ggufDType(gguf: Gguf, config: DecoderConfig): DType {
  const stored = gguf.tensors.get(deciding(config).gguf.name)?.dtype;
  return stored === 'f32' || stored === 'f16' || stored === 'bf16' ? stored : 'bf16';
}

/** The weight whose format is called the model's. */
const deciding = (config: DecoderConfig): Weight => {
  const all = weightsOf(config);
  return all.find(({ module }) => module !== undefined) ?? all[0]!;
};

// Takes each weight from the file, checked, in the asked format, and lets the event loop run in between.
async function assemble(
  config: DecoderConfig,
  file: Weights,
  stored: (weight: Weight) => readonly Stored[],
  read: (weight: Weight) => Tensor,
  options: LoadOptions,
  also: readonly string[] = [],
): Promise<Decoder> {
  const { device } = options;
  const all = weightsOf(config);
  const claimed = new Set(also);
  for (const { name, shape } of all.flatMap(stored)) {
    claimed.add(name);
    const info = file.tensors.get(name);
    if (!info) throw new Error(`${file.path}: tensor '${name}' is missing, expected [${shape}]`);
    if (info.shape.join() !== shape.join()) {
      throw new Error(`${file.path}: tensor '${name}' is [${info.shape}], expected [${shape}]`);
    }
  }
  refuseUnclaimed(file, claimed, config);
  const weights = new Map<string, Tensor>();
  try {
    const slice = new TimeSlice(options.signal);
    for (const weight of all) {
      weights.set(
        weight.name,
        keep(
          scope(() => {
            const x = read(weight);
            const dtype = weight.dtype ?? options.dtype;
            return dtype && x.dtype !== dtype ? cast(x, dtype) : x;
          }),
        ),
      );
      await slice.pause();
    }
    await computed(weights.values());
    const dtype = weights.get(deciding(config).name)!.dtype as DType;
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
  for (const [i, { name, shape, start, dtype: own = dtype }] of weightsOf(config).entries()) {
    const made =
      start === 'random'
        ? randn(shape, { seed: seed + 7919 * (i + 1), deviation, dtype: own, device })
        : full(shape, start, { dtype: own, device });
    weights.set(name, keep(made));
  }
  return new Decoder(config, weights, device, dtype);
}
