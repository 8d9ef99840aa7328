// Goldens of tiny random models (families/*.json and encoders/*.json, see families.py and encoders.py): read, and written as a Hugging Face folder, as a GGUF
// file and as a PEFT adapter. No weight is stored: each follows from its tensor's name.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type SavedTensor, saveSafetensors } from '../../lib/files/safetensors.js';
import { formats } from '../../lib/formats/index.js';
import { GgufBytes } from '../files/memory.js';

type Weights = Record<string, [shape: number[], scale: number, offset: number | 'fp4']>;

/** The files of a model. */
export interface GoldenModel {
  name: string;
  /** Goes before every tensor's name. */
  salt: string;
  /** config.json */
  config: Record<string, unknown>;
  /** By checkpoint name: shape, scale, offset; `fp4` is one of `seededFp4`. */
  weights: Weights;
  /** The same of folders inside the model's. */
  modules?: Record<string, Weights>;
  /** Further JSON files, by their paths. */
  files?: Record<string, unknown>;
  /** Absent where a GGUF file cannot hold the settings. */
  gguf?: {
    keys: [key: string, type: KeyType, value: string | number | boolean | number[] | boolean[]][];
    /** By checkpoint name: the name in GGUF, and what the converter does to the values. */
    tensors: Record<string, [name: string | string[], ...Change]>;
    extra: Record<string, number[]>;
    /** By name in GGUF: blocks of MXFP4 in base64. */
    packed?: Record<string, string>;
  };
}

/** What transformers gives on a model of vectors or scores. */
export interface EncoderGolden extends GoldenModel {
  /** f32 in base64, or a logit. */
  texts: { ids: number[]; types?: number[]; vector?: string; score?: number }[];
}

export interface Golden extends GoldenModel {
  prompt: number[];
  /** By position in the prompt: f32 in base64. */
  logits: Record<string, string>;
  greedy: number[];
  lora: {
    /** adapter_config.json */
    config: Record<string, unknown>;
    scale: number;
    learningRate: number;
    betas: [number, number];
    eps: number;
    maxGradNorm: number;
    batchSize: number;
    rows: { ids: number[]; masked: number }[];
    losses: number[];
    norms: number[];
    /** By PEFT's name: shape, the norm of its change, and the change's product with the seeded `name.probe`. */
    tensors: Record<string, [shape: number[], norm: number, product: number]>;
  };
}

/**
 * `tile` orders value heads by their place among those of a key head, from row or column `first` on, `size` numbers to a
 * head; `decays` are stored as -e^x, and axes of size 1 are left out. `permute` puts rows side by side that rope turns
 * together; `part` is [q; k; v] of what each head had as [q, k, v]; `stack` is one of several tensors, which become one;
 * `squeeze` leaves out axes of size 1; `column` is `[n, 1]`, `rows` so many rows, `times` multiplies
 * bands of rows, `rest` are the rows from one on; `apart` is
 * one by groups of q, k, v and z, of which z becomes a tensor of its own and the others [q; k; v]; `halves` become two, by
 * their names; `heads` become two by each head's first rows, turned, and its others; `turned` is one by experts as `[in, out]`, of which rows in turns become one or two.
 */
type Change =
  | []
  | ['tile', groups: number, heads: number, first: number, size: number, axis: 0 | 1, decays: boolean]
  | ['permute' | 'part', heads: number]
  | ['add', term: number]
  | ['transpose']
  | ['flat']
  | ['squeeze']
  | ['column', decays: boolean]
  | ['rows', count: number]
  | ['times', rows: number[], factors: number[]]
  | ['apart', groups: number, keyDim: number, values: number, gate: string]
  | ['stack', index: number]
  | ['rest', first: number]
  | ['halves']
  | ['heads', heads: number, keys: number]
  | ['turned'];
type KeyType = 'u32' | 'f32' | 'string' | 'bool' | 'u32s' | 'f32s' | 'bools';

const folder = join(import.meta.dirname, 'families');

export const goldenNames = readdirSync(folder).map((file) => file.replace(/\.json$/, ''));

const encoderFolder = join(import.meta.dirname, 'encoders');

export const encoderNames = readdirSync(encoderFolder).map((file) => file.replace(/\.json$/, ''));

export function readEncoder(name: string): EncoderGolden {
  const json = JSON.parse(readFileSync(join(encoderFolder, `${name}.json`), 'utf8')) as Omit<EncoderGolden, 'name'>;
  return { name, ...json };
}

