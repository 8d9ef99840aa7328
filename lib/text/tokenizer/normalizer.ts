// How a tokenizer.json rewrites a text before it is cut into words, exactly as the Rust library does it.
//
// The JavaScript library takes NFKC for a precompiled map of characters, knows Chinese characters of one UTF-16 unit only,
// writes a final sigma as Greek does, trims U+FEFF, and reads `$&` in a replacement. Its own are used for what it does right.

import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { Charsmap } from './charsmap.js';

export interface NormalizerJson {
  type: string;
  [field: string]: unknown;
}

export type Normalizer = (text: string) => string;

/** @throws Error naming the type, where it is not supported. */
export function exactNormalizer(json: NormalizerJson): Normalizer {
  switch (json.type) {
    case 'Sequence': {
      const steps = ((json.normalizers ?? []) as NormalizerJson[]).map(exactNormalizer);
      return (text) => steps.reduce((written, step) => step(written), text);
    }
    case 'BertNormalizer':
      return bertNormalizer(json);
    case 'Lowercase':
      return lowerCase;
    case 'StripAccents':
      return (text) => text.replace(/\p{M}/gu, '');
    case 'Strip':
      return (text) => stripped(text, json.strip_left === true, json.strip_right === true);
    case 'Precompiled': {
      const bytes = typeof json.precompiled_charsmap === 'string' ? json.precompiled_charsmap : '';
      // Files without a map have an empty one, or null.
      if (bytes === '') return (text) => text;
      const map = new Charsmap(Buffer.from(bytes, 'base64'));
      return (text) => map.byGraphemes(text);
    }
    case 'Prepend':
      return (text) => (text === '' ? '' : String(json.prepend ?? '') + text);
    case 'Nmt':
      return (text) => text.replace(nmtControls, '').replace(nmtSpaces, ' ');
    case 'Replace': {
      const { String: from } = (json.pattern ?? {}) as { String?: string };
      const content = String(json.content ?? '');
      if (from === undefined) return libraryNormalizer({ ...json, content: content.replaceAll('$', '$$$$') });
      return (text) => text.replaceAll(from, () => content);
    }
    default:
      return libraryNormalizer(json);
  }
}

function libraryNormalizer(json: NormalizerJson): Normalizer {
  const model = { type: 'BPE', vocab: {}, merges: [] };
  const parts = { model, normalizer: json, pre_tokenizer: null, post_processor: null, decoder: null, added_tokens: [] };
  return (new LibraryTokenizer(parts, {}) as unknown as { normalizer: Normalizer }).normalizer;
}

const nmtControls = /[\x01-\x08\x0b\x0e-\x1f\x7f\x8f\x9f]/g;
const nmtSpaces = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g;

/** Each character alone: a sigma is the same at the end of a word. */
function lowerCase(text: string): string {
  if (!text.includes('Σ')) return text.toLowerCase();
  return text
    .split('Σ')
    .map((part) => part.toLowerCase())
    .join('σ');
}

const whiteSpace = /\p{White_Space}/u;

function stripped(text: string, left: boolean, right: boolean): string {
  let [from, to] = [0, text.length];
  while (left && from < to && whiteSpace.test(text[from]!)) from += 1;
  while (right && from < to && whiteSpace.test(text[to - 1]!)) to -= 1;
  return text.slice(from, to);
}

const cleaned = /[\0\ufffd\p{Cf}\p{Co}\p{Cs}]|(?![\t\n\r])\p{Cc}/gu;
const spaces = /[\t\n\r\p{White_Space}]/gu;
/** Han as BERT's authors listed it; the Rust library has U+2B920 where they have U+2B820. */
const chinese =
  /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;

function bertNormalizer(json: NormalizerJson): Normalizer {
  const lower = json.lowercase !== false;
  const accents = typeof json.strip_accents === 'boolean' ? json.strip_accents : lower;
  return (text) => {
    let written = text;
    if (json.clean_text !== false) written = written.replace(cleaned, '').replace(spaces, ' ');
    if (json.handle_chinese_chars !== false) written = written.replace(chinese, ' $& ');
    if (accents) written = written.normalize('NFD').replace(/\p{Mn}/gu, '');
    return lower ? lowerCase(written) : written;
  };
}
