// How the families' tokenizers cut a text into words before byte-pair encoding, by the names that GGUF files have for them.
//
// The regular expressions are those of the models' own tokenizer.json files, as JavaScript has them: `\d` and `\b` of the
// Rust library know all of Unicode, intersections of classes are look-aheads, and a cut of no width is a match between two.

/** GPT-2's words; also what `ByteLevel` means by `use_regex`. */
export const gpt2Words = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

const contractions = `(?i:'s|'t|'re|'ve|'m|'ll|'d)`;
const spaces = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const upper = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const lower = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const lead = String.raw`[^\r\n\p{L}\p{N}]?`;
const single = String.raw`\p{N}`;
const triple = String.raw`\p{N}{1,3}`;

/** Words of any case, digits in groups of at most `digits`; Llama 3, Qwen, GLM and many more. */
function modernWords(digits: string, letters = String.raw`\p{L}`, space = spaces): string {
  return String.raw`${contractions}|${lead}[${letters}]+|${digits}| ?[^\s${letters}\p{N}]+[\r\n]*|${space}`;
}

/** Words cut where the case changes; o200k and Tekken. */
function casedWords(suffix: string, digits: string): string {
  const rest = String.raw`${digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|${spaces}`;
  return `${lead}${upper}*${lower}+${suffix}|${lead}${upper}+${lower}*${suffix}|${rest}`;
}

/** Han runs apart from o200k's words, as tiktoken's pattern of Kimi says. */
function kimiWords(): string {
  const [up, low] = [upper, lower].map((letters) => String.raw`(?:(?!\p{Script=Han})${letters})`);
  const words = `${lead}${up}*${low}+${contractions}?|${lead}${up}+${low}*${contractions}?`;
  return String.raw`\p{Script=Han}+|${words}|${triple}| ?[^\s\p{L}\p{N}]+[\r\n]*|${spaces}`;
}

