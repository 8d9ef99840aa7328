"""Records in encoders.json what the tokenizers and sentencepiece libraries make of texts with the tokenizers of encoders.

    python test/text/tokenizer/encoders.py        (needs tokenizers and sentencepiece)

The tokenizers are tiny: their vocabularies are trained on the texts themselves, and the map of characters has a few rules.
"""
import base64
import io
import json
import tempfile
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as pb2
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = [
    'Hello world! The quick brown fox, jumping over the lazy dog, isn\'t 1234.5 years old?',
    'Zürich, Ünïcödé e\u0301 NAÏVE Straße İstanbul ΟΔΟΣ ΣΑΣ ǅungla ﬁn ªº \u1e9e',
    '漢字とかなカナ、混ぜる。中文字符没有空格！\U00020000\U0002b825\U0002b930 한국어 문장입니다. 각',
    'नमस्ते दुनिया, สวัสดีชาวโลก, שָׁלוֹם, السلام عليكم، مَرْحَبًا',
    ' lead\ttab\r\nline\n\n  two  spaces\u00a0nbsp\u3000wide\u2028sep\u0085nel\ufeffbom\u200bzero\u00adsoft\u0000nul\u0007bell end  ',
    'emoji 😂👍🏽 👩\u200d👩\u200d👧 ok… “quotes” —dash— $100 €5 a+b=c ~~~ ``` |x| <b>^_^</b> [CLS] </s> ▁x ▁',
    '\u0378unassigned \ufdd0nonchar \ue000private \ufffdreplacement \U0001f972new',
    'w' * 101 + ' ' + 'ab' * 50 + ' ' + '日' * 30,
    '①② ㎏ ｆｕｌｌ Ａ\u030a A\u030a ☎\ufe0e ½ e\u0301\u0302\u0303\u0304\u0305 ~～',
    '',
    '   ',
    "don't can't we've I'm he's they're , . ! ? ' x",
]
PAIRS = [('the quick brown fox', 'jumping over the lazy dog'), ('Hello world!', ''), ('', 'lazy'), ('dog', ' '.join(['over the lazy dog'] * 4))]
LENGTHS = [None, 4, 5, 7, 12]

# What SentencePiece's rules are made of: code points in hexadecimal, and theirs in place.
RULES = ['9\t20', 'A\t20', 'D\t20', 'A0\t20', '3000\t20', '200B\t', 'AD\t', 'FEFF\t20', 'FF41\t61', 'FF46\t66', 'FF55\t75', 'FF4C\t6C',
         '2460\t31', '2461\t32', '338F\t6B 67', '41 30A\tC5', 'FF21\t41', 'FF21 30A\tC5', '65 301\tE9', '1100 1161 11A8\tAC01', '1100\t3131',
         'FB01\t66 69', 'BD\t31 2044 32', '1E9E\t53 53', '260E\t54']


def sentencepiece_model():
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder, 'rules.tsv')
        rules.write_text('\n'.join(RULES) + '\n')
        out = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([text for text in TEXTS if text.strip() and '\0' not in text] * 3), model_writer=out, vocab_size=230,
            model_type='unigram', normalization_rule_tsv=str(rules), hard_vocab_limit=False, character_coverage=0.985, bos_id=0, pad_id=1, eos_id=2,
            unk_id=3, control_symbols=['<mask>'], user_defined_symbols=['</q>'], minloglevel=2, num_threads=1)
    proto = pb2.ModelProto()
    proto.ParseFromString(out.getvalue())
    return proto


proto = sentencepiece_model()
pieces = [(piece.piece, piece.score) for piece in proto.pieces]
charsmap = proto.normalizer_spec.precompiled_charsmap


def bert(**options):
    tokenizer = Tokenizer(models.WordPiece(unk_token='[UNK]'))
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=220, special_tokens=['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'], show_progress=False)
    tokenizer.train_from_iterator(TEXTS[:4] + TEXTS[11:], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single='[CLS]:0 $A:0 [SEP]:0', pair='[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1', special_tokens=[('[CLS]', 2), ('[SEP]', 3)])
    tokenizer.decoder = decoders.WordPiece(prefix='##')
    return tokenizer


def old_bert():
    tokenizer = bert(lowercase=True)
    tokenizer.post_processor = processors.BertProcessing(('[SEP]', 3), ('[CLS]', 2))
    return tokenizer


def unigram(normalizer, pre_tokenizer, single, pair):
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.add_special_tokens(['<s>', '<pad>', '</s>', '<unk>', '<mask>'])
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=[('<s>', 0), ('</s>', 2)])
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def xlm_roberta():
    metaspace = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    return unigram(normalizers.Precompiled(charsmap), metaspace, '<s> $A </s>', '<s> $A </s> </s> $B </s>')


def bge_m3():
    steps = [normalizers.Precompiled(charsmap), normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(' {2,}'), '▁')]
    return unigram(normalizers.Sequence(steps), pre_tokenizers.Metaspace(), '<s> $A </s>', '<s> $A </s> </s> $B </s>')


