// SentencePiece's precompiled map of characters: what it writes for a sequence of them before it looks for tokens, such as
// NFKC's forms and a space for each kind of white space.
//
// Format: the length of a double array (u32, little endian), its units, then the replacements, each with a NUL behind. A
// unit holds its label (bits 0-7), whether a value hangs below it (bit 8) and the offset of its children (bits 10-30,
// shifted by eight where bit 9 is set); a value's unit has bit 31 and where its replacement begins.

/** Bytes of a sequence that the map has, and what stands for it. */
interface Replacement {
  length: number;
  text: string;
}

const replacementCharacter = '\ufffd';

export class Charsmap {
  private readonly units: Uint32Array;
  private readonly replacements: Uint8Array;
  private readonly known = new Map<number, string>();
  private readonly characters = new Map<string, string>();
  private readonly encoder = new TextEncoder();
  private readonly decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  /** @throws Error where the bytes are no such map. */
  constructor(bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const size = bytes.length < 4 ? -1 : view.getUint32(0, true);
    if (size < 4 || size % 4 !== 0 || 4 + size >= bytes.length || bytes.at(-1) !== 0) {
      throw new Error(`precompiled_charsmap is broken: ${bytes.length} bytes, of which the first four say ${size}`);
    }
    this.units = Uint32Array.from({ length: size / 4 }, (_, at) => view.getUint32(4 + 4 * at, true));
    this.replacements = bytes.subarray(4 + size);
  }

  /**
   * As Hugging Face's tokenizers replace: a grapheme of less than six bytes by what stands for its shortest beginning in
   * the map, and other graphemes character by character.
   */
  byGraphemes(text: string): string {
    return text.replace(parts, (part) => {
      if (isCharacter(part)) return this.ofCharacter(part);
      let written = '';
      for (const grapheme of graphemesOf(part)) {
        const whole = Buffer.byteLength(grapheme) < 6 ? this.first(grapheme) : undefined;
        if (whole !== undefined) written += whole;
        else for (const character of grapheme) written += this.ofCharacter(character);
      }
      return written;
    });
  }

  /** As SentencePiece replaces: the longest sequence in the map, wherever one begins. */
  byLongest(text: string): string {
    const bytes = this.encoder.encode(text);
    let written = '';
    let plainFrom = 0;
    for (let at = 0; at < bytes.length; ) {
      const found = this.longest(bytes, at);
      if (found === undefined) {
        at += 1;
        while (at < bytes.length && (bytes[at]! & 0xc0) === 0x80) at += 1;
        continue;
      }
      written += this.decoder.decode(bytes.subarray(plainFrom, at)) + found.text;
      at += found.length;
      plainFrom = at;
    }
    return written + this.decoder.decode(bytes.subarray(plainFrom));
  }

  private ofCharacter(character: string): string {
    const known = this.characters.get(character);
    if (known !== undefined) return known;
    const written = this.first(character) ?? character;
    this.characters.set(character, written);
    return written;
  }

  private first(text: string): string | undefined {
    return this.search(this.encoder.encode(text), 0, true)?.text;
  }

  private longest(bytes: Uint8Array, at: number): Replacement | undefined {
    return this.search(bytes, at, false);
  }

  private search(bytes: Uint8Array, from: number, shortest: boolean): Replacement | undefined {
    let found: { length: number; value: number } | undefined;
    let node = childrenOf(this.units[0]!);
    for (let at = from; at < bytes.length; at += 1) {
      const byte = bytes[at]!;
      node ^= byte;
      const unit = this.units[node];
      if (byte === 0 || unit === undefined || (unit & 0x800000ff) !== byte) break;
      node ^= childrenOf(unit);
      if ((unit & 0x100) === 0) continue;
      found = { length: at + 1 - from, value: (this.units[node] ?? 0) & 0x7fffffff };
      if (shortest) break;
    }
    return found && { length: found.length, text: this.replacementAt(found.value) };
  }

  private replacementAt(from: number): string {
    const known = this.known.get(from);
    if (known !== undefined) return known;
    if (from >= this.replacements.length) return replacementCharacter;
    const text = this.decoder.decode(this.replacements.subarray(from, this.replacements.indexOf(0, from)));
    this.known.set(from, text);
    return text;
  }
}

/** A superset of what joins its neighbours to a grapheme: marks, modifiers, flags, vowels of Hangul, signs in front. */
const joining =
  '\\r\\p{M}\\p{Cf}\\p{Grapheme_Extend}\\p{Emoji_Modifier}\\p{RI}\\u0e33\\u0eb3\\u1160-\\u11ff\\ud7b0-\\ud7ff' +
  '\\u0d4e\\u{111c2}\\u{111c3}\\u{1193f}\\u{11941}\\u{11a3a}\\u{11a84}-\\u{11a89}\\u{11d46}\\u{11f02}';
/** What may be several characters together, then what may be replaced alone: all but ASCII's letters and signs. */
const parts = new RegExp(`[^${joining}]?(?:[${joining}][^${joining}]?)+|[^ -~]`, 'gsu');

function isCharacter(part: string): boolean {
  return part.length === 1 || (part.length === 2 && part.codePointAt(0)! > 0xffff);
}

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });
const window = 48;

/** Window by window, as a segment costs the segmenter the length of the whole text. */
function* graphemesOf(text: string): Generator<string> {
  for (let from = 0, size = window; from < text.length; ) {
    const to = from + size;
    const some = Array.from(segmenter.segment(text.slice(from, to)), ({ segment }) => segment);
    // The last one may go on behind the window.
    if (to < text.length) some.pop();
    yield* some;
    const length = some.reduce((sum, { length }) => sum + length, 0);
    from += length;
    size = length === 0 ? size * 2 : window;
  }
}

function childrenOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
