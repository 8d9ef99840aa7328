// The decoder to be timed: a model from disk, or seeded random weights of a named shape.
import { freemem } from 'node:os';
import { cudaInfo, type Device } from '../core/device.js';
import type { DType } from '../core/dtype.js';
import { resolveModel } from '../files/hub.js';
import { decoderConfig } from '../models/architectures/index.js';
import { type DecoderConfig, weightBytes } from '../models/config.js';
import type { Decoder } from '../models/decoder.js';
import { loadDecoder, randomDecoder } from '../models/load.js';
import { type ShapeName, shapes } from './shapes/index.js';

export interface SubjectOptions {
  /** A folder, a GGUF file or a hub name; else `shape` says what to make. */
  model?: string;
  shape?: ShapeName;
  /** Of the shape, the first so many layers only: what one layer costs needs no others. */
  layers?: number;
  dtype?: DType;
  device: Device;
  seed?: number;
  signal?: AbortSignal;
}

/** @throws Error if the random weights would not fit into the memory that is free; RangeError for more layers than are. */
export async function subject(options: SubjectOptions): Promise<Decoder> {
  const { model, shape = 'smollm2-135m', dtype, device, seed = 1, signal } = options;
  if (model !== undefined) {
    return loadDecoder(await resolveModel(model, signal ? { signal } : {}), { device, dtype, signal });
  }
  const config = firstLayers(shape, decoderConfig(shape, shapes[shape]), options.layers);
  const format = dtype ?? 'bf16';
  const free = device.name === 'cuda' ? cudaInfo(device.index).freeBytes : (process.availableMemory?.() ?? freemem());
  checkMemory(shape, config, format, free);
  const decoder = randomDecoder(config, { device, dtype: format, seed, deviation: 0.02 });
  await device.idle();
  return decoder;
}

/** @throws RangeError if the shape has fewer layers. */
export function firstLayers(shape: string, config: DecoderConfig, count = config.layers.length): DecoderConfig {
  if (count > config.layers.length)
    throw new RangeError(`layers: ${shape} has ${config.layers.length} layers, and ${count} were asked for`);
  return { ...config, layers: config.layers.slice(0, count) };
}

/** Activations, the KV cache and one weight in f32 on its way to the format come on top of the weights. */
const spareBytes = 1e9;

/** @throws Error that names the shape, what it takes and what is free. */
export function checkMemory(shape: string, config: DecoderConfig, dtype: DType, free: number): void {
  const weights = weightBytes(config, dtype);
  const needed = weights + (weights > spareBytes ? spareBytes : 0);
  if (needed <= free) return;
  const gb = (bytes: number): string => (bytes / 1e9).toFixed(1);
  throw new Error(`${shape} takes ${gb(needed)} GB in ${dtype}, but only ${gb(free)} GB of memory are free`);
}
