// The weights of a Hugging Face folder, which may be split over several safetensors files ("shards").

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { shown } from '../flow/fault.js';
import { readText } from './json.js';
import { JsonScanner } from './json-scan.js';
import { openSafetensors, type Safetensors, type SafetensorsInfo } from './safetensors.js';
import type { Weights } from './weights.js';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';

/**
 * The weights of a Hugging Face folder, from `model.safetensors` or else from the shards that
 * `model.safetensors.index.json` lists.
 *
 * Tensors of `modules`, folders inside it, have the names of these before their own.
 *
 * @throws Error that names the file and what is wrong with it.
 */
export function openWeights(folder: string, modules: readonly string[] = []): Weights {
  const own = openOwn(folder);
  if (modules.length === 0) return own;
  const opened: [prefix: string, weights: Weights][] = [['', own]];
  const close = (): void => {
    for (const [, weights] of opened) weights.close();
  };
  try {
    for (const module of modules) opened.push([`${module}.`, openOwn(join(folder, module))]);
  } catch (error) {
    close();
    throw error;
  }
  const owner = new Map(
    opened.flatMap(([prefix, weights]) =>
      [...weights.tensors.keys()].map((name) => [prefix + name, { weights, name }] as const),
    ),
  );
  const tensors = new Map([...owner].map(([name, of]) => [name, of.weights.tensors.get(of.name)!]));
  const found = (name: string): { weights: Weights; name: string } => {
    const of = owner.get(name);
    if (of === undefined) throw new Error(`${own.path}: there is no tensor ${shown(name)}`);
    return of;
  };
  return {
    path: own.path,
    tensors,
    tensor(name) {
      const of = found(name);
      return of.weights.tensor(of.name);
    },
    read(name) {
      const of = found(name);
      return of.weights.read(of.name);
    },
    close,
    [Symbol.dispose]: close,
  };
}

function openOwn(folder: string): Weights {
  const single = join(folder, SINGLE);
  if (existsSync(single)) return openSafetensors(single);
  const index = join(folder, INDEX);
  if (existsSync(index)) return openShards(folder, index);
  const pickled =
    existsSync(join(folder, 'pytorch_model.bin')) || existsSync(join(folder, 'pytorch_model.bin.index.json'));
  const reason = pickled ? '; pytorch_model.bin is not read, because it can hold code: convert it to safetensors' : '';
  throw new Error(`${folder}: neither ${SINGLE} nor ${INDEX} is there${reason}`);
}

function openShards(folder: string, index: string): Weights {
  const shards = new Map<string, Safetensors>();
  const close = () => {
    for (const shard of shards.values()) shard.close();
  };
  const owner = new Map<string, Safetensors>();
  const tensors = new Map<string, SafetensorsInfo>();
  try {
    const weightMap = readWeightMap(index);
    for (const name of new Set(weightMap.values())) {
      const path = join(folder, name);
      if (!existsSync(path)) throw new Error(`${path}: this shard is missing, though ${INDEX} lists it`);
      const shard = openSafetensors(path);
      shards.set(name, shard);
      for (const [tensor, info] of shard.tensors) {
        const other = owner.get(tensor);
        if (other) throw new Error(`${path}: tensor ${shown(tensor)} is in ${other.path} too`);
        owner.set(tensor, shard);
        tensors.set(tensor, info);
      }
    }
    for (const [tensor, name] of weightMap) {
      if (owner.get(tensor) !== shards.get(name)) {
        throw new Error(`${join(folder, name)}: tensor ${shown(tensor)} is not there, though ${INDEX} says so`);
      }
    }
  } catch (error) {
    close();
    throw error;
  }
  const shardOf = (tensor: string): Safetensors => {
    const shard = owner.get(tensor);
    if (shard === undefined) throw new Error(`${index}: there is no tensor ${shown(tensor)}`);
    return shard;
  };
  return {
    path: index,
    tensors,
    tensor: (name) => shardOf(name).tensor(name),
    read: (name) => shardOf(name).read(name),
    close,
    [Symbol.dispose]: close,
  };
}

// Read token by token, because JSON.parse would hide a tensor that is listed twice.
function readWeightMap(index: string): Map<string, string> {
  const found = new Map<string, string>();
  const json = new JsonScanner(readText(index));
  try {
    json.object((key) => {
      if (key === 'weight_map') json.object((tensor) => found.set(tensor, json.string()));
      else json.skip();
    });
    json.end();
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Error(`${index}: malformed at ${error.message}`);
  }
  if (found.size === 0) throw new Error(`${index}: field 'weight_map' must list the tensors and their files`);
  for (const [tensor, shard] of found) {
    // Anything but a plain name could lead out of the folder.
    if (!/^[^/\\:\0]+\.safetensors$/.test(shard)) {
      throw new Error(
        `${index}: tensor ${shown(tensor)} must be in a .safetensors file beside the index, got ${shown(shard)}`,
      );
    }
  }
  return found;
}
