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
const punctuatedWords = [
  String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${'`'}{|}~][A-Za-z]+`,
  String.raw`[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+`,
  String.raw` ?[\p{P}\p{S}]+[\r\n]*`,
  spaces,
].join('|');

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

const gpt2 = [gpt2Words];
const smollm = [single, gpt2Words];
const qwen2 = [modernWords(single)];
const o200k = [casedWords(`${contractions}?`, triple)];

/** The regular expressions, applied one after the other, for each value of `tokenizer.ggml.pre`. */
export const wordPatterns: ReadonlyMap<string, readonly string[]> = new Map([
  ['default', [punctuationRun, gpt2Words, String.raw`\p{N}+`, '[0-9][0-9][0-9]']],
  ...named('gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat a.x-4.0 mellum modern-bert', gpt2),
  ...named('smollm starcoder refact command-r codeshell exaone minerva-7b mellum2', smollm),
  ...named(
    'llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx smaug-bpe glm4 chatglm-bpe',
    [modernWords(triple)],
  ),
  ...named('qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2 f2llmv2', qwen2),
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
  ...named('deepseek-v3 hunyuan-dense joyai-llm', [triple, hanAndKana, punctuatedWords]),
  ['afmoe', [threesFromRight, `[${spacelessScripts}]+`, punctuatedWords]],
  [
    'deepseek-coder',
    [String.raw`[\r\n]`, String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, '[\u0800-\u9fa5\uac00-\ud7ff]+', single],
  ],
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

function named(names: string, patterns: readonly string[]): [string, readonly string[]][] {
  return names.split(' ').map((name) => [name, patterns]);
}
