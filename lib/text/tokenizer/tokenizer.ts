// Text to token ids and back, for a model's folder (tokenizer.json and its companions); a GGUF file's metadata gives the
// same parts in gguf-tokenizer.ts.
//
// Encoding is synchronous: added tokens are found, words are cut and become tokens (pipeline.ts), and special tokens are put
// around them (special-tokens.ts).

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonIfThere, readText } from '../../files/json.js';
import { type Asker, type ChatRenderer, sharedRenderer } from '../chat/render-apart.js';
import { type ChatMessage, ChatTemplates, specialTokenNames, type TemplateOptions } from '../template.js';
import { Detokenizer, type DetokenizerOptions, decodingRules, TokenBytes } from './detokenizer.js';
import { checkTokenizer } from './ids.js';
import { LiteralText } from './literal-text.js';
import {
  type AddedTokenJson,
  type TokenizerConfig,
  type TokenizerJson,
  type TokenizerParts,
  tokenText,
} from './parts.js';
import { type Pipeline, pipelineOf, vocabularyOf } from './pipeline.js';
import { countAdded, type Encoding, filled, longestFirst, type Templates, templatesOf } from './special-tokens.js';
import { bertParts } from './vocabulary-file.js';

export interface EncodeOptions {
  /** Puts the special tokens around the text that the model expects. */
  addSpecialTokens?: boolean;
  /** The text holds what `literal` gave, whose spellings of control tokens are text. */
  literals?: boolean;
}

export interface FitOptions {
  /** Tokens at most, those that are added included: a longer text loses its end, of two the longer one first. */
  maxLength?: number | undefined;
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
  private readonly around: Templates;
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
    const { json } = parts;
    const vocab = vocabularyOf(json.model, parts.bytePairs);
    const added = addedTokens(json, config, vocab);
    const rules = decodingRules(json.decoder);
    try {
      this.pipeline = pipelineOf(parts, added, vocab);
      this.around = templatesOf(postProcessor(json, config), (token) => this.tokenToId(token));
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
   * Reads tokenizer.json, tokenizer_config.json, special_tokens_map.json and the chat templates of a model's folder, or
   * BERT's vocab.txt of older folders; undefined where there is neither.
   *
   * @throws Error naming the file that is broken or asks for what isn't supported.
   */
  static async fromFolder(folder: string): Promise<Tokenizer | undefined> {
    const path = join(folder, 'tokenizer.json');
    const words = join(folder, 'vocab.txt');
    const inFolder = (name: string) => readJsonIfThere(join(folder, name));
    const json = readJsonIfThere(path);
    if (json === undefined && !existsSync(words)) return undefined;
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
    if (json === undefined)
      return new Tokenizer({ ...bertParts(readText(words), config, words), templates, source: words });
    if (typeof json.model !== 'object' || json.model === null) throw new Error(`${path}: expected a "model" object`);
    checkTokenizer(json as TokenizerJson, config, { json: path, config: join(folder, 'tokenizer_config.json') });
    return new Tokenizer({ json: json as TokenizerJson, config, templates, source: path });
  }

  /** Special tokens in the text are recognised; `addSpecialTokens` puts those around it that the model expects. */
  encode(text: string, { addSpecialTokens = true, literals = false }: EncodeOptions = {}): number[] {
    const isMarked = literals && LiteralText.isMarked(text);
    if (isMarked) this.onWords = (words) => LiteralText.unmarked(words, this.writtenMark);
    let found: (number | undefined)[];
    try {
      found = this.pipeline.encode(text, { add_special_tokens: false }).ids;
    } finally {
      this.onWords = undefined;
    }
    // Characters that no token covers, in a vocabulary without an unknown token, have no id.
    const ids = found.filter((id) => id !== undefined);
    return addSpecialTokens ? this.withSpecialTokens(ids).ids : ids;
  }

  /**
   * Two texts as one sequence, as a cross-encoder takes them: `[CLS] a [SEP] b [SEP]`, `<s> a </s></s> b </s>`, or as the
   * model's own template has it.
   *
   * @throws RangeError where `maxLength` leaves no room for the special tokens; Error for a tokenizer without pairs.
   */
  encodePair(a: string, b: string, options: FitOptions = {}): Encoding {
    const [first, second] = [a, b].map((text) => this.encode(text, { addSpecialTokens: false }));
    return this.withSpecialTokens(first!, second, options);
  }

  /**
   * Ids that `encode` gave without special tokens, of one text or of two, with the tokens that the model expects around
   * them.
   *
   * @throws as `encodePair`.
   */
  withSpecialTokens(first: readonly number[], second?: readonly number[], { maxLength }: FitOptions = {}): Encoding {
    const steps = second === undefined ? this.around.single : this.around.pair;
    if (second !== undefined && !steps.some((step) => 'text' in step && step.text === 'B')) {
      throw new Error('tokenizer: its post_processor has no template for two texts');
    }
    if (maxLength === undefined) return filled(steps, first, second);
    const room = maxLength - countAdded(steps);
    if (!Number.isInteger(maxLength) || room < 0) {
      const added = countAdded(steps);
      throw new RangeError(
        `tokenizer: 'maxLength' must be an integer from ${added}, the special tokens, got ${maxLength}`,
      );
    }
    const [most, rest] = second ? longestFirst(first.length, second.length, room) : [room, 0];
    return filled(steps, first.slice(0, most), second?.slice(0, rest));
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

function specialTokenTexts(config: TokenizerConfig): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const name of specialTokenNames) {
    const text = tokenText(config[name]);
    if (text !== undefined) texts[name] = text;
  }
  return texts;
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

/** What tokenizer.json says has the last word, as in transformers; the config decides where that adds no tokens. */
function postProcessor({ post_processor: own }: TokenizerJson, config: TokenizerConfig): unknown {
  const { add_bos_token: addBos, add_eos_token: addEos } = config;
  if (addsTokens(own) || (addBos !== true && addEos !== true)) return own;
  const token = (value: unknown, type: number): unknown[] => {
    const id = tokenText(value);
    return id === undefined ? [] : [{ SpecialToken: { id, type_id: type } }];
  };
  const around = (text: string, type: number): unknown[] => [
    ...token(addBos === true ? config.bos_token : undefined, type),
    { Sequence: { id: text, type_id: type } },
    ...token(addEos === true ? config.eos_token : undefined, type),
  ];
  return { type: 'TemplateProcessing', single: around('A', 0), pair: [...around('A', 0), ...around('B', 1)] };
}

function addsTokens(processor: unknown): boolean {
  if (typeof processor !== 'object' || processor === null) return false;
  const { type, processors, single } = processor as { type?: string; processors?: unknown[]; single?: object[] };
  if (type === 'Sequence') return (processors ?? []).some(addsTokens);
  if (type === 'TemplateProcessing') return (single ?? []).some((step) => 'SpecialToken' in step);
  return type !== 'ByteLevel';
}

/** One template, or a list of named ones. */
function namedTemplates(value: unknown): [string, string][] {
  if (typeof value === 'string') return [['default', value]];
  if (!Array.isArray(value)) return [];
  return value
    .filter((entry) => typeof entry?.name === 'string' && typeof entry.template === 'string')
    .map((entry) => [entry.name, entry.template]);
}
