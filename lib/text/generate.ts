// generate(): tokens one after the other from a decoder, over a KV cache of its own.
//
// The prompt goes through in chunks. Then one decoding step is recorded and replayed: the sampled token feeds the next
// step on the device, so the device never waits for JavaScript. JavaScript reads each token one step behind and decides
// when to stop.
import { noGrad } from '../autograd.js';
import { SequenceCache } from '../models/cache.js';
import type { Decoder } from '../models/decoder.js';
import { kernels } from '../native.js';
import { slice } from '../ops/view.js';
import { type Recording, recordCalls } from '../recording.js';
import { keep, scope } from '../scope.js';
import { type Tensor, tensor, viewOf } from '../tensor.js';
import type { Settings } from './options.js';
import { StopStrings } from './stop.js';
import type { Tokenizer } from './tokenizer.js';

export type FinishReason = 'stop' | 'length';

export interface Piece {
  /** Text that is certain by now: empty while a character or a stop string is incomplete. */
  text: string;
  /** The token that brought it. */
  token: number;
}

export interface Generated {
  text: string;
  /** The new tokens, without the end token. */
  tokens: number[];
  finishReason: FinishReason;
  usage: { promptTokens: number; completionTokens: number };
}

// Long enough for matrix products to run at full speed, short enough to be cancelled soon.
const promptChunk = 256;

export interface Request {
  decoder: Decoder;
  /** Without one the pieces' texts are empty. */
  tokenizer: Tokenizer | undefined;
  /** Token ids: at least one, and no more than the model's context. */
  prompt: readonly number[];
  settings: Settings;
  /** Tokens that end the text. */
  endIds: readonly number[];
  /** Whether the text goes on where the prompt ended, so that a first space belongs to it. */
  continues: boolean;
}

/** Generates one sequence. The request was checked before: see Model.generate. */
export async function* generate(request: Request, signal: AbortSignal): AsyncGenerator<Piece, Generated, void> {
  const { decoder, tokenizer, prompt, settings } = request;
  const room = decoder.config.contextLength - prompt.length;
  const most = Math.min(settings.maxNewTokens, room);
  const ends = new Set(settings.ignoreEos ? [] : request.endIds);
  const stops = new StopStrings(settings.stop);
  const detokenizer = tokenizer?.stream({ continues: request.continues });
  const tokens: number[] = [];
  let text = '';
  const finished = (finishReason: FinishReason): Generated => ({
    text,
    tokens,
    finishReason,
    usage: { promptTokens: prompt.length, completionTokens: tokens.length },
  });
  if (most === 0) return finished('length');

  const sequence = new Sequence(decoder, prompt, most, settings);
  try {
    signal.throwIfAborted();
    await sequence.readPrompt(signal);
    for (let i = 0; i < most; i++) {
      const more = i + 1 < most;
      if (more && !sequence.waits) sequence.step();
      const token = await sequence.token(i);
      signal.throwIfAborted();
      if (ends.has(token)) {
        const rest = stops.push(detokenizer?.flush() ?? '').emit + stops.flush();
        text += rest;
        if (rest) yield { text: rest, token };
        return finished('stop');
      }
      tokens.push(token);
      const { emit, stopped } = stops.push(detokenizer?.push(token) ?? '');
      const last = !stopped && i + 1 === most;
      const rest = last ? stops.push(detokenizer?.flush() ?? '').emit + stops.flush() : '';
      text += emit + rest;
      yield { text: emit + rest, token };
      if (stopped) return finished('stop');
      if (more && sequence.waits) sequence.step();
    }
    return finished('length');
  } finally {
    sequence.dispose();
  }
}

/** One sequence on the device: its cache, the tensors of a decoding step, and the step as a recording. */
class Sequence {
  readonly #cache: SequenceCache;
  readonly #options: Tensor;
  readonly #seeds: Tensor;
  // Every token so far with the penalty for taking it again, where there is one.
  readonly #seen: Tensor | undefined;
  readonly #penalty: Tensor | undefined;
  // Two places for the sampled token, used in turn: one is read while the next step writes the other.
  readonly #sampled: readonly [Tensor, Tensor];
  readonly #recordings: [Recording | undefined, Recording | undefined] = [undefined, undefined];
  readonly #position: Tensor;
  readonly #length: Tensor;
  readonly #boundaries: Tensor;
  readonly #reads: Promise<number>[] = [];
  #steps = 0;

