// Steps on the device: a forward pass over the parts of a plan, and a chosen token for each part that samples.
//
// Chosen tokens stay on the device, where the next step finds them, so that it can be queued before JavaScript has read
// them. While the same sequences only decode, and no logits are adjusted, the step is a recording (a CUDA graph on a GPU)
// that is replayed: JavaScript writes one tensor of numbers, and reads one of tokens.
import { noGrad } from '../core/autograd.js';
import { kernels } from '../core/native.js';
import { type Recording, recordCalls } from '../core/recording.js';
import { keep, scope } from '../core/scope.js';
import { type Tensor, tensor, viewOf } from '../core/tensor.js';
import type { Decoder } from '../models/decoder.js';
import { DecoderMemory, memoryPlan } from '../models/memory.js';
import { maximum } from '../ops/binary.js';
import { gather } from '../ops/copy.js';
import { embedding } from '../ops/embedding.js';
import { slice } from '../ops/view.js';
import type { AdapterBuffers } from './adapter-buffers.js';
import { Frame, type FrameLayout, type FrameSequence, frameShape, runsOf } from './frame.js';
import { adjust, adjusts, type LogitRules, type Logprobs, logprobsOf, readLogprobs } from './logits.js';
import type { StateCopy } from './memory.js';
import type { Sampling } from './sampling.js';
import type { Part, SchedulerLimits } from './sequence.js';

export interface StepSequence extends FrameSequence, LogitRules {
  readonly sampling: Sampling;
  /** How many of the likeliest tokens to report with the chosen one's log probability; undefined reports neither. */
  readonly topLogprobs: number | undefined;
  /**
   * For a sequence that chooses no token: queues the reading of its hidden states `hidden [count, hidden]`, from token
   * `from` on. The function that it resolves to hands the values to the sequence.
   */
  read?(hidden: Tensor, from: number, decoder: Decoder): Promise<() => void>;
}

/** A step that was queued. */
export interface QueuedStep<S> {
  /** The sequences that get a token, in the order of `tokens`. */
  rows: readonly S[];
  /** Resolves once the device has run the step; below 0 where none could be chosen: see the kernel `sample`. */
  tokens: Promise<ArrayLike<number>>;
  logprobs: ReadonlyMap<S, Promise<Logprobs>>;
  /** Pending reads of hidden states, per sequence. */
  states: readonly [sequence: S, read: Promise<() => void>][];
}

type Reads<S> = Pick<QueuedStep<S>, 'logprobs' | 'states'>;

interface Kept {
  key: string;
  frame: Frame;
  recording: Recording | undefined;
}

export class StepRunner<S extends StepSequence> {
  readonly #layout: FrameLayout;
  readonly #memory: DecoderMemory;
  /** The tokens that the last step chose, then room for those that JavaScript sends. */
  readonly #tokens: Tensor;
  #chosen: readonly S[] = [];
  #kept: Kept | undefined;

  constructor(
    private readonly decoder: Decoder,
    private readonly adapters: AdapterBuffers,
    private readonly limits: SchedulerLimits,
    private readonly slotOf: (sequence: S) => number | undefined,
  ) {
    const { device } = decoder;
    const blocks = limits.groups.map((group) => group.blocks);
    this.#memory = new DecoderMemory(memoryPlan(decoder.config), blocks, limits.states, device, decoder.dtype);
    const types = (decoder.config.tokenTypes ?? 1) > 1;
    this.#layout = { blockSize: limits.blockSize, freed: blocks, states: limits.states > 0, types };
    this.#tokens = keep(tensor(new Int32Array(limits.maxBatch + limits.stepTokens), { device }));
  }

  /** Queues one step. */
  run(parts: readonly Part<S>[]): QueuedStep<S> {
    const rows = parts.filter(({ samples }) => samples).map(({ sequence }) => sequence);
    const plain = rows.length === parts.length && this.#inPlace(parts) && !rows.some(needsJavaScript);
    const reads = plain ? this.#replay(parts) : this.#once(parts);
    this.#chosen = rows;
    using chosen = viewOf(this.#tokens, [Math.max(rows.length, 1)], [1]);
    const tokens = chosen.data();
    tokens.catch(() => {}); // looked at when the step is delivered
    return { rows, tokens, ...reads };
  }

  /** Queues copies of states from place to place. */
  copyStates(copies: readonly StateCopy[]): void {
    for (const copy of copies) this.#memory.copyState(copy);
  }

  /** Frees what only a running batch needs. */
  rest(): void {
    this.#drop();
    this.#chosen = [];
  }

  dispose(): void {
    this.rest();
    this.#memory.dispose();
    this.#tokens.dispose();
  }

  // Whether each part is the one token that the last step chose for the same row.
  #inPlace(parts: readonly Part<S>[]): boolean {
    return (
      parts.length === this.#chosen.length &&
      parts.every(({ sequence, from, count }, i) => {
        return count === 1 && from >= sequence.promptLength && sequence === this.#chosen[i];
      })
    );
  }

