// Model: what a user holds. Loading, forward, generation, chat, fine-tuning and adapters, each a few lines over the part
// of the library that does it.
import { existsSync, statSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { noGrad } from './core/autograd.js';
import { device as deviceOf } from './core/device.js';
import type { DType } from './core/dtype.js';
import { scope } from './core/scope.js';
import type { Tensor } from './core/tensor.js';
import { Engine, type EngineOptions, type EngineStats } from './engine/engine.js';
import { longestText } from './engine/texts/encoded.js';
import {
  type EmbedTextsOptions,
  embedTexts,
  type Ranked,
  type RankOptions,
  scorePairs,
  type TextInput,
} from './engine/texts/texts.js';
import type { TextsModel } from './engine/texts/texts-model.js';
import type { EngineWatcher } from './engine/watcher.js';
import { writeAtomic, writeFolderAtomic } from './files/atomic.js';
import { openGguf } from './files/gguf.js';
import { type ResolveOptions, resolveModel } from './files/hub.js';
import { check, readJson, readJsonIfThere } from './files/json.js';
import { type SavedTensor, saveSafetensors } from './files/safetensors.js';
import { languageConfig } from './files/wrapped.js';
import { callbackOption, checkOptions, signalOption } from './flow/options.js';
import { Stream } from './flow/stream.js';
import { safetensorsName } from './formats/index.js';
import { Adapter } from './lora/adapter.js';
import { mergedWeights } from './lora/merge.js';
import { embedderOf, weightsOf } from './models/config.js';
import { Decoder, packed } from './models/decoder.js';
import { kindOf, type ModelKind, refuseEncoder } from './models/kind.js';
import { loadDecoder } from './models/load.js';
import { storedParts } from './models/pieces.js';
import { sentenceFiles } from './models/sentence.js';
import type { Embedder } from './parts/text-head.js';
import { type Generated, generate, type Piece } from './text/generate.js';
import type { TokenMask } from './text/mask.js';
import {
  type GenerateOptions,
  type GenerationDefaults,
  generationConfigSchema,
  generationDefaults,
  settingsOf,
} from './text/options.js';
import type { ChatMessage } from './text/template.js';
import { tokenizerFromGguf } from './text/tokenizer/gguf-tokenizer.js';
import { Tokenizer } from './text/tokenizer/tokenizer.js';
import type { Data } from './train/data/dataset.js';
import type { Row } from './train/data/rows.js';
import { type EvaluateOptions, type Evaluation, evaluate } from './train/evaluate.js';
import { type Finetune, finetune } from './train/finetune.js';
import type { FinetuneOptions } from './train/options.js';

export interface LoadModelOptions {
  /** The weights' format. Default: the file's own, used in place where possible; bf16 for a quantised file. */
  dtype?: 'f32' | 'bf16' | 'f16';
  /** Default `'auto'`. */
  device?: string;
  /** Lets messages spell control tokens, and so end a turn or begin the system's; false unless all text is trusted. */
  controlTokensInMessages?: boolean;
  signal?: AbortSignal;
  /** Called while files come from the hub. */
  onProgress?: ResolveOptions['onProgress'];
}

const loadOptions = z.strictObject({
  dtype: z.enum(['f32', 'bf16', 'f16']).optional(),
  device: z.string().optional(),
  controlTokensInMessages: z.boolean().optional(),
  signal: signalOption.optional(),
  onProgress: callbackOption<ResolveOptions['onProgress']>().optional(),
});

export type Generation = Stream<Piece, Generated>;

/** What a server asks for beside the options of `generate`. */
export interface TokenOptions extends GenerateOptions {
  /** Each piece brings its log probability, and those of this many likeliest tokens. */
  topLogprobs?: number | undefined;
  /** Allows only some tokens; for this call alone. */
  mask?: TokenMask | undefined;
  /** Who asks: the engine is fair between clients. */
  client?: string | undefined;
  /** Pieces that may wait for a reader before the answer does. Default: all, so that nobody has to read them. */
  maxUnread?: number | undefined;
  /** Whether the text goes on where the prompt ended, so that a first space belongs to it. Default true. */
  continues?: boolean | undefined;
}

export class Model {
  #engine: Engine | undefined;
  #engineOptions: EngineOptions = {};
  readonly #watchers = new Set<EngineWatcher>();

  /** @internal Made by `loadModel`. */
  constructor(
    /** What `loadModel` was given. */
    readonly name: string,
    /** Where the model's files are: a folder or a GGUF file. */
    readonly path: string,
    readonly decoder: Decoder,
    private readonly textTokenizer: Tokenizer | undefined,
    /** What generation_config.json says. */
    readonly defaults: GenerationDefaults,
  ) {}

  get dtype(): DType {
    return this.decoder.dtype;
  }

  /** What the model is for. */
  get kind(): ModelKind {
    return kindOf(this.decoder.config);
  }

  /** How texts become vectors: pooling, dimensions (`size`), prompts, the longest text. */
  get embedder(): Embedder {
    return embedderOf(this.decoder.config);
  }

  /** @throws Error if the model came without a tokenizer, with what is missing. */
  get tokenizer(): Tokenizer {
    if (!this.textTokenizer) {
      throw new Error(
        `${this.path}: has no tokenizer.json, so the model takes and gives token ids only; transformers' AutoTokenizer ` +
          'reads older files such as sentencepiece.bpe.model, and its save_pretrained writes tokenizer.json',
      );
    }
    return this.textTokenizer;
  }

  get hasTokenizer(): boolean {
    return this.textTokenizer !== undefined;
  }

  /** Where all that this model generates comes from: made when it is first asked for. */
  get engine(): Engine {
    this.#engine ??= new Engine(this.decoder, this.#engineOptions, this.#watchers);
    return this.#engine;
  }

  /** What the engine is at; undefined before it is first asked for. */
  engineStats(): EngineStats | undefined {
    return this.#engine?.stats();
  }

  /** Tells of what the engine does from now on, whenever it is made. The result ends that. */
  watchEngine(watcher: EngineWatcher): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  /** Sets the engine up. @throws Error once it is in use. */
  configureEngine(options: EngineOptions): void {
    if (this.#engine)
      throw new Error('configureEngine: the engine is already in use: call it before the first request');
    this.#engineOptions = options;
  }

  /** Logits for every position of one sequence: f32 `[tokens, vocab]`. The caller disposes of it. */
  forward(ids: readonly number[], options: { adapter?: Adapter } = {}): Tensor {
    refuseEncoder('forward', this.decoder.config);
    this.#checkIds('forward', ids);
    return scope(() =>
      noGrad(() => this.decoder.logits(this.decoder.hidden(packed([ids], this.decoder.device), options))),
    );
  }

  /**
   * Continues a text or a list of token ids: an AsyncIterable of pieces, and a promise of the whole.
   *
   * @throws RangeError for an option outside its range, or a prompt that is empty or too long; TypeError for an option
   *   that is not known; Error for a text without a tokenizer.
   */
  generate(prompt: string | readonly number[], options: GenerateOptions = {}): Generation {
    return this.generateTokens(typeof prompt === 'string' ? this.tokenizer.encode(prompt) : prompt, options);
  }

  /**
   * The same from token ids, with what a server needs beside.
   *
   * @throws QueueFull (as a rejection) if too many requests wait.
   */
  generateTokens(ids: readonly number[], options: TokenOptions = {}): Generation {
    refuseEncoder('generate', this.decoder.config);
    const { topLogprobs, mask, client, maxUnread, continues = true, ...rest } = options;
    const settings = settingsOf(rest, this.defaults);
    this.#checkIds('generate', ids);
    const { decoder, defaults, engine, textTokenizer: tokenizer } = this;
    const foreign = [...settings.logitBias.keys()].find((token) => token >= decoder.config.vocabSize);
    if (foreign !== undefined) throw new RangeError(`generate: option 'logitBias': token ${foreign} is not known`);
    if (settings.stop.length > 0 && !tokenizer)
      throw new Error(`generate: 'stop' needs a tokenizer: ${this.path} has none`);
    const request = {
      prompt: ids,
      sampling: settings,
      maxNewTokens: settings.maxNewTokens,
      endIds: settings.ignoreEos ? [] : defaults.endIds,
      adapter: settings.adapter,
      client,
      topLogprobs,
      mask,
    };
    const room = engine.capacity - ids.length;
    return new Stream(
      (signal) =>
        generate({
          tokenizer,
          prompt: ids,
          settings,
          room,
          continues,
          tokens: engine.submit({ ...request, signal }),
        }),
      options.signal,
      maxUnread,
    );
  }

  /**
   * Answers a conversation through the model's chat template: the same as `generate` on its text.
   *
   * @throws Error if the model has no chat template, or the template refuses the messages.
   */
  chat(messages: readonly ChatMessage[], options: GenerateOptions = {}): Generation {
    refuseEncoder('chat', this.decoder.config);
    const ids = this.tokenizer.encodeChat(messages, { addGenerationPrompt: true });
    return this.generateTokens(ids, { ...options, continues: false });
  }

  /**
   * Vectors of texts, as the model's files say: their pooling, the layers behind it, its default prompt. Of a model whose
   * files say nothing, the mean of the final hidden states, of length 1. Texts are strings, or token ids with all special
   * tokens; each is computed among all else that the model does, and a text has the same vector in any company.
   *
   * @returns f32 `[dimensions]` for each text, in order.
   * @throws (as a rejection) RangeError for an option outside its range, or a text that is empty or too long; TypeError
   *   for an option that is not known; WrongKind for a reranker; QueueFull if too many requests wait.
   */
  embed(texts: readonly TextInput[], options: EmbedTextsOptions = {}): Promise<Float32Array[]> {
    return embedTexts(this.#asTexts, texts, options);
  }

  /**
   * The texts by how relevant they are to `query`, the best first; of equal scores, the one that came first. A reranker's
   * scores are its own (a probability, or a logit where its files say so); an embedding model's are cosines.
   *
   * @throws (as a rejection) as `embed`; WrongKind for a model that makes neither scores nor vectors.
   */
  async rank(
    query: string,
    texts: readonly string[],
    options: RankOptions & { top?: number | undefined } = {},
  ): Promise<Ranked[]> {
    const { top, ...rest } = options;
    if (top !== undefined && !(Number.isInteger(top) && top >= 1))
      throw new RangeError(`rank: option 'top' must be a whole number of at least 1, got ${top}`);
    const scores = await this.scorePairs(
      texts.map((text) => [query, text] as const),
      rest,
    );
    const ranked = scores.map((score, index) => ({ index, score })).sort((a, b) => b.score - a.score);
    return ranked.slice(0, top);
  }

  /**
   * How relevant the text of each pair is to its query, in the order of the pairs: the scores of `rank`.
   *
   * @throws (as a rejection) as `rank`.
   */
  scorePairs(pairs: readonly (readonly [query: string, text: string])[], options: RankOptions = {}): Promise<number[]> {
    return scorePairs(this.#asTexts, pairs, options);
  }

  /** Tokens of the longest text that `embed` takes, special tokens included. */
  get longestText(): number {
    return Math.min(longestText(this.decoder.config, this.embedder), this.engine.capacity);
  }

  get #asTexts(): TextsModel {
    return { engine: this.engine, config: this.decoder.config, tokenizer: () => this.tokenizer };
  }

  /**
   * Trains a LoRA adapter on rows of text: an AsyncIterable of steps, and a promise of the adapter.
   *
   * @throws Error that names the option that is wrong. Bad rows reject, with the file and the line.
   */
  finetune(options: FinetuneOptions): Finetune {
    refuseEncoder('finetune', this.decoder.config);
    const turn = (signal: AbortSignal): Promise<void> | undefined => this.engine.trainingTurn(signal);
    return finetune(this.decoder, this.textTokenizer, options, this.name, turn);
  }

  /**
   * How well the model, or an adapter for it, answers rows of data: loss, token accuracy, and answers word for word.
   *
   * @throws TypeError or RangeError (as a rejection) that names the option. Bad rows reject, with the file and the line.
   */
  async evaluate(data: Data<Row>, options: EvaluateOptions = {}): Promise<Evaluation> {
    refuseEncoder('evaluate', this.decoder.config);
    const turn = (signal: AbortSignal): Promise<void> | undefined => this.engine.trainingTurn(signal);
    return evaluate(this.decoder, this.textTokenizer, data, options, {
      turn,
      generate: async (ids, most, adapter) => {
        const given = { ...(adapter ? { adapter } : {}), ...(options.signal ? { signal: options.signal } : {}) };
        return (await this.generateTokens(ids, { maxNewTokens: most, temperature: 0, ...given })).tokens;
      },
    });
  }

  /** Loads an adapter in PEFT's format for this model. Any number may be loaded; each call names the one it uses. */
  loadAdapter(folder: string): Promise<Adapter> {
    return Adapter.load(folder, this.decoder);
  }

  /** A model with the adapter's products added into its weights. Unchanged weights are shared with this one. */
  mergeAdapter(adapter: Adapter): Model {
    return this.#withWeights(mergedWeights(this.decoder.weights, adapter));
  }

  /**
   * The other way: a model with the adapter's products taken out of its weights, for one that was saved merged. Its
   * weights are the base's within the roundings of their format; where the base is at hand, load that.
   */
  unmergeAdapter(adapter: Adapter): Model {
    return this.#withWeights(mergedWeights(this.decoder.weights, adapter, -1));
  }

  /** Writes a Hugging Face folder: weights, config and tokenizer files. Only for a model loaded from such a folder. */
  async save(folder: string): Promise<void> {
    if (!statSync(this.path).isDirectory())
      throw new Error(`save: ${this.path} is not a Hugging Face folder, so its config and tokenizer cannot be copied`);
    const tensors = new Map<string, SavedTensor>();
    // Modules behind the pooling have folders of their own, which no adapter changes.
    const { embedder } = this.decoder.config;
    const beside = new Set(embedder?.layers.flatMap(({ weights }) => weights));
    for (const weight of weightsOf(this.decoder.config).filter((one) => !beside.has(one))) {
      for (const { name, shape, part } of storedParts(weight, this.decoder.weights.get(weight.name)!)) {
        using stored = part();
        tensors.set(name, { dtype: safetensorsName(stored.dtype), shape, bytes: await stored.bytes() });
      }
    }
    await writeFolderAtomic(folder, async (inside) => {
      for (const file of copied) {
        if (existsSync(join(this.path, file))) await cp(join(this.path, file), join(inside, file));
      }
      // Modules without settings have a folder in no file.
      for (const module of embedder?.folders?.filter((name) => existsSync(join(this.path, name))) ?? [])
        await cp(join(this.path, module), join(inside, module), { recursive: true, dereference: true });
      const file = join(this.path, 'config.json');
      const config = { ...languageConfig(file, readJson(file)), tie_word_embeddings: this.decoder.config.head.tied };
      await writeAtomic(join(inside, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
      await saveSafetensors(join(inside, 'model.safetensors'), tensors, { format: 'pt' });
    });
  }

  /** Ends what is being generated and frees the weights. Adapters are disposed of on their own. */
  dispose(): void {
    void this.#engine?.dispose();
    this.decoder.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #withWeights(weights: Map<string, Tensor>): Model {
    const { config, device, dtype } = this.decoder;
    const decoder = new Decoder(config, weights, device, dtype);
    return new Model(this.name, this.path, decoder, this.textTokenizer, this.defaults);
  }

  #checkIds(op: string, ids: readonly number[]): void {
    const { vocabSize, contextLength } = this.decoder.config;
    if (ids.length === 0) throw new RangeError(`${op}: the prompt is empty`);
    if (ids.length > contextLength) {
      throw new RangeError(
        `${op}: the prompt has ${ids.length} tokens, more than the model's context of ${contextLength}`,
      );
    }
    const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (wrong !== undefined) throw new RangeError(`${op}: token ${wrong} is outside the vocabulary of ${vocabSize}`);
  }
}

const copied = [
  ...sentenceFiles,
  'generation_config.json',
  'tokenizer.json',
  'vocab.txt',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'chat_template.json',
];

/**
 * Loads a model: a Hugging Face folder, a GGUF file, or a hub name such as `'HuggingFaceTB/SmolLM2-135M-Instruct'`.
 *
 * @throws Error (as a rejection) that names the option, the file, the tensor or the field, and what was expected.
 */
export async function loadModel(nameOrPath: string, options: LoadModelOptions = {}): Promise<Model> {
  const { signal, onProgress, dtype, device: place = 'auto' } = checkOptions('loadModel', loadOptions, options);
  const device = deviceOf(place);
  const path = await resolveModel(nameOrPath, { ...(signal ? { signal } : {}), ...(onProgress ? { onProgress } : {}) });
  const decoder = await loadDecoder(path, { device, dtype, signal });
  try {
    const folder = statSync(path).isDirectory();
    const tokenizer = folder ? await Tokenizer.fromFolder(path) : ggufTokenizer(path);
    if (tokenizer) tokenizer.controlTokensInMessages = options.controlTokensInMessages ?? false;
    const file = join(path, 'generation_config.json');
    const json = readJsonIfThere(file) ?? {};
    const ends = [...decoder.config.eosIds, ...(tokenizer?.endIds ?? [])];
    const name = existsSync(nameOrPath) ? basename(path) : nameOrPath;
    return new Model(
      name,
      path,
      decoder,
      tokenizer,
      generationDefaults(check(file, generationConfigSchema, json), ends),
    );
  } catch (error) {
    decoder.dispose();
    throw error;
  }
}

function ggufTokenizer(path: string): Tokenizer | undefined {
  const gguf = openGguf(path);
  try {
    return gguf.metadata.has('tokenizer.ggml.model') ? tokenizerFromGguf(gguf.metadata, path) : undefined;
  } finally {
    gguf.close();
  }
}
