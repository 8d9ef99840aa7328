// Options as a caller gave them, checked by a zod schema: one sentence names the option, what it must be and what it is;
// for an unknown name, the one that was probably meant.

import { z } from 'zod';
import { faultOf, shown } from './fault.js';

export interface CheckContext {
  /** What other libraries call an option, in lower-case letters only, and what it is called here. */
  readonly aliases?: Readonly<Record<string, string>>;
}

/**
 * `given` as `schema` returns it. `caller` begins the sentence: the function or part that takes the options.
 *
 * @throws TypeError such as `finetune: option 'learning_rate' is not known: did you mean 'learningRate'?`, also for a
 *   missing option or a wrong type; RangeError such as `finetune: option 'epochs' must be a positive integer, got 0`.
 */
export function checkOptions<Schema extends z.ZodType>(
  caller: string,
  schema: Schema,
  given: unknown,
  { aliases = {} }: CheckContext = {},
): z.output<Schema> {
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const { issues } = result.error;
  // A misspelt option is also missing by its right name: the misspelling comes first.
  const fault = faultOf(schema, given, issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!);
  const [unknown] = fault.unknownKeys;
  if (unknown !== undefined) {
    const within = fault.at === '' ? '' : `${fault.at}.`;
    const hint = suggestion(unknown, fault.knownKeys, aliases);
    throw new TypeError(`${caller}: option '${within}${unknown}' is not known${hint}`);
  }
  if (fault.at === '') throw new TypeError(`${caller}: the options must be an object, got ${shown(given)}`);
  const Failure = fault.ofRange ? RangeError : TypeError;
  throw new Failure(`${caller}: option '${fault.at}' ${fault.words}`);
}

/** How an error about an unknown name goes on: with the name that was probably meant, or with all that are known. */
export function suggestion(
  name: string,
  known: readonly string[],
  aliases: Readonly<Record<string, string>> = {},
): string {
  const alias = aliases[plain(name)];
  const meant = alias !== undefined && known.includes(alias) ? alias : nearest(name, known);
  return meant === undefined ? `; known: ${known.join(', ')}` : `: did you mean '${meant}'?`;
}

/** The known name with the fewest edits from `name`, if they are few, or if one of the two contains the other. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const wrong = plain(name);
  const near = known
    .map((other) => ({ other, right: plain(other), distance: editDistance(wrong, plain(other)) }))
    .filter(({ right, distance }) => distance <= wrong.length / 3 || contains(right, wrong) || contains(wrong, right));
  return near.sort((a, b) => a.distance - b.distance)[0]?.other;
}

/** The known name that `name` is a misspelling of: one that differs by a quarter of its letters at most. */
export function misspelt(name: string, known: readonly string[]): string | undefined {
  const wrong = plain(name);
  if (wrong.length > mostLetters) return undefined;
  const near = known
    .map((other) => ({ other, letters: plain(other).length, distance: editDistance(wrong, plain(other)) }))
    .filter(({ letters, distance }) => distance <= Math.floor(letters / 4));
  return near.sort((a, b) => a.distance - b.distance)[0]?.other;
}

// Longer names are no misspellings, and comparing them would take long.
const mostLetters = 64;

const plain = (text: string): string => text.toLowerCase().replace(/[^a-z]/g, '');
const contains = (text: string, part: string): boolean => part.length >= 4 && text.includes(part);

/** Levenshtein's distance: insertions, deletions and replacements of a letter from `a` to `b`. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}

// Options that several callers take.
export const signalOption = z.instanceof(AbortSignal).describe('an AbortSignal');

/** A function of the caller's. */
export const callbackOption = <F>() => z.custom<F>((value) => typeof value === 'function').describe('a function');
