// A frame: the numbers that describe one step to the device, in one tensor, so that one copy transfers them.
import type { Device } from '../core/device.js';
import { keep } from '../core/scope.js';
import { type Shape, stridesOf, type Tensor, tensor, viewOf } from '../core/tensor.js';
import type { Run } from '../parts/part.js';
import type { Sampling } from './sampling.js';
import type { Part, Sequence } from './sequence.js';

export interface FrameSequence extends Sequence {
  /** The types of its tokens. Default: all 0. */
  readonly types?: readonly number[] | undefined;
  readonly sampling: Pick<Sampling, 'temperature' | 'topK' | 'topP' | 'minP' | 'seed'>;
}

/** What does not change from step to step. */
export interface FrameLayout {
  blockSize: number;
  /** For each group of layers, the block that stands where one was freed. */
  freed: readonly number[];
  /** Whether sequences have states. */
  states: boolean;
  /** Whether tokens have types. */
  types: boolean;
}

export interface FrameShape {
  tokens: number;
  /** Runs of tokens that attention sees as one: a stretch of a prompt, or one produced token. */
  runs: number;
  /** Blocks in a row of the block tables. */
  width: number;
  /** Sequences. */
  parts: number;
  /** Sequences whose next token is chosen. */
  rows: number;
  slots: number;
}

// Block tables grow by this many blocks, so that a step's shape stays the same for a while.
const widthStep = 8;

export class Frame {
  readonly tokens: Tensor;
  readonly positions: Tensor;
  /** See Packed. */
  readonly reach: Tensor;
  /** Undefined where tokens have no types. */
  readonly types: Tensor | undefined;
  /** For each group of layers, where each token's key and value go. */
  readonly places: readonly Tensor[];
  readonly boundaries: Tensor;
  readonly lengths: Tensor;
  /** For each group of layers. */
  readonly blockTables: readonly Tensor[];
  /** The places of states, and where each sequence's tokens begin. */
  readonly states: Tensor;
  readonly sequences: Tensor;
  /** The tokens after which one is chosen. */
  readonly rows: Tensor;
  readonly steps: Tensor;
  readonly seeds: Tensor;
  /** The tokens by their adapters' slots; tokens without an adapter come last. */
  readonly order: Tensor;
  readonly segments: Tensor;
  /** The slot of each token's adapter; without one, the number of slots. */
  readonly slots: Tensor;
  /** f32 `[rows, 4]`: see the kernel `sample`. */
  readonly options: Tensor;
  readonly #all: Tensor;
  readonly #numbers: Int32Array;
  readonly #options: Float32Array;
  readonly #views = new Map<Tensor, Int32Array>();

