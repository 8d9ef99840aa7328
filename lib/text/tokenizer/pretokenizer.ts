// How a text is cut into words before byte-pair encoding: the patterns of the model families, and the rewriting of a
// tokenizer.json's pre_tokenizer so that the JavaScript library cuts exactly where the Rust one does.
//
// The library translates the regular expressions of `Split` faithfully, but has its own, narrower ideas elsewhere:
// ASCII digits only, JavaScript's \s (which takes U+FEFF for a space and U+0085 not), no cut before "▁", and it
// ignores four of Split's behaviours. All of these can be said as a `Split` that isolates its matches.

export interface PreTokenizerJson {
  type: string;
  [field: string]: unknown;
}

/** GPT-2's words; also what `ByteLevel` means by `use_regex`. */
export const gpt2Words = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

const contractions = `(?i:'s|'t|'re|'ve|'m|'ll|'d)`;
const spaces = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const upper = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const lower = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;

/** Words of any case, digits in groups of at most `digits`; Llama 3, Qwen, GLM and many more. */
function modernWords(digits: string, letters = String.raw`\p{L}`): string {
  const word = String.raw`[^\r\n\p{L}\p{N}]?[${letters}]+`;
  return String.raw`${contractions}|${word}|${digits}| ?[^\s${letters}\p{N}]+[\r\n]*|${spaces}`;
}

/** Words cut where the case changes; o200k and Tekken. */
function casedWords(suffix: string, digits: string): string {
  const lead = String.raw`[^\r\n\p{L}\p{N}]?`;
  const rest = String.raw`${digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|${spaces}`;
  return `${lead}${upper}*${lower}+${suffix}|${lead}${upper}+${lower}*${suffix}|${rest}`;
}

const single = String.raw`\p{N}`;
const triple = String.raw`\p{N}{1,3}`;
const punctuationRun = String.raw`[\p{P}\$\+<=>\^~\|]+`;
const gpt2 = [gpt2Words];
const smollm = [single, gpt2Words];
const llama3 = [modernWords(triple)];
const qwen2 = [modernWords(single)];
const o200k = [casedWords(`${contractions}?`, triple)];
const deepseekV3 = [
  triple,
  '[一-龥぀-ゟ゠-ヿ]+',
  [
    String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${'`'}{|}~][A-Za-z]+`,
    String.raw`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+`,
    String.raw` ?[\p{P}\p{S}]+[\r\n]*`,
    spaces,
  ].join('|'),
];

/** The regular expressions, applied one after the other, for each value of `tokenizer.ggml.pre`. */
export const wordPatterns: ReadonlyMap<string, readonly string[]> = new Map([
  ['default', [punctuationRun, gpt2Words, String.raw`\p{N}+`, '[0-9][0-9][0-9]']],
  ...named(gpt2, 'gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum modern-bert'),
  ...named(smollm, 'smollm starcoder refact command-r codeshell exaone minerva-7b mellum2'),
  ...named(llama3, 'llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 dbrx smaug-bpe glm4 chatglm-bpe'),
  ...named(qwen2, 'qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2'),
  ['qwen35', [modernWords(single, String.raw`\p{L}\p{M}`)]],
  ...named(o200k, 'gpt-4o llama4 kanana2 minimax-m2'),
  ['tekken', [casedWords('', single)]],
  ...named(deepseekV3, 'deepseek-v3 hunyuan-dense'),
  ['deepseek-coder', [String.raw`[\r\n]`, String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, '[一-龥ࠀ-一가-퟿]+', single]],
  ['falcon', [String.raw`[\p{P}\$\+<=>\^~\|${'`'}]+`, gpt2Words, '[0-9][0-9][0-9]']],
]);

/** Families whose words are taken whole when they are tokens, before any merge. */
export const wholeWordFirst: ReadonlySet<string> = new Set(
  'llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 tekken'.split(' '),
);

function named(patterns: readonly string[], names: string): [string, readonly string[]][] {
  return names.split(' ').map((name) => [name, patterns]);
}

export function splitOn(regex: string): PreTokenizerJson {
  return { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false };
}

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
      return splitOn(json.individual_digits === true ? single : String.raw`\p{N}+`);
    case 'Whitespace':
      return { type: 'Split', pattern: { Regex: String.raw`\w+|[^\w\s]+` }, behavior: 'Removed', invert: true };
    case 'Punctuation':
      return exactSplit(
        { behavior: json.behavior, pattern: { Regex: String.raw`[\p{P}!-/:-@\[-${'`'}{-~]` } },
        'Isolated',
      );
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
