// BERT's vocab.txt, a token a line, with the settings of tokenizer_config.json: the tokenizer of folders from before
// tokenizer.json.

import { shown } from '../../flow/fault.js';
import { type TokenizerConfig, type TokenizerParts, tokenText } from './parts.js';

const classes = /^(Bert|DistilBert|Electra|MobileBert)Tokenizer(Fast)?$/;

/** @throws Error naming the file, where its tokenizer is another than BERT's or a special token is missing. */
export function bertParts(
  text: string,
  config: TokenizerConfig,
  path: string,
): Pick<TokenizerParts, 'json' | 'config'> {
  const { tokenizer_class: name } = config;
  if (name !== undefined && !(typeof name === 'string' && classes.test(name))) {
    throw new Error(`${path}: is read as a BertTokenizer's, but tokenizer_class is ${shown(name)}: add tokenizer.json`);
  }
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
  const vocab = new Map(lines.map((token, id) => [token, id]));
  const names = {
    unk_token: '[UNK]',
    sep_token: '[SEP]',
    pad_token: '[PAD]',
    cls_token: '[CLS]',
    mask_token: '[MASK]',
  };
  const tokens = Object.entries(names).map(([field, preset]) => [field, tokenText(config[field]) ?? preset] as const);
  const special = Object.fromEntries(tokens) as typeof names;
  for (const field of ['unk_token', 'sep_token', 'cls_token'] as const) {
    if (!vocab.has(special[field])) throw new Error(`${path}: has no line ${shown(special[field])}, the ${field}`);
  }
  const added = tokens.flatMap(([, content]) => {
    const id = vocab.get(content);
    return id === undefined ? [] : [{ id, content, special: true, normalized: false }];
  });
  const json = {
    model: { type: 'WordPiece', vocab: Object.fromEntries(vocab), unk_token: special.unk_token },
    added_tokens: added,
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: config.tokenize_chinese_chars !== false,
      strip_accents: config.strip_accents ?? null,
      lowercase: config.do_lower_case !== false,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', cls: [special.cls_token], sep: [special.sep_token] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
  };
  return { json, config: { ...special, ...config } };
}