/** ASCII punctuation goes with the letters behind it; DeepSeek V3 and Trinity. */
function punctuatedWords(behind = String.raw`[\r\n]*`, space = spaces): string {
  const first = String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${'`'}{|}~][A-Za-z]+`;
  const letters = String.raw`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+`;
  return String.raw`${first}|${letters}| ?[\p{P}\p{S}]+${behind}|${space}`;
}

/** Scripts without spaces, by their blocks. */
const spacelessScripts = [
  '\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u2f00-\u2fdf', // Han
  '\u3040-\u30ff\uff65-\uff9f', // kana
  '\u0e40-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff', // Thai, Lao, Khmer, Myanmar
  '\uac00-\ud7af\u1100-\u11ff', // Hangul
].join('');

const digit = String.raw`\p{Nd}`;
/** Digits in threes, counted from the last. */
const threesFromRight = `${digit}{1,3}(?=(?:${digit}{3})*(?!${digit}))`;
const wordCharacter = String.raw`[\p{L}\p{M}\p{Nd}\p{Pc}]`;
const cutBeforeThrees = `(?=(?:${digit}{3})+(?!${digit}))`;
/** Spaces in runs of powers of two. */
const jaisSpaces = [
  String.raw`\s*[\r\n]+`,
  ...[512, 256, 128, 64, 32, 16, 8, 4, '1,2'].map((count) => String.raw`\s{${count}}(?!\S)`),
  String.raw`\s`,
].join('|');
const punctuationRun = String.raw`[\p{P}\$\+<=>\^~\|]+`;
/** Up to punctuation of several scripts. */
const bloomWords = ` ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+`;
const hanAndKana = '[\u4e00-\u9fa5\u3040-\u30ff]+';
const eastAsian = [
  '[\uac00-\ud7a3\u3131-\u318e]+',
  '[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+',
  '[\u3105-\u312f]+',
  hanAndKana,
].join('|');

const denseScripts = '[\u0800-\u9fa5\uac00-\ud7ff]+';

/** DeepSeek LLM's letters: most of those that have a case. */
const casedLetters = charactersOf(
  [
    '41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376-377 37b-37d 37f 386 388-38a',
    '38c 38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf',
    '1d00-1d2b 1d6b-1d77 1d79-1d9a 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d',
    '1f5f-1f7d 1f80-1fb4 1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4',
    '1ff6-1ffc 2102 2107 210a-2113 2115 2119-211d 2124 2126 2128 212a-212d 212f-2134 2139 213c-213f',
    '2145-2149 214e 2183-2184 2c00-2c7b 2c7e-2ce4 2ceb-2cee 2cf2-2cf3 a640-a66d a680-a69b a722-a76f',
    'a771-a787 a78b-a78e ab70-abbf fb00-fb06 fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f 104b0-104d3',
    '104d8-104fb 10c80-10cb2 10cc0-10cf2 118a0-118df 1e900-1e943',
  ].join(' '),
);

const gpt2 = [gpt2Words];
const smollm = [single, gpt2Words];
const qwen2 = [modernWords(single)];
const o200k = [casedWords(`${contractions}?`, triple)];

/** The regular expressions, applied one after the other, for each value of `tokenizer.ggml.pre`. */
export const wordPatterns: ReadonlyMap<string, readonly string[]> = new Map([
  ['default', [punctuationRun, gpt2Words, String.raw`\p{N}+`, '[0-9][0-9][0-9]']],
  ...named(
    'gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum modern-bert jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe',
    gpt2,
  ),
  ...named('smollm starcoder refact command-r codeshell exaone minerva-7b mellum2', smollm),
  ...named(
    'llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx smaug-bpe glm4 chatglm-bpe',
    [modernWords(triple)],
  ),
  ...named('qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2 f2llmv2', qwen2),
  ['ufakzeka', [String.raw`${lead}\p{L}+|${single}| ?[^\s\p{L}\p{N}]+[\r\n]*|${spaces}`]],
  ['qwen35', [modernWords(single, String.raw`\p{L}\p{M}`)]],
  ['laguna', [String.raw`[^\n]+|\n+`, ...qwen2]],
  ['jais-2', [modernWords(triple, String.raw`\p{L}`, jaisSpaces)]],
  ['minicpm5', [triple, modernWords(String.raw`\p{N}+`)]],
  ['seed-coder', [String.raw`${contractions}|${lead}\p{L}+|${single}| ?[^\s\p{L}\p{N}\r\n]+|${spaces}`]],
  ...named('bailingmoe bailingmoe2 llada-moe', [
    String.raw`'(?i:[sdmt]|ll|ve|re)|${lead}\p{L}+|${single}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`,
  ]),
  [
    'exaone-moe',
    [
      String.raw`${contractions}|${lead}(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|${single}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+`,
    ],
  ],
  ...named('gpt-4o llama4 kanana2 talkie minimax-m2 granite-embed-multi-97m', o200k),
  ...named('tiny_aya cohere2moe', [`${digit}{1,3}(?=(?:${digit}{3})*(?!${wordCharacter}))`, ...o200k]),
  ['youtu', [eastAsian, casedWords(`${contractions}?`, single)]],
  ['kimi-k2', [kimiWords()]],
  ['tekken', [casedWords('', single)]],
  ...named('deepseek-v3 hunyuan-dense joyai-llm hy_v4', [triple, hanAndKana, punctuatedWords()]),
  ['spark2_5', [triple, hanAndKana, punctuatedWords('', String.raw`[\r\n]|\s+(?!\S)|\s+`), single]],
  ['afmoe', [threesFromRight, `[${spacelessScripts}]+`, punctuatedWords()]],
  [
    'deepseek-llm',
    [
      String.raw`[\r\n]`,
      String.raw`\s?[${casedLetters}]+`,
      String.raw`\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+`,
      String.raw`(?<!\s)\s+$`,
      denseScripts,
      String.raw`\p{N}+`,
    ],
  ],
  ['deepseek-coder', [String.raw`[\r\n]`, String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, denseScripts, single]],
  ['falcon', [String.raw`[\p{P}\$\+<=>\^~\|${'`'}]+`, gpt2Words, '[0-9][0-9][0-9]']],
  ...named('bloom gpt3-finnish poro-chat', [bloomWords]),
  ['viking', [bloomWords, single]],
  ['superbpe', [String.raw`\p{N}+`, String.raw`[\s\S](?:(?!${cutBeforeThrees})[\s\S])*`]],
  [
    'chameleon',
    [
      '<sentinel:[0-9]+>',
      'IMGIMG[A-I]{1,4}Z',
      String.raw`[\t\n]|    |  `,
      single,
      String.raw`[\p{P}!-/:-@\[-${'`'}{-~]`,
      gpt2Words,
    ],
  ],
]);

/** Families whose words are taken whole when they are tokens, before any merge. */
export const wholeWordFirst: ReadonlySet<string> = new Set(
  'llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano tekken youtu minicpm5 granite-embed-multi-97m'.split(
    ' ',
  ),
);

/** Families whose texts begin with a token, where the file does not say. */
export const begunTexts: ReadonlySet<string> = new Set(
  'llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano tekken chameleon'.split(' '),
);

/** Families whose second of two texts has a separator in front. */
export const separatedTexts: ReadonlySet<string> = new Set(['jina-v1-en', 'jina-v2-code', 'roberta-bpe']);

/** Families whose pieces are characters and not bytes: of whole lines, or of words without the spaces between. */
export const characterPieces = {
  lines: new Set(['gemma4', 'granite-embed-multi-311m', 'sarvam-moe']) as ReadonlySet<string>,
  words: new Set(['whitespace']) as ReadonlySet<string>,
};

/** Ranges in hexadecimal, as a class of a regular expression has them. */
function charactersOf(ranges: string): string {
  const character = (code: string): string => String.fromCodePoint(Number.parseInt(code, 16));
  return ranges
    .split(' ')
    .map((range) => range.split('-').map(character).join('-'))
    .join('');
}

function named(names: string, patterns: readonly string[]): [string, readonly string[]][] {
  return names.split(' ').map((name) => [name, patterns]);
}
