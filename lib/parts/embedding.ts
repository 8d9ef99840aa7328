// The token embedding: where a decoder begins.
import type { DType } from '../core/dtype.js';
import type { Tensor } from '../core/tensor.js';
import { cast } from '../ops/copy.js';
import { add, affine } from '../ops/elementwise.js';
import { embedding } from '../ops/embedding.js';
import { slice } from '../ops/view.js';
import { type NormKind, normOf } from './norm.js';
import type { Pass, Place, Weight } from './part.js';

export interface EmbeddingOptions {
  vocabSize: number;
  hiddenSize: number;
  /** The rows are multiplied by this. Default 1. */
  scale?: number | undefined;
  /** A learned row for each of so many positions is added; the first position's is row `first`. Default 0. */
  positions?: (Place & { count: number; first?: number | undefined }) | undefined;
  /** A learned row for each of so many types of tokens is added. */
  types?: (Place & { count: number }) | undefined;
  /** A norm of the sum. */
  norm?: (Place & NormKind) | undefined;
}

export interface EmbeddingPart {
  /** The tokens' table, then the positions', if any. */
  readonly weights: readonly [Weight, ...Weight[]];
  readonly constants: readonly Float32Array[];
  /** The rows of `pass.batch.tokens`, `[total, hidden]` in `dtype`. */
  run(pass: Pass, dtype: DType): Tensor;
}

export function tokenEmbedding(place: Place, options: EmbeddingOptions): EmbeddingPart {
  const { vocabSize, hiddenSize, scale = 1, positions, types } = options;
  const table = ({ path, gguf }: Place, rows: number): Weight => ({
    name: `${path}.weight`,
    shape: [rows, hiddenSize],
    gguf: { name: `${gguf}.weight` },
    start: 'random',
  });
  const tokens = table(place, vocabSize);
  const placed = positions && { first: positions.first ?? 0, table: table(positions, positions.count) };
  const typed = types && table(types, types.count);
  const norm = options.norm && normOf(options.norm, { ...options.norm, size: hiddenSize });
  return {
    weights: [tokens, ...(placed ? [placed.table] : []), ...(typed ? [typed] : []), ...(norm?.weights ?? [])],
    constants: norm?.constants ?? [],
    run(pass, dtype) {
      const { batch } = pass;
      const rows = embedding(pass.weight(tokens.name), batch.tokens, { dtype });
      let x = scale === 1 ? rows : affine(rows, scale, 0);
      if (placed) {
        const all = pass.weight(placed.table.name);
        x = add(x, embedding(placed.first > 0 ? slice(all, 0, placed.first) : all, batch.positions, { dtype }));
      }
      if (typed) {
        const all = pass.weight(typed.name);
        x = add(x, batch.types ? embedding(all, batch.types, { dtype }) : cast(slice(all, 0, 0, 1), dtype));
      }
      return norm ? norm.apply(x, pass) : x;
    },
  };
}