export function readGolden(name: string): Golden {
  const json = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as Omit<Golden, 'name'>;
  return { name, ...json };
}

/** f32 in base64. */
export const floats = (text: string): Float32Array =>
  new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer);

/** u32: an integer hash of the name's FNV-1a hash and the index. */
function bitsOf(name: string): (index: number) => number {
  let seed = 0x811c9dc5;
  for (const byte of Buffer.from(name)) seed = Math.imul(seed ^ byte, 0x01000193) >>> 0;
  return (i) => {
    let x = (Math.imul(i, 0x9e3779b1) + seed) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
    return (x ^ (x >>> 16)) >>> 0;
  };
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** offset + scale · u, u one of the odd 32nds between -1 and 1. */
export function seeded(name: string, shape: readonly number[], scale: number, offset = 0): Float32Array {
  const bits = bitsOf(name);
  return Float32Array.from({ length: sizeOf(shape) }, (_, i) => offset + scale * ((2 * (bits(i) >>> 27) - 31) / 32));
}

const fp4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];

/** `[.., in, out]`: scale · a number of 4 bits · a power of 2 that is the same for 32 neighbours along `in`. */
function seededFp4(name: string, shape: readonly number[], scale: number): Float32Array {
  const bits = bitsOf(name);
  const [rows, cols] = shape.slice(-2) as [number, number];
  return Float32Array.from({ length: sizeOf(shape) }, (_, i) => {
    const power = ((i % cols) + Math.floor((Math.floor(i / cols) % rows) / 32)) % 3;
    return (fp4[bits(i) >>> 28]! * scale) / 2 ** power;
  });
}

export const productOf = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, x, i) => sum + x * b[i]!, 0);

const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer);

type Values = [name: string, shape: number[], values: Float32Array];

const valuesOf = (salt: string, weights: Weights): Values[] =>
  Object.entries(weights).map(([name, [shape, scale, offset]]) => [
    name,
    shape,
    offset === 'fp4' ? seededFp4(`${salt}${name}`, shape, scale) : seeded(`${salt}${name}`, shape, scale, offset),
  ]);

function weightsOf({ salt, weights, modules = {} }: GoldenModel): Values[] {
  const inside = Object.entries(modules).flatMap(([folder, own]) =>
    valuesOf(`${salt}/${folder}.`, own).map(([name, ...rest]): Values => [`${folder}.${name}`, ...rest]),
  );
  return [...valuesOf(`${salt}/`, weights), ...inside];
}

const saved = (values: readonly Values[]): Map<string, SavedTensor> =>
  new Map(values.map(([name, shape, numbers]) => [name, { dtype: 'F32', shape, bytes: bytesOf(numbers) }]));

/** Writes a model's folder into `to`. */
export async function writeFolder({ salt, config, weights, modules = {}, files = {} }: GoldenModel, to: string) {
  for (const [path, json] of Object.entries({ ...files, 'config.json': config })) {
    mkdirSync(dirname(join(to, path)), { recursive: true });
    writeFileSync(join(to, path), JSON.stringify(json));
  }
  await saveSafetensors(join(to, 'model.safetensors'), saved(valuesOf(`${salt}/`, weights)), { format: 'pt' });
  for (const [folder, own] of Object.entries(modules)) {
    const file = join(to, folder, 'model.safetensors');
    await saveSafetensors(file, saved(valuesOf(`${salt}/${folder}.`, own)), { format: 'pt' });
  }
}

/** The adapter that the recorded run starts from. */
export function startOf({ salt, lora }: Golden): Map<string, Float32Array> {
  return new Map(
    Object.entries(lora.tensors).map(([name, [shape]]) => [name, seeded(`${salt}/${name}`, shape, lora.scale)]),
  );
}

/** Writes that adapter into `to`, in PEFT's format. */
export async function writeAdapter(golden: Golden, to: string): Promise<void> {
  writeFileSync(join(to, 'adapter_config.json'), JSON.stringify(golden.lora.config));
  const tensors = [...startOf(golden)].map(([name, values]): [string, SavedTensor] => [
    name,
    { dtype: 'F32', shape: golden.lora.tensors[name]![0], bytes: bytesOf(values) },
  ]);
  await saveSafetensors(join(to, 'adapter_model.safetensors'), new Map(tensors), { format: 'pt' });
}

