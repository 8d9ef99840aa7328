// What the kinds of tokenizers in GGUF files share: a kind's description, and the fields they read.

import type { AddedTokenJson, TokenizerParts } from './parts.js';

export type Metadata = ReadonlyMap<string, unknown>;

export const unknown = 2;
export const control = 3;
export const userDefined = 4;
export const byte = 6;

export interface Vocabulary {
  metadata: Metadata;
  tokens: readonly string[];
  vocab: Map<string, number>;
  types: ArrayLike<number>;
  added: AddedTokenJson[];
  /** Tokens with a purpose, by name. */
  special: Readonly<Record<'bos' | 'eos' | 'unknown' | 'separator', string | undefined>>;
  /** Which tokens the file wants around texts. */
  adds: Readonly<Record<'bos' | 'eos' | 'separator', boolean>>;
}

export type Built = Pick<TokenizerParts, 'json' | 'bytePairs' | 'normalizer'>;

/** A value of `tokenizer.ggml.model`. */
export interface Kind {
  title: string;
  /** Ids where the file does not say. */
  presets: { bos?: number; eos?: number; unknown?: number; separator?: number };
  /** Which tokens are around texts where the file does not say. */
  adds(metadata: Metadata): { bos?: boolean; eos?: boolean; separator?: boolean };
  build(vocabulary: Vocabulary): Built;
}

export function numbers(metadata: Metadata, field: string, count: number): ArrayLike<number> | undefined {
  const values = metadata.get(`tokenizer.ggml.${field}`);
  if (values === undefined) return undefined;
  const list = values as ArrayLike<number>;
  if (typeof values !== 'object' || typeof list?.length !== 'number' || list.length < count) {
    throw new Error(`tokenizer.ggml.${field} has ${list?.length ?? 'no'} entries: expected ${count}`);
  }
  return list;
}

export function scoresOf({ metadata, tokens }: Vocabulary): ArrayLike<number> {
  const scores = numbers(metadata, 'scores', tokens.length);
  if (!scores) throw new Error('tokenizer.ggml.scores is missing: expected a score for each token');
  return scores;
}

export function flag(metadata: Metadata, field: string, preset: boolean): boolean {
  const value = metadata.get(`tokenizer.ggml.${field}`);
  return typeof value === 'boolean' ? value : preset;
}

/** `bos A eos`, and `bos A eos separator B eos`, as far as the file wants them. */
export function templateOf({ special, adds }: Vocabulary): object {
  const token = (wanted: boolean, id: string | undefined): object[] =>
    wanted && id !== undefined ? [{ SpecialToken: { id, type_id: 0 } }] : [];
  const end = token(adds.eos, special.eos);
  const single = [...token(adds.bos, special.bos), { Sequence: { id: 'A', type_id: 0 } }, ...end];
  const second = { Sequence: { id: 'B', type_id: 0 } };
  const pair = [...single, ...token(adds.separator, special.separator ?? special.eos), second, ...end];
  return { type: 'TemplateProcessing', single, pair };
}
