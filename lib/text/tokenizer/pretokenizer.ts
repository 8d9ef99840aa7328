// How a tokenizer.json cuts a text into words before byte-pair encoding: its pre_tokenizer, rewritten so that the JavaScript
// library cuts exactly where the Rust one does.
//
// The library translates the regular expressions of `Split` faithfully, but has its own, narrower ideas elsewhere:
// ASCII digits only, JavaScript's \s (which takes U+FEFF for a space and U+0085 not), no cut before "▁", and it
// ignores four of Split's behaviours. All of these can be said as a `Split` that isolates its matches.

import { gpt2Words } from './word-patterns.js';

export interface PreTokenizerJson {
  type: string;
  [field: string]: unknown;
}

export function splitOn(regex: string): PreTokenizerJson {
  return { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false };
}

function splitOff(regex: string): PreTokenizerJson {
  return { type: 'Split', pattern: { Regex: regex }, behavior: 'Removed', invert: false };
}

const space = String.raw`\s+`;
const punctuation = String.raw`[\p{P}!-/:-@\[-${'`'}{-~]`;

function sequence(...pretokenizers: PreTokenizerJson[]): PreTokenizerJson {
  return { type: 'Sequence', pretokenizers };
}

/** The same cuts, in the parts of a tokenizer.json that the library carries out exactly. */
export function exactPreTokenizer(json: PreTokenizerJson): PreTokenizerJson {
  switch (json.type) {
    case 'Sequence':
      return sequence(...((json.pretokenizers ?? []) as PreTokenizerJson[]).map(exactPreTokenizer));
    case 'ByteLevel':
      // A prefix space is added before the cut, which two steps can't say; such tokenizers keep the library's cut.
      if (json.use_regex === false || json.add_prefix_space === true) return json;
      return sequence(splitOn(gpt2Words), { ...json, use_regex: false });
    case 'Digits':
      return splitOn(json.individual_digits === true ? String.raw`\p{N}` : String.raw`\p{N}+`);
    case 'WhitespaceSplit':
      return splitOff(space);
    case 'BertPreTokenizer':
      return sequence(splitOff(space), splitOn(punctuation));
    case 'Whitespace':
      return { type: 'Split', pattern: { Regex: String.raw`\w+|[^\w\s]+` }, behavior: 'Removed', invert: true };
    case 'Punctuation':
      return exactSplit({ behavior: json.behavior, pattern: { Regex: punctuation } }, 'Isolated');
    case 'Split':
      return exactSplit(json, 'Removed');
    case 'Metaspace':
      return exactMetaspace(json);
    default:
      return json;
  }
}

function exactSplit(json: { [field: string]: unknown }, preset: string): PreTokenizerJson {
  const behavior = typeof json.behavior === 'string' ? json.behavior : preset;
  const pattern = (json.pattern ?? {}) as { Regex?: string; String?: string };
  const cut = pattern.Regex ?? pattern.String?.replace(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`) ?? '';
  if (json.invert === true && behavior !== 'Isolated') return { type: 'Split', pattern, behavior, invert: true };
  switch (behavior) {
    case 'MergedWithPrevious':
      return splitOn(String.raw`(?:(?!${cut})[\s\S])*(?:${cut})`);
    case 'MergedWithNext':
      return splitOn(String.raw`(?:${cut})(?:(?!${cut})[\s\S])*`);
    case 'Contiguous':
      return splitOn(`(?:${cut})+`);
    default:
      return { type: 'Split', pattern: { Regex: cut }, behavior, invert: false };
  }
}

function exactMetaspace(json: PreTokenizerJson): PreTokenizerJson {
  const replacement = typeof json.replacement === 'string' ? json.replacement : '▁';
  const scheme = json.prepend_scheme ?? (json.add_prefix_space === false ? 'never' : 'always');
  const replace = { type: 'Metaspace', replacement, prepend_scheme: scheme };
  if (json.split === false) return replace;
  return sequence(replace, splitOn(`${replacement}(?:(?!${replacement})[\\s\\S])*`));
}
