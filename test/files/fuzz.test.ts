// Damaged and hostile files: whatever the bytes, a reader returns something self-consistent or throws a plain Error
// that names the file. It never reads outside the file, overflows, or takes long.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { openWeights } from '../../lib/files/folder-weights.js';
import { readGguf } from '../../lib/files/gguf.js';
import { check, readJson } from '../../lib/files/json.js';
import { openSafetensors, readSafetensors } from '../../lib/files/safetensors.js';
import type { Weights } from '../../lib/files/weights.js';
import { type FormatName, formats } from '../../lib/formats/index.js';
import { ggufConfig } from '../../lib/models/gguf.js';
import { headOf, memoryFile, random, safetensorsBytes, sharedData, smallGguf } from './memory.js';

type Random = (below: number) => number;

const EDGES = [0n, 1n, 7n, 31n, 255n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 40n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];

/** Runs `read`; true if it returned. A failure must be a plain one-line Error that begins with the file's path. */
function survives(path: string, read: () => void): boolean {
  try {
    read();
    return true;
  } catch (error) {
    const { message } = error as Error;
    const plain = (error as Error).constructor === Error;
    if (!plain || !message.startsWith(path) || message.length > 700 || message.includes('\n')) throw error;
    return false;
  }
}

function consistent(weights: Weights, fileBytes: number, sizeOf: (dtype: string, elements: number) => number): void {
  let end = 0;
  const sorted = [...weights.tensors].filter(([, { bytes }]) => bytes > 0).sort(([, a], [, b]) => a.offset - b.offset);
  for (const [name, { dtype, shape, offset, bytes }] of sorted) {
    expect(offset).toBeGreaterThanOrEqual(end);
    end = offset + bytes;
    expect(
      sizeOf(
        dtype,
        shape.reduce((a, b) => a * b, 1),
      ),
    ).toBe(bytes);
    if (bytes < 65536) expect(weights.read(name).length).toBe(bytes);
  }
  expect(end).toBeLessThanOrEqual(fileBytes);
}

const BITS: Record<string, number> = { I64: 64, F64: 64, F32: 32, I32: 32, BF16: 16, F16: 16, F4: 4 };
const safetensorsSize = (dtype: string, elements: number) => ((BITS[dtype] ?? 8) * elements) / 8;
const ggufSize = (dtype: string, elements: number) => {
  const { blockElements, blockBytes } = formats[dtype as FormatName];
  return (elements / blockElements) * blockBytes;
};

/** One to three random changes of a copy of `bytes`, among its first `reach`. */
function mutate(bytes: Uint8Array, reach: number, next: Random): Uint8Array {
  let changed = new Uint8Array(bytes);
  for (let count = 1 + next(3); count > 0; count--) {
    const size = Math.min(reach, changed.length);
    if (size === 0) break;
    const at = next(size);
    const view = new DataView(changed.buffer);
    const edge = EDGES[next(EDGES.length)] ?? 0n;
    switch (next(8)) {
      case 0:
        changed[at] = (changed[at] ?? 0) ^ (1 << next(8));
        break;
      case 1:
        changed[at] = next(256);
        break;
      case 2:
        changed = changed.slice(0, next(changed.length));
        break;
      case 3:
        if (at + 8 <= changed.length) view.setBigUint64(at, edge, true);
        break;
      case 4:
        if (at + 4 <= changed.length) view.setUint32(at, Number(edge & 0xffffffffn), true);
        break;
      case 5:
        changed.copyWithin(at, next(size), next(size) + 16);
        break;
      case 6: {
        const cut = at + 1 + next(24);
        changed = new Uint8Array([...changed.subarray(0, at), ...changed.subarray(cut)]);
        break;
      }
      default: {
        const piece = changed.subarray(at, at + 1 + next(40));
        changed = new Uint8Array([...changed.subarray(0, at), ...piece, ...changed.subarray(at)]);
      }
    }
  }
  return changed;
}