  #replay(parts: readonly Part<S>[]): Reads<S> {
    const shape = frameShape(parts, this.limits.adapterSlots);
    const adapted = this.#adapted(parts);
    const key = `${shape.rows} ${shape.width} ${adapted ? this.adapters.state : ''}`;
    const same = this.#kept?.key === key;
    if (!same) {
      this.#drop();
      this.#kept = { key, frame: new Frame(shape, this.#layout, this.decoder.device), recording: undefined };
    }
    const kept = this.#kept!;
    kept.frame.write(parts, () => 0, this.slotOf); // the tokens are where the last step left them
    const body = (): void => {
      this.#forward(kept.frame, tokensOf(viewOf(this.#tokens, [shape.rows], [1])), parts, adapted);
    };
    // A batch that changes at every step is not worth a recording: only the second step of its kind is kept.
    if (kept.recording) kept.recording.replay();
    else if (same) kept.recording = recordCalls(() => scope(() => noGrad(body))).recording;
    else scope(() => noGrad(body));
    return { logprobs: new Map(), states: [] };
  }

  #once(parts: readonly Part<S>[]): Reads<S> {
    const { adapterSlots } = this.limits;
    using frame = new Frame(frameShape(parts, adapterSlots), this.#layout, this.decoder.device);
    const known = parts.every(({ sequence, from, count }) => from + count <= sequence.tokens.length);
    return scope(() =>
      noGrad(() => {
        let { tokens } = frame;
        if (known) frame.write(parts, (sequence, i) => sequence.tokens[i]!, this.slotOf);
        else tokens = this.#lookUp(frame, parts);
        return this.#forward(frame, tokens, parts, this.#adapted(parts));
      }),
    );
  }

  // Some tokens are on the device only: the frame says where each is, among the last step's tokens or those sent along.
  #lookUp(frame: Frame, parts: readonly Part<S>[]): Tensor {
    const { maxBatch } = this.limits;
    const sent = new Int32Array(frame.shape.tokens);
    let at = 0;
    const place = (sequence: S, i: number): number => {
      const here = at++;
      if (i >= sequence.tokens.length) return this.#chosen.indexOf(sequence);
      sent[here] = sequence.tokens[i]!;
      return maxBatch + here;
    };
    frame.write(parts, place, this.slotOf);
    viewOf(this.#tokens, frame.tokens.shape, [1], maxBatch).write(sent);
    return tokensOf(gather(this.#tokens, 0, frame.tokens));
  }

  #forward(frame: Frame, tokens: Tensor, parts: readonly Part<S>[], adapted: boolean): Reads<S> {
    const { decoder } = this;
    const { device } = decoder;
    const { positions, reach, types, boundaries, lengths } = frame;
    const groups = frame.places.map((slots, g) => ({ slots, blockTables: frame.blockTables[g]! }));
    const inPlaces = this.#layout.states ? { places: frame.states, boundaries: frame.sequences } : undefined;
    const kept = this.#memory.kept({ lengths, groups, states: inPlaces });
    const adapter = adapted
      ? { groups: this.adapters.groups(frame.order, frame.segments), slots: frame.slots }
      : undefined;
    const runs = runsOf(parts, this.slotOf);
    const batch = { tokens, positions, reach, types, boundaries, runs };
    const hidden = decoder.hidden(batch, { adapter, kept });
    const count = frame.shape.rows;
    const states = this.#read(hidden, parts);
    const logprobs = new Map<S, Promise<Logprobs>>();
    if (count === 0) return { logprobs, states };
    const logits = decoder.logits(count === hidden.dim(0) ? hidden : embedding(hidden, frame.rows));
    const rows = parts.filter(({ samples }) => samples).map(({ sequence }) => sequence);
    const told = [...rows.keys()].filter((i) => rows[i]!.topLogprobs !== undefined);
    const all = told.length > 0 ? logprobsOf(logits, told) : undefined;
    adjust(logits, rows);
    const { options, seeds, steps } = frame;
    const chosen = viewOf(this.#tokens, [count], [1]);
    kernels.sample(chosen.handle, logits.handle, options.handle, seeds.handle, steps.handle);
    if (!all) return { logprobs, states };
    const theirs = told.length === count ? chosen : gather(chosen, 0, tensor(Int32Array.from(told), { device }));
    const counts = told.map((i) => rows[i]!.topLogprobs!);
    for (const [n, read] of readLogprobs(all, theirs, counts).entries()) logprobs.set(rows[told[n]!]!, read);
    return { logprobs, states };
  }

  // `hidden [tokens, hidden]` holds all parts.
  #read(hidden: Tensor, parts: readonly Part<S>[]): QueuedStep<S>['states'] {
    let end = 0;
    return parts.flatMap(({ sequence, from, count }) => {
      end += count;
      const read = sequence.read?.(slice(hidden, 0, end - count, end), from, this.decoder);
      read?.catch(() => {}); // looked at when the step is delivered
      return read ? [[sequence, read] as const] : [];
    });
  }

  #adapted(parts: readonly Part<S>[]): boolean {
    return parts.some(({ sequence }) => sequence.adapterKey !== undefined);
  }

  #drop(): void {
    this.#kept?.recording?.dispose();
    this.#kept?.frame.dispose();
    this.#kept = undefined;
  }
}

// A row whose logits held NaN continues with token 0 until its failure is delivered; other rows are unaffected.
const tokensOf = (chosen: Tensor): Tensor => maximum(chosen, 0);

const needsJavaScript = (sequence: StepSequence): boolean => sequence.topLogprobs !== undefined || adjusts(sequence);
