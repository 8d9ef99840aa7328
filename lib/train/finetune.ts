// Fine-tuning: a LoRA adapter beside frozen weights, or all weights.
import { createHash } from 'node:crypto';
import { keep, scope } from '../core/scope.js';
import { type Tensor, viewOf } from '../core/tensor.js';
import { Stream } from '../flow/stream.js';
import { Adapter } from '../lora/adapter.js';
import { peftConfig } from '../lora/config.js';
import { Decoder } from '../models/decoder.js';
import { cast } from '../ops/copy.js';
import type { Tokenizer } from '../text/tokenizer/tokenizer.js';
import { type Trainee, train } from './loop.js';
import { type FinetuneOptions, type TrainOptions, trainSettings } from './options.js';
import type { Turn } from './pace.js';
import type { TrainStep } from './step.js';

/** A fine-tune under way: an `AsyncIterable` of its steps, and a promise of the trained adapter. */
export class Finetune extends Stream<TrainStep, Adapter> {
  readonly #holder: { adapter?: Adapter };

  /** @internal */
  constructor(
    holder: { adapter?: Adapter },
    work: (signal: AbortSignal) => AsyncGenerator<TrainStep, Adapter, void>,
    signal?: AbortSignal,
  ) {
    super(work, signal);
    this.#holder = holder;
  }

  /** The adapter in its present state, of use where the run was stopped or failed. Undefined until training begins. */
  get adapter(): Adapter | undefined {
    return this.#holder.adapter;
  }
}

/**
 * Trains a LoRA adapter by the method that the options name. Starts at once.
 *
 * @param baseModel what `base_model_name_or_path` in the adapter's files says
 * @param turn awaited between two stretches of work
 * @throws TypeError or RangeError that names the option that is wrong, at the call; all else rejects.
 */
export function finetune(
  decoder: Decoder,
  tokenizer: Tokenizer | undefined,
  options: FinetuneOptions,
  baseModel?: string,
  turn?: Turn,
): Finetune {
  const settings = trainSettings('finetune', options, decoder.config);
  const holder: { adapter?: Adapter } = {};
  async function* work(signal: AbortSignal): AsyncGenerator<TrainStep, Adapter, void> {
    const base = await fingerprint(decoder);
    const adapter = options.adapter
      ? copyOf(options.adapter)
      : Adapter.create(decoder, options.lora ?? {}, settings.seed, baseModel);
    holder.adapter = adapter;
    const reference = options.adapter && settings.method.usesReference ? copyOf(options.adapter) : undefined;
    const { baseModel: _, ...lora } = adapter.config;
    const trainee: Trainee = {
      decoder,
      adapter,
      reference,
      parameters: adapter.namedParameters(),
      weightsFile: 'adapter_model.safetensors',
      texts: { 'adapter_config.json': `${JSON.stringify(peftConfig(adapter.config), null, 2)}\n` },
      base,
      options: { lora },
    };
    try {
      yield* train(trainee, tokenizer, settings, signal, turn);
    } finally {
      reference?.dispose();
    }
    return adapter;
  }
  return new Finetune(holder, work, options.signal);
}

/**
 * Trains every weight, a tied embedding once. The weights are copied first, and the trained copy is the result: a
 * decoder of its own, to be disposed of.
 *
 * @throws TypeError or RangeError at the call, if an option is wrong or the weights are not f32; all else rejects.
 */
export function trainFull(
  decoder: Decoder,
  tokenizer: Tokenizer | undefined,
  options: TrainOptions,
): Stream<TrainStep, Decoder> {
  const settings = trainSettings('trainFull', options, decoder.config);
  for (const [name, { dtype }] of decoder.weights) {
    if (dtype !== 'f32')
      throw new TypeError(
        `trainFull: all weights must be f32, but '${name}' is ${dtype}: load the model with dtype: 'f32'`,
      );
  }
  async function* work(signal: AbortSignal): AsyncGenerator<TrainStep, Decoder, void> {
    const { modelType, layers, hiddenSize } = decoder.config;
    // Weights may be shared under two names, and a loaded file's pages can't be written.
    const copies = new Map<Tensor, Tensor>();
    const weights = new Map<string, Tensor>();
    const parameters = new Map<string, Tensor>();
    for (const [name, weight] of decoder.weights) {
      const known = copies.get(weight);
      const copy = known ?? keep(scope(() => cast(weight, 'f32', { copy: true })));
      copies.set(weight, copy);
      weights.set(name, copy);
      if (!known) parameters.set(name, copy);
    }
    const trained = new Decoder(decoder.config, weights, decoder.device, 'f32');
    const trainee: Trainee = {
      decoder: trained,
      adapter: undefined,
      reference: undefined,
      parameters,
      weightsFile: 'model.safetensors',
      texts: {},
      base: `${modelType} ${layers.length}x${hiddenSize}`, // its weights move, so they say nothing
      options: {},
    };
    try {
      yield* train(trainee, tokenizer, settings, signal);
    } catch (error) {
      trained.dispose();
      throw error;
    }
    return trained;
  }
  return new Stream(work, options.signal);
}

// A copy, as the caller's adapter may be in use.
function copyOf(adapter: Adapter): Adapter {
  const copy = (x: Tensor): Tensor => keep(scope(() => cast(x, 'f32', { copy: true })));
  const pairs = [...adapter.pairs].map(
    ([path, { a, b, ...rest }]) => [path, { a: copy(a), b: copy(b), ...rest }] as const,
  );
  return new Adapter(adapter.config, new Map(pairs));
}

/** A fingerprint of a base model: its sizes and the first row of each weight. */
async function fingerprint(decoder: Decoder): Promise<string> {
  const { modelType, layers, hiddenSize, vocabSize } = decoder.config;
  const hash = createHash('sha256').update(`${vocabSize} ${decoder.dtype}`);
  const rows = scope(() => ({
    read: [...decoder.weights.values()].map((x) => viewOf(x, x.shape.slice(-1), x.strides.slice(-1)).bytes()),
  }));
  for (const bytes of await Promise.all(rows.read)) hash.update(bytes);
  return `${modelType} ${layers.length}x${hiddenSize} ${hash.digest('hex').slice(0, 12)}`;
}