/** Random changes of a JSON text: numbers, words, brackets and whole members, so that many results still parse. */
function mutateJson(json: string, next: Random): string {
  let text = json;
  for (let count = 1 + next(3); count > 0; count--) {
    const numbers = [...text.matchAll(/\d+/g)];
    const members = [...text.matchAll(/"[^"]*":(?:\{[^{}]*\}|\[[^[\]]*\]|"[^"]*")/g)];
    const number = numbers[next(Math.max(1, numbers.length))];
    const member = members[next(Math.max(1, members.length))];
    const at = next(text.length + 1);
    const cut = (from: number, length: number, by: string) => text.slice(0, from) + by + text.slice(from + length);
    switch (next(8)) {
      case 0:
        if (number) text = cut(number.index, number[0].length, String(EDGES[next(EDGES.length)]));
        break;
      case 1:
        if (number)
          text = cut(number.index, number[0].length, ['-1', '1e3', '2.5', '"x"', 'null', '[]', '01'][next(7)] ?? '');
        break;
      case 2:
        if (number) text = cut(number.index, number[0].length, String(Number(number[0]) + next(9) - 4));
        break;
      case 3:
        if (member) text = cut(member.index, 0, `${member[0]},`);
        break;
      case 4:
        if (member) text = cut(member.index, member[0].length, `"a":{}`);
        break;
      case 5:
        text = cut(at, next(6), '');
        break;
      case 6:
        text = cut(
          at,
          0,
          ['{', '}', '[', ']', ',', '"', ':', '\\', '\u0000', ' ', '[[[[', '\\ud800', 'é'][next(13)] ?? '',
        );
        break;
      default:
        text = text.replace(/F32|BF16|I64/, () => ['F64', 'U8', 'F4', 'BOOL', 'X', ''][next(6)] ?? '');
    }
  }
  return text;
}

const SMALL_HEADER = {
  __metadata__: { format: 'pt' },
  'model.norm.weight': { dtype: 'F32', shape: [4], data_offsets: [0, 16] },
  'a\u00e9"b': { dtype: 'BF16', shape: [2, 3], data_offsets: [16, 28] },
  empty: { dtype: 'I64', shape: [0, 5], data_offsets: [28, 28] },
  scalar: { dtype: 'I32', shape: [], data_offsets: [28, 32] },
};

function fuzzSafetensors(head: Uint8Array, bytes: number, rounds: number, seed: number): number {
  const next = random(seed);
  const headerBytes = Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true));
  const json = Buffer.from(head.subarray(8, 8 + headerBytes)).toString();
  let parsed = 0;
  for (let round = 0; round < rounds; round++) {
    const byJson = round % 2 === 0;
    const changed = byJson
      ? safetensorsBytes(mutateJson(json, next), 0)
      : mutate(head.subarray(0, 8 + headerBytes), 8 + headerBytes, next);
    const size = next(8) === 0 ? next(bytes + 64) : changed.length + bytes - (8 + headerBytes);
    const file = memoryFile('fuzz.safetensors', changed.subarray(0, size), size);
    if (survives(file.path, () => consistent(readSafetensors(file), size, safetensorsSize))) parsed++;
  }
  return parsed;
}

function fuzzGguf(head: Uint8Array, bytes: number, rounds: number, seed: number): number {
  const next = random(seed);
  let parsed = 0;
  for (let round = 0; round < rounds; round++) {
    const changed = mutate(head, head.length, next);
    const size = next(8) === 0 ? next(bytes + 64) : Math.max(0, changed.length + bytes - head.length);
    const file = memoryFile('fuzz.gguf', changed.subarray(0, size), size);
    const ok = survives(file.path, () => {
      const gguf = readGguf(file);
      consistent(gguf, size, ggufSize);
      const config = ggufConfig(gguf);
      expect(config.hidden_size).toBeGreaterThan(0);
    });
    if (ok) parsed++;
  }
  return parsed;
}