  constructor(
    readonly decoder: Decoder,
    readonly prompt: readonly number[],
    most: number,
    readonly settings: Settings,
  ) {
    const { device } = decoder;
    const { temperature, topK, topP, minP, repetitionPenalty, seed } = settings;
    const total = prompt.length + most;
    const ints = (values: readonly number[], shape = [values.length]): Tensor =>
      keep(tensor(Int32Array.from(values), { shape, device }));
    this.#cache = new SequenceCache(decoder.config, total, device, decoder.dtype);
    this.#options = keep(tensor([[temperature, topK, topP, minP]], { device }));
    this.#seeds = ints([seed % 2 ** 32, Math.floor(seed / 2 ** 32)], [1, 2]);
    if (repetitionPenalty !== 1) {
      this.#seen = ints([...prompt, ...new Array<number>(most).fill(-1)], [1, total]);
      this.#penalty = keep(tensor([repetitionPenalty], { device }));
    }
    this.#sampled = [ints([0]), ints([0])];
    this.#position = ints([0]);
    this.#length = ints([prompt.length]);
    this.#boundaries = ints([0, 1]);
  }

  /** Puts the prompt into the cache and samples the first token. */
  async readPrompt(signal: AbortSignal): Promise<void> {
    const { decoder, prompt } = this;
    const { device } = decoder;
    for (let from = 0; from < prompt.length; from += promptChunk) {
      const to = Math.min(from + promptChunk, prompt.length);
      scope(() =>
        noGrad(() => {
          const batch = {
            tokens: tensor(Int32Array.from(prompt.slice(from, to)), { device }),
            positions: tensor(
              Int32Array.from({ length: to - from }, (_, i) => from + i),
              { device },
            ),
            boundaries: tensor(Int32Array.of(0, to - from), { device }),
          };
          const hidden = decoder.hidden(batch, { adapter: this.settings.adapter, cache: this.#cache.step(from, to) });
          if (to === prompt.length) this.#sample(slice(hidden, 0, to - from - 1, to - from), 0);
        }),
      );
      if (to < prompt.length) {
        await device.idle();
        signal.throwIfAborted();
      }
    }
    this.#steps = 1;
    this.#expect(0);
  }

  /** Queues the step that samples the next token. */
  step(): void {
    const into = (this.#steps % 2) as 0 | 1;
    const length = this.prompt.length + this.#steps++;
    this.#position.write(Int32Array.of(length - 1));
    this.#length.write(Int32Array.of(length));
    const recording = this.#recordings[into];
    if (recording) recording.replay();
    else this.#recordings[into] = recordCalls(() => scope(() => noGrad(() => this.#decode(into)))).recording;
    this.#expect(into);
  }

  /** Whether the next step must know this one's token in JavaScript. */
  get waits(): boolean {
    return this.#seen !== undefined;
  }

  /** The token of step `index`, once the device has it. */
  async token(index: number): Promise<number> {
    const token = await this.#reads.shift()!;
    if (this.#seen) {
      using place = viewOf(this.#seen, [1], [1], this.prompt.length + index);
      place.write(Int32Array.of(token));
    }
    return token;
  }

  #expect(into: 0 | 1): void {
    const read = this.#sampled[into].item();
    read.catch(() => {}); // whoever stops early does not wait for the step ahead
    this.#reads.push(read);
  }

  #decode(into: 0 | 1): void {
    const { keys, values, blockTables } = this.#cache;
    // Block i of the sequence is block i of the cache, so a token's slot is its position.
    const cache = { keys, values, blockTables, slots: this.#position, lengths: this.#length };
    const batch = { tokens: this.#sampled[1 - into]!, positions: this.#position, boundaries: this.#boundaries };
    this.#sample(this.decoder.hidden(batch, { adapter: this.settings.adapter, cache }), into);
  }

  #sample(hidden: Tensor, into: 0 | 1): void {
    const logits = this.decoder.logits(hidden);
    if (this.#seen && this.#penalty) kernels.penalize(logits.handle, this.#seen.handle, this.#penalty.handle);
    // The sequence's length is the random counter: it differs at every step and does not depend on who else generates.
    kernels.sample(
      this.#sampled[into].handle,
      logits.handle,
      this.#options.handle,
      this.#seeds.handle,
      this.#length.handle,
    );
  }

  dispose(): void {
    for (const recording of this.#recordings) recording?.dispose();
    this.#cache.dispose();
    const own = [
      this.#options,
      this.#seeds,
      this.#seen,
      this.#penalty,
      ...this.#sampled,
      this.#position,
      this.#length,
      this.#boundaries,
    ];
    for (const x of own) x?.dispose();
  }
}
