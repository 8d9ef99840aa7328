// Checks of a tokenizer's files before they are used: the kind of its model, and that every token's id is one.
import { shown } from '../../flow/fault.js';

interface Parts {
  readonly model: { readonly type?: string; readonly vocab?: unknown; readonly unk_id?: unknown };
  readonly added_tokens?: readonly { readonly id?: unknown; readonly content?: unknown }[];
}

const modelTypes: readonly unknown[] = ['BPE', 'Unigram', 'WordLevel', 'WordPiece'];
// Ids are kept as 32-bit integers.
const mostIds = 2 ** 31;

const isScored = (entry: unknown): boolean =>
  Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'number';
const isId = (id: unknown): boolean => Number.isInteger(id) && (id as number) >= 0 && (id as number) < mostIds;

/** @throws Error that names the file and the field. */
export function checkTokenizer(
  { model, added_tokens: added = [] }: Parts,
  config: Readonly<Record<string, unknown>>,
  files: { json: string; config: string },
): void {
  const wrong = (field: string, words: string, value: unknown): never => {
    throw new Error(`${files.json}: field '${field}' must be ${words}, got ${shown(value)}`);
  };
  const { type, vocab, unk_id: unk } = model;
  // Files of the first versions of the format have no type.
  if (type !== undefined && !modelTypes.includes(type)) wrong('model.type', `one of ${modelTypes.join(', ')}`, type);
  if (Array.isArray(vocab)) {
    const odd = vocab.findIndex((entry) => !isScored(entry));
    if (odd >= 0) wrong(`model.vocab[${odd}]`, 'a token and its score', vocab[odd]);
    if (unk !== undefined && unk !== null && !(isId(unk) && (unk as number) < vocab.length)) {
      wrong('model.unk_id', `the id of a token, below ${vocab.length}`, unk);
    }
  } else if (typeof vocab === 'object' && vocab !== null) {
    for (const [token, id] of Object.entries(vocab)) {
      if (!isId(id)) wrong(`model.vocab[${JSON.stringify(token)}]`, 'an id: an integer from 0', id);
    }
  } else if (vocab !== undefined) {
    wrong('model.vocab', 'an object of tokens and ids, or a list', vocab);
  }
  if (!Array.isArray(added)) wrong('added_tokens', 'a list', added);
  for (const [i, token] of added.entries()) {
    if (!isId(token?.id)) wrong(`added_tokens[${i}].id`, 'an integer from 0', token?.id);
    if (typeof token?.content !== 'string') wrong(`added_tokens[${i}].content`, 'a string', token?.content);
  }
  for (const id of Object.keys(config.added_tokens_decoder ?? {})) {
    if (/^\d+$/.test(id) && isId(Number(id))) continue;
    throw new Error(
      `${files.config}: field 'added_tokens_decoder' must have ids for keys, integers from 0, got ${shown(id)}`,
    );
  }
}
