// Where the recorded results of other implementations lie, and how their files are read.

import { existsSync, readFileSync } from 'node:fs';
import { describe } from 'vitest';
import { openGguf } from '../../lib/files/gguf.js';
import { tokenizerFromGguf } from '../../lib/text/tokenizer/gguf-tokenizer.js';
import { Tokenizer } from '../../lib/text/tokenizer/tokenizer.js';

const folder = new URL('../../../shared/data/', import.meta.url);

/** A suite that needs recorded data, skipped where it isn't there. */
export function describeWithData(name: string, suite: () => void): void {
  if (existsSync(folder)) describe(name, suite);
  else describe.skip(`${name} (skipped: ../shared/data is missing)`, suite);
}

export function dataPath(path: string): string {
  return new URL(path, folder).pathname;
}

export function dataText(path: string): string {
  return readFileSync(dataPath(path), 'utf8');
}

export async function folderTokenizer(path: string): Promise<Tokenizer> {
  const tokenizer = await Tokenizer.fromFolder(dataPath(path));
  if (!tokenizer) throw new Error(`${path} has no tokenizer.json`);
  return tokenizer;
}

export function ggufTokenizer(path: string): Tokenizer {
  const file = openGguf(dataPath(path));
  try {
    return tokenizerFromGguf(file.metadata);
  } finally {
    file.close();
  }
}

/** llama.cpp's vectors of one vocabulary: texts and the ids it gives without special tokens. */
export function vocabularyVectors(name: string): { text: string; ids: number[] }[] {
  const path = `llamacpp-vocab-tests/ggml-vocab-${name}.gguf`;
  const lines = dataText(`${path}.out`).split('\n');
  return dataText(`${path}.inp`)
    .split('\n__ggml_vocab_test__\n')
    .map((text, index) => ({ text, ids: (lines[index]?.match(/\d+/g) ?? []).map(Number) }));
}

export interface Fixture {
  text: string;
  text_pair?: string;
  ids: number[];
}

/** transformers.js's fixtures of one tokenizer. */
export function fixtures(family: string, name: string): Fixture[] {
  const all = JSON.parse(dataText('tokenizer-fixtures/fixtures.json')) as Record<string, Record<string, object>>;
  return Object.values(all[family]?.[name] ?? {}) as Fixture[];
}

export interface ExpectedChats {
  chats: {
    messages: { role: string; content: string }[];
    prompt: string;
    prompt_ids: number[];
    greedy: number[];
    text: string;
  }[];
  tokenizer: { text: string; ids: number[] }[];
}

export function smollm2(): { tokenizer: Tokenizer; expected: ExpectedChats } {
  return {
    tokenizer: ggufTokenizer('smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf'),
    expected: JSON.parse(dataText('smollm2-135m-instruct/expected.json')) as ExpectedChats,
  };
}
