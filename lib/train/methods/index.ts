// The catalogue of training methods. A new method is a file beside this one, its type in `Member`, and its object here.
import { type Dpo, dpo } from './dpo.js';
import type { Figure, Method, MethodOption } from './method.js';
import { type Supervised, supervised } from './supervised.js';

export type { ChosenRow, PreferenceRow, TokenPairRow } from './dpo-rows.js';

type Member = Supervised | Dpo;

/** What a run without a `method` is, and the method of `trainFull`. */
export const defaultMethod = 'supervised' satisfies MethodName;

export const methods: { readonly [M in Member as M['name']]: Method<M> } = { supervised, dpo };

export type MethodName = Member['name'];
export const methodNames = Object.keys(methods) as MethodName[];

/** A row that some method takes. */
export type MethodRow = Member['row'];

type All<Union> = (Union extends unknown ? (x: Union) => void : never) extends (x: infer Whole) => void ? Whole : never;

/** The options of all methods together. */
export type MethodOptions = All<Member['options']>;
/** The figures of all methods together, each present where its method reports it. */
export type MethodFigures = Partial<All<Member['figures']>>;

export const optionsOf = ({ options }: Method): [name: string, option: MethodOption][] => Object.entries(options);
export const figuresOf = ({ figures }: Method): [name: string, figure: Figure][] => Object.entries(figures);

const all: readonly Method[] = Object.values(methods);

/** The figures of all methods, by name. */
export const allFigures: ReadonlyMap<string, Figure> = new Map(all.flatMap(figuresOf));
/** The names of all methods' options. */
export const optionNames: readonly string[] = [...new Set(all.flatMap(optionsOf).map(([name]) => name))];

/** The methods that have this option of their own, with it. */
export const methodsWith = (option: string): { method: Method; option: MethodOption }[] =>
  all.flatMap((method) =>
    optionsOf(method).flatMap(([name, own]) => (name === option ? [{ method, option: own }] : [])),
  );