/** Writes the GGUF file that llama.cpp's converter would make, in f32. @throws Error if there is none. */
export function writeGguf(golden: GoldenModel, file: string): void {
  const { gguf } = golden;
  if (!gguf) throw new Error(`${golden.name} has no GGUF form`);
  const tensors: [string, number[], Float32Array][] = [];
  const stacks = new Map<string, { shape: number[]; parts: Float32Array[] }>();
  for (const [hf, shape, values] of weightsOf(golden)) {
    if (!gguf.tensors[hf]) continue; // left out by the converter
    const [name, ...change] = gguf.tensors[hf];
    if (typeof name !== 'string' && change[0] === 'turned') {
      const [count, width] = [shape[0]!, shape.at(-1)!];
      const [inner, rows] = [shape.length === 3 ? shape[1]! : 1, width / name.length];
      const of = (i: number, at: number): number => {
        const [expert, row, col] = [Math.floor(i / (rows * inner)), Math.floor(i / inner) % rows, i % inner];
        return values[(expert * inner + col) * width + row * name.length + at]!;
      };
      for (const [at, part] of name.entries())
        tensors.push([
          part,
          [count, rows, ...(shape.length === 3 ? [inner] : [])],
          Float32Array.from({ length: count * rows * inner }, (_, i) => of(i, at)),
        ]);
    } else if (typeof name !== 'string' && change[0] === 'heads') {
      tensors.push(...ofHeads(name, values, shape, change));
    } else if (typeof name !== 'string') {
      const [rows, cols] = shape.slice(-2) as [number, number];
      const size = (rows * cols) / 2;
      const half = (_: number, i: number, at: number): number =>
        values[Math.floor(i / size) * 2 * size + at * size + (i % size)]!;
      for (const [at, part] of name.entries())
        tensors.push([
          part,
          [...shape.slice(0, -2), rows / 2, cols],
          values.subarray(0, values.length / 2).map((_, i) => half(_, i, at)),
        ]);
    } else if (change[0] === 'apart') tensors.push(...apart(name, values, shape, change));
    else if (change[0] !== 'stack' && change[0] !== 'heads') tensors.push([name, ...changed(values, shape, change)]);
    else if (change[0] === 'stack') {
      const stack = stacks.get(name) ?? { shape, parts: [] };
      stack.parts[change[1]] = values;
      stacks.set(name, stack);
    }
  }
  for (const [name, { shape, parts }] of stacks)
    tensors.push([name, [parts.length, ...shape], Float32Array.from(parts.flatMap((part) => [...part]))]);
  for (const [name, values] of Object.entries(gguf.extra))
    tensors.push([name, [values.length], Float32Array.from(values)]);
  const stored = tensors.map(([name, shape, values]): [string, number[], number, Uint8Array] => {
    const blocks = gguf.packed?.[name];
    return blocks === undefined
      ? [name, shape, 0, bytesOf(values)]
      : [name, shape, formats.mxfp4.ggml!, Buffer.from(blocks, 'base64')];
  });
  const bytes = new GgufBytes().header(stored.length, gguf.keys.length);
  for (const [key, type, value] of gguf.keys) writeKey(bytes.string(key), type, value);
  let offset = 0;
  for (const [name, shape, type, data] of stored) {
    bytes.tensor(name, shape.toReversed(), type, offset);
    offset += Math.ceil(data.byteLength / 32) * 32;
  }
  for (const [, , , data] of stored) bytes.pad(32).raw(data);
  writeFileSync(file, bytes.pad(32).done());
}

function writeKey(to: GgufBytes, type: KeyType, value: string | number | boolean | number[] | boolean[]): void {
  if (type === 'string') to.u32(8).string(String(value));
  else if (type === 'f32') to.u32(6).f32(Number(value));
  else if (type === 'u32') to.u32(4).u32(Number(value));
  else if (type === 'bool') to.u32(7).u8(Number(value));
  else {
    const list = [value].flat();
    to.u32(9)
      .u32({ u32s: 4, f32s: 6, bools: 7 }[type as 'u32s' | 'f32s' | 'bools'])
      .u64(list.length);
    for (const item of list) {
      if (type === 'u32s') to.u32(Number(item));
      else if (type === 'f32s') to.f32(Number(item));
      else to.u8(Number(item));
    }
  }
}

type Simple = Exclude<Change, ['apart', ...unknown[]] | ['heads', ...unknown[]]>;

