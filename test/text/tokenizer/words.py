"""Records in words.json how the tokenizers library cuts texts into words by the expressions of the families' tokenizer.json.

    python test/text/tokenizer/words.py        (needs tokenizers)

The expressions are spelled here as those files spell them, in the dialect of Oniguruma; lib/text/tokenizer/word-patterns.ts
has them as JavaScript does.
"""
import json
from pathlib import Path

from tokenizers import Regex
from tokenizers.pre_tokenizers import Sequence, Split

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
END = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACE = r'\s*[\r\n]+|\s+(?!\S)|\s+'
UP, LOW = r'[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]', r'[\p{Ll}\p{Lm}\p{Lo}\p{M}]'
LEAD = r'[^\r\n\p{L}\p{N}]?'
LLAMA3 = END + r'|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|' + SPACE
QWEN2 = END + r'|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|' + SPACE
O200K = (f'{LEAD}{UP}*{LOW}+{END}?|{LEAD}{UP}+{LOW}*{END}?|' + r'\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|' + SPACE)
KIMI_UP, KIMI_LOW = r'[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]', r'[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]'
PUNCTUATED = (r'[!"#$%&' + r"'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
              r'| ?[\p{P}\p{S}]+[\r\n]*|' + SPACE)
KANA = '[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+'
BLOOM = ' ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+'

CASED = ''.join('-'.join(chr(int(code, 16)) for code in part.split('-')) for part in (
    '41-5a 61-7a b5 c0-d6 d8-f6 f8-1ba 1bc-1bf 1c4-293 295-2af 370-373 376-377 37b-37d 37f 386 388-38a 38c '
    '38e-3a1 3a3-3f5 3f7-481 48a-52f 531-556 10a0-10c5 13a0-13f5 13f8-13fd 1c90-1cba 1cbd-1cbf 1d00-1d2b '
    '1d6b-1d77 1d79-1d9a 1e00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4 '
    '1fb6-1fbc 1fbe 1fc2-1fc4 1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 2102 2107 210a-2113 '
    '2115 2119-211d 2124 2126 2128 212a-212d 212f-2134 2139 213c-213f 2145-2149 214e 2183-2184 2c00-2c7b '
    '2c7e-2ce4 2ceb-2cee 2cf2-2cf3 a640-a66d a680-a69b a722-a76f a771-a787 a78b-a78e ab70-abbf fb00-fb06 '
    'fb13-fb17 ff21-ff3a ff41-ff5a 10400-1044f 104b0-104d3 104d8-104fb 10c80-10cb2 10cc0-10cf2 118a0-118df '
    '1e900-1e943 '
).split())
DENSE = '[\u0800-\u9fa5\uac00-\ud7ff]+'

PATTERNS = {
    'gpt-2': [GPT2],
    'smollm': [r'\p{N}', GPT2],
    'llama-bpe': [LLAMA3],
    'qwen2': [QWEN2],
    'qwen35': [END + r'|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|' + SPACE],
    'laguna': [r'[^\n]+|[\n]+', QWEN2],
    'jais-2': [END + r'|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s{512}(?!\S)|\s{256}(?!\S)'
               r'|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}'],
    'minicpm5': [r'\p{N}{1,3}', END + r'|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|' + SPACE],
    'seed-coder': [END + r'|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|' + SPACE],
    'bailingmoe': [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    'exaone-moe': [END + r'|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]'
                   r'|\s+(?!\S)|\s+'],
    'gpt-4o': [O200K],
    'tiny_aya': [r'\d{1,3}(?=(?:\d{3})*\b)', O200K],
    'youtu': ['[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+'
              '|[\u3105-\u312f]+|' + KANA, O200K.replace(r'\p{N}{1,3}', r'\p{N}')],
    'kimi-k2': [r'[\p{Han}]+|' + f'{LEAD}{KIMI_UP}*{KIMI_LOW}+{END}?|{LEAD}{KIMI_UP}+{KIMI_LOW}*{END}?|'
                + r'\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|' + SPACE],
    'tekken': [f'{LEAD}{UP}*{LOW}+|{LEAD}{UP}+{LOW}*|' + r'\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|' + SPACE],
    'deepseek-v3': [r'\p{N}{1,3}', KANA, PUNCTUATED],
    'spark2_5': [r'\p{N}{1,3}', KANA, PUNCTUATED.replace(r'[\r\n]*|\s*[\r\n]+', r'|[\r\n]'), r'\p{N}'],
    'ufakzeka': [QWEN2[len(END) + 1:]],
    'deepseek-llm': [r'[\r\n]', rf'\s?[{CASED}]+', '\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+', r'\s+$', DENSE, r'\p{N}+'],
    'deepseek-coder': [r'[\r\n]', r'\s?\p{L}+', r'\s?\p{P}+', DENSE, r'\p{N}'],
    'afmoe': [r'\d{1,3}(?=(?:\d{3})*(?!\d))',
              '[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f\u0e80-\u0eff'
              '\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+', PUNCTUATED],
    'bloom': [BLOOM],
    'viking': [BLOOM, r'\p{N}'],
    'superbpe': [r'\p{N}+', r'(?=(\d{3})+(?!\d))'],
    'chameleon': ['<sentinel:[0-9]+>', '(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z', '([\t\n]|    |  )', r'\p{N}', r'[\p{P}!-/:-@\[-`{-~]', GPT2],
}

TEXTS = [
    "I'll say it's DON'T, we'VE seen HelloWorld getUserName iPhone ABCdef's",
    'Prices: 1, 12, 123, 1234, 12345, 1234567 and 3.14159 or 1,000,000; 12ab 1234x ½ Ⅷ ٣٤٥٦ 1234_5',
    'line one\nline two\r\n\r\n  indented\n\n\n\tand tab \t \n end   ',
    'def f(x):\n        return {"a": [x**2, y//3]}  # comment!!!\n/usr/lib/../x.so\\n',
    '漢字とかなカナ、混ぜる。「引用」中文字符，没有空格！한국어 문장입니다. ㄱㄴ ㄅㄆ',
    'नमस्ते दुनिया, สวัสดีชาวโลก, ສະບາຍດີ, សួស្តី, မင်္ဂလာပါ, שָׁלוֹם, السلام عليكم، كيف؟',
    'Ünïcödé e\u0301 naïve ЁЖИК straße ǅungla 𝐀𝐁 ﬁn ªº',
    'emoji 😂👍🏽 👩‍👩‍👧 ok… “quotes” —dash— $100 €5 <sentinel:12> IMGIMGABZ a+b=c ~~~ ``` |x|',
    ' leading, trailing \u00a0nbsp\u3000wide\u2028sep\u0085nel\ufeffbom',
    "'s 'S 'LL x'd\n'T",
    ' ' * 700 + 'x' + ' ' * 37 + '\n',
]

record = {}
for name, patterns in PATTERNS.items():
    cut = Sequence([Split(Regex(pattern), 'isolated') for pattern in patterns])
    record[name] = [[piece for piece, _ in cut.pre_tokenize_str(text)] for text in TEXTS]
out = Path(__file__).with_name('words.json')
out.write_text(json.dumps({'texts': TEXTS, 'words': record}, ensure_ascii=True, separators=(',', ':')) + '\n')