describe('safetensors', () => {
  it('survives 6000 mutations of a small file', () => {
    const bytes = safetensorsBytes(SMALL_HEADER, 32);
    const parsed = fuzzSafetensors(bytes, bytes.length, 6000, 1);
    // Both outcomes must occur, or the mutations test nothing.
    expect(parsed).toBeGreaterThan(50);
    expect(parsed).toBeLessThan(5000);
  });

  for (const path of ['stories260K/hf/model.safetensors', 'tinystories-656k/model.safetensors']) {
    const real = sharedData(path);
    it.skipIf(!real)(`survives 1000 mutations of ${path}${real ? '' : ' (skipped: shared data is missing)'}`, () => {
      const { head, bytes } = headOf(real as string, 65536);
      fuzzSafetensors(head, bytes, 1000, 2);
    });
  }

  it('survives 400 mutations on the disk, memory-mapped', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'helvetia-fuzz-'));
    try {
      const next = random(3);
      const original = safetensorsBytes(SMALL_HEADER, 32);
      for (let round = 0; round < 400; round++) {
        const path = join(folder, `${round}.safetensors`);
        const header = mutateJson(JSON.stringify(SMALL_HEADER), next);
        const bytes = next(2) ? mutate(original, original.length, next) : safetensorsBytes(header, 32);
        writeFileSync(path, bytes);
        const values: Promise<unknown>[] = [];
        survives(path, () => {
          const file = openSafetensors(path);
          consistent(file, bytes.length, safetensorsSize);
          for (const [name, { dtype }] of file.tensors) {
            if (['F32', 'I32', 'U8'].includes(dtype)) values.push(file.tensor(name).data());
          }
          file.close();
        });
        await Promise.all(values);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('survives 500 mutations of a shard index', () => {
    const folder = mkdtempSync(join(tmpdir(), 'helvetia-fuzz-'));
    try {
      const next = random(4);
      const shard = (name: string) =>
        safetensorsBytes({ [name]: { dtype: 'U8', shape: [2], data_offsets: [0, 2] } }, 2);
      writeFileSync(join(folder, 'a.safetensors'), shard('x'));
      writeFileSync(join(folder, 'b.safetensors'), shard('y'));
      const index = JSON.stringify({
        metadata: { total_size: 5 },
        weight_map: { x: 'a.safetensors', y: 'b.safetensors' },
      });
      for (let round = 0; round < 500; round++) {
        writeFileSync(join(folder, 'model.safetensors.index.json'), mutateJson(index, next));
        survives(folder, () => openWeights(folder).close());
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('gguf', () => {
  it('survives 6000 mutations of a small file', () => {
    const bytes = smallGguf();
    const parsed = fuzzGguf(bytes, bytes.length, 6000, 5);
    expect(parsed).toBeGreaterThan(50);
    expect(parsed).toBeLessThan(5900);
  });

  const real: [path: string, headBytes: number, rounds: number][] = [
    ['stories260K/stories260K-q8_0.gguf', 14240, 1500],
    ['stories260K/stories260K-f32.gguf', 14240, 500],
    ['tinystories-656k/gguf/tinystories-656k-q8_0.gguf', 50432, 300],
    ['llamacpp-vocab-tests/gguf/ggml-vocab-phi-3.gguf', 726048, 20],
    ['smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf', 1785664, 20],
  ];
  for (const [path, headBytes, rounds] of real) {
    const found = sharedData(path);
    it.skipIf(!found)(
      `survives ${rounds} mutations of ${path}${found ? '' : ' (skipped: shared data is missing)'}`,
      () => {
        const { head, bytes } = headOf(found as string, headBytes);
        fuzzGguf(head, bytes, rounds, 6);
      },
    );
  }
});

describe('json', () => {
  it('survives 1500 mutations of a config', () => {
    const folder = mkdtempSync(join(tmpdir(), 'helvetia-fuzz-'));
    const path = join(folder, 'config.json');
    const schema = z.looseObject({
      hidden_size: z.int().positive(),
      eos_token_id: z.union([z.int(), z.array(z.int())]),
      rope_scaling: z.looseObject({ rope_type: z.enum(['linear', 'llama3']), factor: z.number().positive() }).nullish(),
    });
    const text = JSON.stringify({
      hidden_size: 64,
      eos_token_id: [1, 2],
      rope_scaling: { rope_type: 'linear', factor: 2.5 },
      architectures: ['LlamaForCausalLM'],
    });
    try {
      const next = random(7);
      for (let round = 0; round < 1500; round++) {
        writeFileSync(path, next(3) ? mutateJson(text, next) : mutate(Buffer.from(text), text.length, next));
        survives(path, () => check(path, schema, readJson(path)));
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
