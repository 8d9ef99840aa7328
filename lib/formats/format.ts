// What a number format says of itself. Each family has a file with its members; index.ts joins them into the catalogue.

/** How a format lies in memory and in files. */
interface Layout {
  /** Elements that lie together in a block: 1 where each element stands alone. */
  readonly blockElements: number;
  readonly blockBytes: number;
  /** ggml's number of the type, which GGUF files give. */
  readonly ggml?: number;
  /** The name in safetensors files, and its place there: a writer puts tensors of earlier formats first. */
  readonly safetensors?: { readonly name: string; readonly order: number };
}

/** A format that ops compute with; `kind` says with which others. */
export interface ComputedFormat extends Layout {
  readonly kind: 'float' | 'integer';
}

/** A format of blocks whose elements share a scale. Storage only: `dequantize` makes it computable. */
export interface BlockFormat extends Layout {
  readonly kind: 'block';
  /** The reference: the numbers of one block, exact in double precision. */
  readonly unpack: (block: DataView) => number[];
}

/** A format that files may hold and no tensor can: an error names it. */
export interface NamedFormat extends Layout {
  readonly kind: 'named';
}

export type Format = ComputedFormat | BlockFormat | NamedFormat;

export type Family = Readonly<Record<string, Format>>;
