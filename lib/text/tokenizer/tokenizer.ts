// Text to token ids and back, for a model's folder (tokenizer.json and its companions); a GGUF file's metadata gives the
// same parts in gguf-tokenizer.ts.
//
// Hugging Face's JavaScript library normalizes, finds added tokens, cuts into words and adds the special tokens;
// byte-pair encoding itself and decoding are ours. Encoding is synchronous.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { readJsonIfThere, readText } from '../../files/json.js';
import { type Asker, type ChatRenderer, sharedRenderer } from '../chat/render-apart.js';
import { type ChatMessage, ChatTemplates, specialTokenNames, type TemplateOptions } from '../template.js';
import { BytePairModel, type BytePairOptions } from './bpe.js';
import { type DecoderJson, Detokenizer, type DetokenizerOptions, decodingRules, TokenBytes } from './detokenizer.js';
import { checkTokenizer } from './ids.js';
import { LiteralText } from './literal-text.js';
import { exactPreTokenizer, type PreTokenizerJson } from './pretokenizer.js';

export interface AddedTokenJson {
  id: number;
  content: string;
  special?: boolean;
  normalized?: boolean;
  lstrip?: boolean;
  rstrip?: boolean;
  single_word?: boolean;
}

/** The parts of a tokenizer.json that are read here; the rest goes to the library as it is. */
export interface TokenizerJson {
  model: { type?: string; [field: string]: unknown };
  added_tokens?: AddedTokenJson[];
  normalizer?: unknown;
  pre_tokenizer?: PreTokenizerJson | null;
  post_processor?: unknown;
  decoder?: DecoderJson | null;
  [field: string]: unknown;
}

/** tokenizer_config.json, with special_tokens_map.json underneath. */
export type TokenizerConfig = Record<string, unknown>;

export interface TokenizerParts {
  json: TokenizerJson;
  config: TokenizerConfig;
  /** Chat templates by name. */
  templates: ReadonlyMap<string, string>;
  /** Takes the place of the byte-pair model that `json` describes. */
  bytePairs?: BytePairOptions;
  /** Tokens besides `eos_token` that end a turn. */
  endIds?: readonly number[];
  /** For error messages. */
  source: string;
}

/** What is used of the library, whose declarations don't resolve under Node's rules. */
interface Pipeline {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  model: PipelineModel;
}

interface PipelineModel {
  (words: string[]): string[];
  tokens_to_ids: Map<string, number>;
  vocab: (string | undefined)[];
  unk_token: string | undefined;
  unk_token_id: number | undefined;
}

export interface EncodeOptions {
  /** Puts the special tokens around the text that the model expects. */
  addSpecialTokens?: boolean;
  /** The text holds what `literal` gave, whose spellings of control tokens are text. */
  literals?: boolean;
}

export class Tokenizer {
  /** Control tokens spelled in messages become control tokens, as if the template had written them. */
  controlTokensInMessages = false;
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  /** Control tokens: found in a text by `encode`, left out by `decode`. */
  readonly specialIds: ReadonlySet<number>;
  /** Tokens beside the model's own vocabulary, control tokens among them: each is found in a text as a whole. */
  readonly addedIds: ReadonlySet<number>;
  /** Where generation ends: `eosId`, and what a GGUF file names or implies besides. */
  readonly endIds: ReadonlySet<number>;
  /** The texts of all chat templates. */
  readonly templateTexts: readonly string[];
  /** The default template's text. */
  readonly chatTemplate: string | undefined;
  private readonly pipeline: Pipeline;
  private readonly bytes: TokenBytes;
  private readonly literals: LiteralText;
  /** How words write a mark. */
  private readonly writtenMark: string;
  /** Looks at the words of a text on their way to the model, and may change them. */
  private onWords: ((words: string[]) => string[]) | undefined;
  private readonly templates: ChatTemplates;
  private readonly renderer: ChatRenderer = sharedRenderer;

