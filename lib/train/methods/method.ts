// A training method: one object with everything that the loop, the options, the reports, the command line and the
// server need of it. Each method has a file of its own here; nothing outside that file asks which method it is.
import type { z } from 'zod';
import type { Adapter } from '../../lora/adapter.js';
import type { Decoder } from '../../models/decoder.js';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.js';
import type { AutoRule } from '../auto.js';
import type { Encoded, EncodeOptions, Example } from '../data/rows.js';
import type { Turn } from '../pace.js';

/** The types that belong to a method. */
export interface Kind {
  name: string;
  /** What `finetune` takes for it beside the options of every run. */
  options: object;
  /** What it reports of a step beside the loss. */
  figures: object;
  row: object;
}

export type Complete<K extends Kind> = { readonly [O in keyof K['options']]-?: Exclude<K['options'][O], undefined> };

export interface Method<K extends Kind = Kind> {
  readonly name: K['name'];
  /** Its name in a list to choose from. */
  readonly title: string;
  /** What the loss is per: `'token'`, `'pair'`. */
  readonly lossUnit: string;
  /** What its hyperparameters are where none are given. */
  readonly auto: AutoRule;
  readonly rows: {
    /** What is learned of them, as a clause, and their forms as JSON, for the command line's help. */
    readonly help: { readonly learned: string; readonly forms: readonly string[] };
    /** @throws Error that begins with `where` (the file and line) and names the field and what was expected. */
    encode(row: unknown, where: string, options: EncodeOptions): Promise<Encoded>;
  };
  readonly options: { readonly [O in keyof K['options']]-?: MethodOption<Complete<K>[O]> };
  readonly figures: { readonly [F in keyof K['figures']]-?: Figure };
  /** Whether the loss compares with the weights that the run began with: `context.reference`, or the bare model. */
  readonly usesReference: boolean;
  /** What a resumed run must share with its checkpoint. */
  resumeKey(options: Complete<K>): Readonly<Record<string, unknown>>;
  objective(context: RunContext, options: Complete<K>): Objective<K>;
}

export interface MethodOption<T = unknown> {
  readonly default: T;
  /** A noun phrase for the command line's help. */
  readonly help: string;
  /** What `finetune` and the command line take; its description says so in an error. */
  readonly schema: z.ZodType<T>;
  /** OpenAI's name and limits, where its API has the option; `auto` there stands for the default. */
  readonly wire?: { readonly name: string; readonly schema: z.ZodType<T> };
}

export interface Figure {
  /** A noun phrase, for the progress line. */
  readonly label: string;
  readonly wire: {
    /** With `train_` or `valid_` in front, in the metrics of events. */
    readonly name: string;
    /** Whether OpenAI's checkpoint objects have it, also as `full_valid_`. */
    readonly inCheckpoints?: boolean;
    /** Its two columns in a job's result file, if it has any. */
    readonly resultColumns?: readonly [train: string, valid: string];
  };
}

/** What an objective runs on. */
export interface RunContext {
  readonly decoder: Decoder;
  readonly tokenizer: Tokenizer | undefined;
  readonly adapter: Adapter | undefined;
  /** A frozen copy of the adapter that the run began with. Undefined: the model without any adapter. */
  readonly reference: Adapter | undefined;
  /** Whether activations are computed again in the backward pass. */
  readonly checkpointing: boolean;
  /** Whether to report the share of targets that were the likeliest token, for a method that can. */
  readonly tokenAccuracy: boolean;
  readonly signal: AbortSignal;
  readonly turn: Turn | undefined;
}

/** A sum over a micro-batch and its number of terms; totals of micro-batches add up to the mean of a step. */
export interface Total {
  readonly sum: number;
  readonly count: number;
}

/** The loss in nats, and the figures that the batch has terms of. */
export type Totals<K extends Kind = Kind> = { readonly loss: Total } & {
  readonly [F in keyof K['figures']]?: Total;
};

/** What a run minimises. */
export interface Objective<K extends Kind = Kind> {
  /** Makes a micro-batch of examples ready for one pass. `seed` decides all that is random in it. */
  prepare(batch: readonly Example[], seed: number): Prepared<K> | Promise<Prepared<K>>;
  /** Called at the end of the run. */
  dispose?(): void | Promise<void>;
}

export interface Prepared<K extends Kind = Kind> {
  /** What the loss is averaged over: the number of targets, or of pairs. */
  readonly weight: number;
  /** Tokens in the model's input, prompts included. */
  readonly tokens: number;
  /** Queues the forward and the backward pass, the loss scaled by `share`. The totals come when the device has them. */
  learn(share: number): Promise<{ totals: Promise<Totals<K>> }>;
  /** The totals alone. */
  measure(): Promise<Totals<K>>;
}