def t5():
    return unigram(normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(' {2,}'), ' ')]),
                   pre_tokenizers.Metaspace(prepend_scheme='first'), '$A </s>', '$A </s> $B </s>')


def byte_level(names, normalizer, post_processor):
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=names, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(TEXTS[:4], trainer)
    tokenizer.post_processor = post_processor
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def roberta():
    return byte_level(['<s>', '<pad>', '</s>', '<unk>', '<mask>'], None, processors.RobertaProcessing(('</s>', 2), ('<s>', 0)))


def modern_bert():
    template = processors.TemplateProcessing(single='[CLS] $A [SEP]', pair='[CLS] $A [SEP] $B [SEP]', special_tokens=[('[CLS]', 1), ('[SEP]', 2)])
    return byte_level(['[UNK]', '[CLS]', '[SEP]', '[PAD]', '[MASK]'], normalizers.NFC(), template)


def both(first, second):
    return processors.Sequence([first, second])


def qwen_embedding():
    template = processors.TemplateProcessing(single='$A <end>', pair='$A $B <end>', special_tokens=[('<end>', 0)])
    return byte_level(['<end>'], None, both(processors.ByteLevel(), template))


TOKENIZERS = {'bert': bert(lowercase=True), 'bert cased': bert(lowercase=False), 'BertProcessing': old_bert(), 'XLM-RoBERTa': xlm_roberta(), 'bge-m3': bge_m3(), 'T5': t5(), 'RoBERTa': roberta(),
              'ModernBERT': modern_bert(), 'Qwen3-Embedding': qwen_embedding()}


def recorded(tokenizer):
    pairs = []
    for first, second in PAIRS:
        for length in LENGTHS:
            tokenizer.no_truncation()
            if length is not None:
                room = length - tokenizer.num_special_tokens_to_add(True)
                counts = [len(tokenizer.encode(text, add_special_tokens=False)) for text in (first, second)]
                # Where both texts are cut, the library gives an odd token by how many words it had read of each.
                if room < 0 or (room % 2 == 1 and min(counts) > room // 2):
                    continue
                tokenizer.enable_truncation(length, strategy='longest_first')
            encoding = tokenizer.encode(first, second)
            pairs.append([first, second, length, encoding.ids, encoding.type_ids])
    tokenizer.no_truncation()
    ids = [tokenizer.encode(text).ids for text in TEXTS]
    texts = [tokenizer.decode(row, skip_special_tokens=True) for row in ids]
    return {'json': json.loads(tokenizer.to_str()), 'ids': ids, 'decoded': texts, 'pairs': pairs}


def sentencepieces(remove, prefix):
    changed = pb2.ModelProto()
    changed.CopyFrom(proto)
    changed.normalizer_spec.remove_extra_whitespaces = remove
    changed.normalizer_spec.add_dummy_prefix = prefix
    processor = sentencepiece.SentencePieceProcessor(model_proto=changed.SerializeToString())
    # Control tokens that a text spells are text to this library, and its sums of single precision break ties of long runs.
    return [processor.encode(text.replace('</s>', '').replace('w' * 101, 'w')) for text in TEXTS]


NORMALIZERS = [normalizers.BertNormalizer(), normalizers.BertNormalizer(lowercase=False), normalizers.BertNormalizer(strip_accents=False),
               normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False), normalizers.Lowercase(), normalizers.StripAccents(),
               normalizers.Strip(), normalizers.Strip(left=False), normalizers.Nmt(), normalizers.Precompiled(charsmap),
               normalizers.Replace('a', '$& $1'), normalizers.Replace(Regex('[ab]'), '$& $1'), normalizers.Prepend('▁')]


def type_of(piece):
    return {piece.NORMAL: 1, piece.UNKNOWN: 2, piece.CONTROL: 3, piece.USER_DEFINED: 4, piece.UNUSED: 5, piece.BYTE: 6}[piece.type]


def described(normalizer):
    holder = Tokenizer(models.BPE())
    holder.normalizer = normalizer
    return json.loads(holder.to_str())['normalizer']


record = {
    'texts': TEXTS,
    'tokenizers': {name: recorded(tokenizer) for name, tokenizer in TOKENIZERS.items()},
    'normalizers': [{'json': described(normalizer), 'texts': [normalizer.normalize_str(text) for text in TEXTS]} for normalizer in NORMALIZERS],
    'sentencepiece': {
        'tokens': [piece for piece, _ in pieces], 'scores': [score for _, score in pieces], 'types': [type_of(piece) for piece in proto.pieces],
        'charsmap': base64.b64encode(charsmap).decode(),
        'ids': [{'remove': remove, 'prefix': prefix, 'ids': sentencepieces(remove, prefix)} for remove in (True, False) for prefix in (True, False)],
    },
}
out = Path(__file__).with_name('encoders.json')
out.write_text(json.dumps(record, ensure_ascii=True, separators=(',', ':')) + '\n')