  constructor(parts: TokenizerParts) {
    const { config, source } = parts;
    const json = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, ...parts.json };
    const vocab = vocabularyOf(json.model, parts.bytePairs);
    const added = addedTokens(json, config, vocab);
    const rules = decodingRules(json.decoder);
    try {
      this.pipeline = pipelineOf({ ...json, added_tokens: added }, config, vocab, parts.bytePairs);
    } catch (error) {
      throw new Error(`${source}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    const { model } = this.pipeline;
    this.pipeline.model = new Proxy(model, {
      apply: (_, self, [words]: [string[]]) => Reflect.apply(model, self, [this.onWords?.(words) ?? words]) as string[],
    });
    this.writtenMark = this.markInWords();
    const largest = (most: number, id: number): number => Math.max(most, id);
    this.vocabSize = added.map(({ id }) => id).reduce(largest, [...vocab.values()].reduce(largest, -1)) + 1;
    this.specialIds = new Set(added.filter(({ special }) => special).map(({ id }) => id));
    this.addedIds = new Set(added.map(({ id }) => id));
    this.literals = new LiteralText(added.filter(({ special }) => special).map(({ content }) => content));
    this.bytes = new TokenBytes(rules, (id) => this.idToToken(id), this.addedIds, this.specialIds);
    this.bosId = this.idOf(config.bos_token);
    this.eosId = this.idOf(config.eos_token);
    this.padId = this.idOf(config.pad_token);
    this.endIds = new Set([...(this.eosId === undefined ? [] : [this.eosId]), ...(parts.endIds ?? [])]);
    this.templateTexts = [...parts.templates.values()];
    this.chatTemplate = parts.templates.get('default');
    this.templates = new ChatTemplates(parts.templates, specialTokenTexts(config));
  }

  /**
   * Reads tokenizer.json, tokenizer_config.json, special_tokens_map.json and the chat templates of a model's folder;
   * undefined where there is no tokenizer.json.
   *
   * @throws Error naming the file that is broken or asks for what isn't supported.
   */
  static async fromFolder(folder: string): Promise<Tokenizer | undefined> {
    const path = join(folder, 'tokenizer.json');
    const json = readJsonIfThere(path);
    if (json === undefined) return undefined;
    if (typeof json.model !== 'object' || json.model === null) throw new Error(`${path}: expected a "model" object`);
    const inFolder = (name: string) => readJsonIfThere(join(folder, name));
    const config: TokenizerConfig = {
      ...inFolder('special_tokens_map.json'),
      ...inFolder('tokenizer_config.json'),
    };
    const template = join(folder, 'chat_template.jinja');
    const templates = new Map([
      ...namedTemplates(config.chat_template),
      ...namedTemplates(inFolder('chat_template.json')?.chat_template),
      ...namedTemplates(existsSync(template) ? readText(template) : undefined),
    ]);
    checkTokenizer(json as TokenizerJson, config, { json: path, config: join(folder, 'tokenizer_config.json') });
    return new Tokenizer({ json: json as TokenizerJson, config, templates, source: path });
  }

  /** Special tokens in the text are recognised; `addSpecialTokens` puts those around it that the model expects. */
  encode(text: string, { addSpecialTokens = true, literals = false }: EncodeOptions = {}): number[] {
    const isMarked = literals && LiteralText.isMarked(text);
    if (isMarked) this.onWords = (words) => LiteralText.unmarked(words, this.writtenMark);
    let ids: (number | undefined)[];
    try {
      ids = this.pipeline.encode(text, { add_special_tokens: addSpecialTokens }).ids;
    } finally {
      this.onWords = undefined;
    }
    // Characters that no token covers, in a vocabulary without an unknown token, have no id.
    return ids.filter((id) => id !== undefined);
  }

  /**
   * Messages, tools or a template's variables, so marked that no text in them becomes a control token. What a template
   * writes of them is encoded with `literals`.
   */
  literal<T>(value: T): T {
    return this.controlTokensInMessages ? value : this.literals.marked(value);
  }

  /**
   * A conversation's ids: control tokens are those that the template writes, and not what messages spell.
   *
   * @throws TemplateError where the template refuses the messages, or there is none.
   */
  encodeChat(messages: readonly ChatMessage[], options: TemplateOptions = {}): number[] {
    const { tools, variables } = options;
    const own = { ...options, tools: this.literal(tools), variables: this.literal(variables) };
    const text = this.applyChatTemplate(this.literal(messages), own);
    return this.encode(text, { addSpecialTokens: false, literals: !this.controlTokensInMessages });
  }

  /** Ids that are no tokens count for nothing. */
  decode(ids: Iterable<number>, options: DetokenizerOptions = {}): string {
    const stream = this.stream(options);
    let text = '';
    for (const id of ids) text += stream.push(id);
    return text + stream.flush();
  }

  /** Decodes token by token; the pieces add up to what `decode` gives. */
  stream(options: DetokenizerOptions = {}): Detokenizer {
    return new Detokenizer(this.bytes, options);
  }

  /** The bytes a token stands for, before any leading space is taken off the text. */
  tokenBytes(id: number): Uint8Array {
    return this.bytes.of(id);
  }

  tokenToId(token: string): number | undefined {
    return this.pipeline.token_to_id(token);
  }

  idToToken(id: number): string | undefined {
    return this.pipeline.id_to_token(id);
  }

  /**
   * Writes messages as the model's text. Encode it with `addSpecialTokens: false`: the template has put them in.
   *
   * @throws TemplateError where the template refuses the messages, or there is none.
   */
  applyChatTemplate(messages: readonly ChatMessage[], options: TemplateOptions = {}): string {
    return this.templates.render(messages, options);
  }

  /**
   * The same without holding the event loop: a long conversation is written on another thread, where clients take turns.
   *
   * @throws TemplateError (as a rejection); RenderFailed for one that takes more than five seconds or half a gigabyte;
   *   QueueFull if too many wait; the signal's reason.
   */
  renderChat(messages: readonly ChatMessage[], options: TemplateOptions = {}, asker: Asker = {}): Promise<string> {
    return this.renderer.render(this.templates, messages, options, asker);
  }

  /** Empty where the normalizer takes marks out. */
  private markInWords(): string {
    let written = '';
    this.onWords = (words) => {
      written += words.join('');
      return words;
    };
    this.pipeline.encode(LiteralText.probe, { add_special_tokens: false });
    this.onWords = undefined;
    return written.slice(written.indexOf('a') + 1, written.lastIndexOf('a'));
  }

  private idOf(token: unknown): number | undefined {
    const text = tokenText(token);
    return text === undefined ? undefined : this.tokenToId(text);
  }
}

/** A special token is written as a string or as an AddedToken. */
function tokenText(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  if (typeof token !== 'object' || token === null || !('content' in token)) return undefined;
  return typeof token.content === 'string' ? token.content : undefined;
}

function specialTokenTexts(config: TokenizerConfig): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const name of specialTokenNames) {
    const text = tokenText(config[name]);
    if (text !== undefined) texts[name] = text;
  }
  return texts;
}

function vocabularyOf(model: TokenizerJson['model'], bytePairs: BytePairOptions | undefined): Map<string, number> {
  if (bytePairs) return bytePairs.vocab;
  // Unigram lists its tokens with their scores, in the order of the ids.
  if (Array.isArray(model.vocab)) {
    return new Map((model.vocab as [string, number][]).map(([token], id) => [token, id]));
  }
  return new Map(Object.entries((model.vocab ?? {}) as Record<string, number>));
}

/** Those of tokenizer.json, those only the config lists, and the special tokens it names out of the vocabulary. */
function addedTokens(json: TokenizerJson, config: TokenizerConfig, vocab: Map<string, number>): AddedTokenJson[] {
  const tokens = (json.added_tokens ?? []).map((token) => ({ ...token }));
  const listed = new Map(tokens.map((token) => [token.content, token]));
  const add = (token: AddedTokenJson): void => {
    if (listed.has(token.content)) return;
    listed.set(token.content, token);
    tokens.push(token);
  };
  const more = (config.added_tokens_decoder ?? {}) as Record<string, Omit<AddedTokenJson, 'id'>>;
  for (const [id, token] of Object.entries(more)) add({ ...token, id: Number(id) });
  const extra = Array.isArray(config.additional_special_tokens) ? config.additional_special_tokens : [];
  for (const token of [...specialTokenNames.map((name) => config[name]), ...extra]) {
    const content = tokenText(token);
    if (content === undefined) continue;
    const known = listed.get(content);
    const id = vocab.get(content);
    if (known) known.special = true;
    else if (id !== undefined) add({ id, content, special: true, normalized: false });
  }
  return tokens;
}

function pipelineOf(
  json: TokenizerJson,
  config: TokenizerConfig,
  vocab: Map<string, number>,
  bytePairs: BytePairOptions | undefined,
): Pipeline {
  const options = bytePairs ?? bytePairsOf(json.model, vocab);
  const pipeline = new LibraryTokenizer(
    {
      ...json,
      // Built from an empty model, as its own pair table takes longer to make than all the rest.
      model: options ? { type: 'BPE', vocab: {}, merges: [] } : json.model,
      pre_tokenizer: json.pre_tokenizer ? exactPreTokenizer(json.pre_tokenizer) : null,
      post_processor: postProcessor(json, config),
      decoder: null,
    },
    config,
  ) as unknown as Pipeline;
  if (!options) return pipeline;
  const model = new BytePairModel(options);
  for (const { id, content } of json.added_tokens ?? []) {
    vocab.set(content, id);
    model.tokens[id] = content;
  }
  pipeline.model = Object.assign((words: string[]) => model.encode(words), {
    tokens_to_ids: vocab,
    vocab: model.tokens,
    unk_token: model.unkToken,
    unk_token_id: model.unkToken === undefined ? undefined : vocab.get(model.unkToken),
  });
  return pipeline;
}

/** Undefined for models of other kinds, and for the affixes of older byte-pair models: the library has those. */
function bytePairsOf(model: TokenizerJson['model'], vocab: Map<string, number>): BytePairOptions | undefined {
  const { type, merges, continuing_subword_prefix: prefix, end_of_word_suffix: suffix } = model;
  if ((type !== 'BPE' && type !== undefined) || !Array.isArray(merges) || prefix || suffix) return undefined;
  return {
    vocab,
    merges: merges as NonNullable<BytePairOptions['merges']>,
    unkToken: typeof model.unk_token === 'string' ? model.unk_token : undefined,
    fuseUnk: model.fuse_unk === true,
    byteFallback: model.byte_fallback === true,
    ignoreMerges: model.ignore_merges === true,
  };
}

/** A config that says whether to add bos and eos has the last word, as in transformers. */
function postProcessor(json: TokenizerJson, config: TokenizerConfig): unknown {
  const { add_bos_token: addBos, add_eos_token: addEos } = config;
  if (typeof addBos !== 'boolean' && typeof addEos !== 'boolean') return json.post_processor ?? null;
  const bos = addBos === true ? tokenText(config.bos_token) : undefined;
  const eos = addEos === true ? tokenText(config.eos_token) : undefined;
  const special = (id: string | undefined): unknown[] =>
    id === undefined ? [] : [{ SpecialToken: { id, type_id: 0 } }];
  const single = [...special(bos), { Sequence: { id: 'A', type_id: 0 } }, ...special(eos)];
  return { type: 'TemplateProcessing', single, pair: single };
}

/** One template, or a list of named ones. */
function namedTemplates(value: unknown): [string, string][] {
  if (typeof value === 'string') return [['default', value]];
  if (!Array.isArray(value)) return [];
  return value
    .filter((entry) => typeof entry?.name === 'string' && typeof entry.template === 'string')
    .map((entry) => [entry.name, entry.template]);
}