  constructor(
    readonly shape: FrameShape,
    private readonly layout: FrameLayout,
    device: Device,
  ) {
    const { tokens, runs, width, rows, slots } = shape;
    const groups = layout.freed.length;
    const parts = layout.states ? shape.parts : 0;
    const types = layout.types ? tokens : 0;
    const perToken = types + (5 + groups) * tokens;
    const total = perToken + 2 * runs + 1 + groups * runs * width + 4 * rows + slots + 1 + 2 * parts + 1;
    this.#numbers = new Int32Array(total);
    this.#options = new Float32Array(4 * rows);
    this.#all = keep(tensor(this.#numbers, { device }));
    this.options = keep(tensor(this.#options, { shape: [rows, 4], device }));
    let at = 0;
    const part = (shape: Shape): Tensor => {
      const view = keep(viewOf(this.#all, shape, stridesOf(shape), at));
      this.#views.set(view, this.#numbers.subarray(at, at + view.size));
      at += view.size;
      return view;
    };
    this.tokens = part([tokens]);
    this.positions = part([tokens]);
    this.reach = part([tokens]);
    this.types = layout.types ? part([tokens]) : undefined;
    this.places = layout.freed.map(() => part([tokens]));
    this.order = part([tokens]);
    this.slots = part([tokens]);
    this.boundaries = part([runs + 1]);
    this.lengths = part([runs]);
    this.blockTables = layout.freed.map(() => part([runs, width]));
    this.rows = part([rows]);
    this.steps = part([rows]);
    this.seeds = part([rows, 2]);
    this.segments = part([slots + 1]);
    this.states = part([parts]);
    this.sequences = part([parts + 1]);
  }

  /** Sends the numbers of these parts. `token` says what stands at a place of a sequence. */
  write<S extends FrameSequence>(
    parts: readonly Part<S>[],
    token: (sequence: S, at: number) => number,
    slotOf: (sequence: S) => number | undefined,
  ): void {
    const of = (view: Tensor): Int32Array => this.#views.get(view)!;
    const [tokens, positions, reach, order, boundaries] = [
      of(this.tokens),
      of(this.positions),
      of(this.reach),
      of(this.order),
      of(this.boundaries),
    ];
    const [lengths, rows, steps, seeds] = [of(this.lengths), of(this.rows), of(this.steps), of(this.seeds)];
    const [places, tables] = [this.places.map(of), this.blockTables.map(of)];
    const [segments, slotOfToken] = [of(this.segments), of(this.slots)];
    const [states, sequences] = [of(this.states), of(this.sequences)];
    const types = this.types && of(this.types);
    const { blockSize, freed, states: hasStates } = this.layout;
    const { width, slots } = this.shape;
    const bySlot = new Int32Array(slots + 2); // the last counts tokens without an adapter
    let at = 0;
    let run = 0;
    let row = 0;
    for (const [p, { sequence, from, count, samples }] of parts.entries()) {
      const slot = slotOf(sequence) ?? slots;
      const held = sequence.held!;
      reach.fill(samples ? from + count : sequence.length, at, at + count);
      for (let i = from; i < from + count; i++, at++) {
        tokens[at] = token(sequence, i);
        positions[at] = i;
        if (types) types[at] = sequence.types?.[i] ?? 0;
        for (const [g, { blocks }] of held.tables.entries())
          places[g]![at] = blocks[Math.floor(i / blockSize)]! * blockSize + (i % blockSize);
        slotOfToken[at] = slot;
        bySlot[slot + 1]!++;
        if (i + 1 < Math.min(from + count, sequence.promptLength)) continue;
        for (const [g, { blocks, first }] of held.tables.entries()) {
          tables[g]!.set(blocks, run * width);
          tables[g]!.fill(freed[g]!, run * width, run * width + first);
        }
        lengths[run] = i + 1;
        boundaries[++run] = at + 1;
      }
      if (hasStates) {
        states[p] = held.place!;
        sequences[p + 1] = at;
      }
      if (!samples) continue;
      const { temperature, topK, topP, minP, seed } = sequence.sampling;
      rows[row] = at - 1;
      steps[row] = from + count; // differs at every step of a sequence, and does not depend on the others
      seeds.set([seed % 2 ** 32, Math.floor(seed / 2 ** 32)], 2 * row);
      const options = [temperature, topK, topP, minP];
      this.#options.set(options, 4 * row++);
    }
    for (let s = 0; s <= slots; s++) bySlot[s + 1]! += bySlot[s]!;
    segments.set(bySlot.subarray(0, slots + 1));
    for (let i = 0; i < at; i++) order[bySlot[slotOfToken[i]!]!++] = i;
    this.#all.write(this.#numbers);
    if (row > 0) this.options.write(this.#options);
  }

  dispose(): void {
    for (const view of this.#views.keys()) view.dispose();
    this.#all.dispose();
    this.options.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The runs that `boundaries` tells apart, as far as sizes go. */
export function runsOf<S extends Sequence>(
  parts: readonly Part<S>[],
  slotOf: (sequence: S) => number | undefined,
): Run[] {
  return parts.flatMap(({ sequence, from, count }) => {
    const slot = slotOf(sequence);
    const prompt = Math.max(0, Math.min(sequence.promptLength - from, count));
    const single = (_: unknown, i: number): Run => ({ count: 1, length: from + prompt + i + 1, slot });
    const rest = Array.from({ length: count - prompt }, single);
    return prompt > 0 ? [{ count: prompt, length: from + prompt, slot }, ...rest] : rest;
  });
}

export function frameShape(parts: readonly Part<Sequence>[], slots: number): FrameShape {
  const shape = { tokens: 0, runs: 0, width: widthStep, parts: parts.length, rows: 0, slots };
  for (const { sequence, from, count, samples } of parts) {
    const prompt = Math.max(0, Math.min(sequence.promptLength - from, count));
    shape.tokens += count;
    shape.runs += count - prompt + Math.min(prompt, 1);
    const most = Math.max(0, ...sequence.held!.tables.map(({ blocks }) => blocks.length));
    shape.width = Math.max(shape.width, Math.ceil(most / widthStep) * widthStep);
    if (samples) shape.rows++;
  }
  return shape;
}