function changed(values: Float32Array, shape: number[], change: Simple): [number[], Float32Array] {
  if (change[0] === 'tile') return tiled(values, shape, change);
  if (change[0] === 'times') {
    const byRow = change[1].flatMap((rows, i) => Array<number>(rows).fill(change[2][i]!));
    return [shape, values.map((x, i) => x * byRow[Math.floor(i / (values.length / shape[0]!))]!)];
  }
  if (change[0] === 'column') return [[values.length, 1], change[1] ? values.map((x) => -Math.exp(x)) : values];
  const [kind, number = 0] = change;
  const [rows, width] = [shape[0]!, values.length / shape[0]!];
  const inOrder = (from: (row: number) => number): Float32Array =>
    values.map((_, i) => values[from(Math.floor(i / width)) * width + (i % width)]!);
  const size = rows / number; // of a head
  switch (kind) {
    case undefined:
    case 'stack':
    case 'turned':
    case 'halves':
      return [shape, values];
    case 'flat':
      return [[values.length], values];
    case 'rows':
      return [[number, values.length / number], values];
    case 'squeeze':
      return [shape.filter((axis) => axis > 1), values];
    case 'add':
      return [shape, values.map((x) => x + number)];
    case 'rest':
      return [[rows - number, ...shape.slice(1)], values.slice(number * width)];
    case 'transpose':
      return [shape.toReversed(), values.map((_, i) => values[(i % rows) * width + Math.floor(i / rows)]!)];
    case 'permute':
      return [shape, inOrder((row) => row - (row % size) + Math.floor((row % size) / 2) + (row % 2) * (size / 2))];
    case 'part': {
      const dim = size / 3;
      const part = rows / 3;
      return [
        shape,
        inOrder((row) => Math.floor((row % part) / dim) * size + Math.floor(row / part) * dim + (row % dim)),
      ];
    }
  }
}

function tiled(
  values: Float32Array,
  shape: number[],
  [, groups, heads, first, size, axis, decays]: Extract<Change, ['tile', ...unknown[]]>,
): [number[], Float32Array] {
  const squeezed = shape.filter((n) => n > 1);
  const width = values.length / shape[0]!;
  const share = heads / groups;
  const from = (at: number): number => {
    if (at < first || size === 0) return at;
    const tile = Math.floor((at - first) / size);
    return first + ((tile % groups) * share + Math.floor(tile / groups)) * size + ((at - first) % size);
  };
  const ordered = values.map((_, i) => {
    const [row, col] = [Math.floor(i / width), i % width];
    return values[axis === 0 ? from(row) * width + col : row * width + from(col)]!;
  });
  return [squeezed, decays ? ordered.map((x) => -Math.exp(x)) : ordered];
}

function ofHeads(
  [first, second]: string[],
  values: Float32Array,
  [rows, width]: number[],
  [, heads, keys]: Extract<Change, ['heads', ...unknown[]]>,
): [string, number[], Float32Array][] {
  const each = rows! / heads;
  const others = each - keys;
  const at = (head: number, row: number, col: number): number => values[(head * each + row) * width! + col]!;
  const turned = (_: unknown, i: number): number =>
    at(Math.floor(i / (keys * width!)), i % keys, Math.floor(i / keys) % width!);
  const rest = (_: unknown, i: number): number =>
    at(Math.floor(i / (others * width!)), keys + (Math.floor(i / width!) % others), i % width!);
  return [
    [first!, [heads, width!, keys], Float32Array.from({ length: heads * keys * width! }, turned)],
    [second!, [heads, others, width!], Float32Array.from({ length: heads * others * width! }, rest)],
  ];
}

function apart(
  name: string,
  values: Float32Array,
  [, width]: number[],
  [, groups, keyDim, own, gate]: Extract<Change, ['apart', ...unknown[]]>,
): [string, number[], Float32Array][] {
  const group = 2 * keyDim + 2 * own;
  const part = (first: number, rows: number): number[] =>
    Array.from({ length: groups }, (_, g) => (g * group + first) * width!).flatMap((at) => [
      ...values.subarray(at, at + rows * width!),
    ]);
  const mixed = [part(0, keyDim), part(keyDim, keyDim), part(2 * keyDim, own)].flat();
  return [
    [name, [mixed.length / width!, width!], Float32Array.from(mixed)],
    [gate, [groups * own, width!], Float32Array.from(part(2 * keyDim + own, own))],
  ];
}
